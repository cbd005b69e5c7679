package transport

import (
	"net"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/session"
)

// A Conn is one session. Its methods may be called concurrently, and those of
// [net.Conn] behave like a TCP connection's, with two differences. Close waits up
// to 5 s until the peer has what was written, and reports if that may not be so.
// And a Write that timed out has harmed nothing: the bytes it counted are sent.
type Conn struct {
	stream  stream
	grant   reachback.Grant
	gateway string
}

// A stream is *session.Session or *session.Raw.
type stream interface {
	net.Conn
	CloseWrite() error
	CloseWithCode(reachback.Code) error
	Err() error
	Done() <-chan struct{}
	Stats() session.Stats
}

// Read implements [net.Conn]. A session that ended with a code fails with a
// [*reachback.Error] in the error's tree; what came before the loss of a path, or
// before a regular end, is read first.
func (c *Conn) Read(p []byte) (int, error) { return c.stream.Read(p) }

// Write implements [net.Conn]. It returns when p is in the send buffer, and waits
// while the peer has no room.
func (c *Conn) Write(p []byte) (int, error) { return c.stream.Write(p) }

// Close ends the session after what was written, and throws away what the peer
// still sends. It returns when everything of the session is gone. Further calls
// return the same.
func (c *Conn) Close() error { return c.stream.Close() }

// CloseWrite ends the outgoing direction; the peer reads everything, then io.EOF.
func (c *Conn) CloseWrite() error { return c.stream.CloseWrite() }

// CloseWithCode ends the session at once. The peer's calls fail with the code, and
// what was not read is lost. A raw session's peer sees its connection break.
func (c *Conn) CloseWithCode(code reachback.Code) error { return c.stream.CloseWithCode(code) }

// LocalAddr is the local address of the connection to the gateway.
func (c *Conn) LocalAddr() net.Addr { return c.stream.LocalAddr() }

// RemoteAddr is the gateway's address.
func (c *Conn) RemoteAddr() net.Addr { return c.stream.RemoteAddr() }

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error { return c.stream.SetDeadline(t) }

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.stream.SetReadDeadline(t) }

// SetWriteDeadline implements [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.stream.SetWriteDeadline(t) }

// Path names the kind of path that carries the session: "relay".
func (c *Conn) Path() string { return "relay" }

// Grant returns what the broker said of this session: to the client in the signed
// grant, to the host in the summon.
func (c *Conn) Grant() reachback.Grant { return c.grant }

// Raw reports whether the bytes are a stock client's.
func (c *Conn) Raw() bool { return c.grant.Raw }

// Gateway returns the URL of the gateway.
func (c *Conn) Gateway() string { return c.gateway }

// Err returns why the session ended, nil while it lives; its code is "closed"
// after a regular end.
func (c *Conn) Err() error { return c.stream.Err() }

// Done returns a channel that is closed when the session has ended.
func (c *Conn) Done() <-chan struct{} { return c.stream.Done() }

// Stats returns the numbers of the session.
func (c *Conn) Stats() Stats { return Stats(c.stream.Stats()) }

// Stats are numbers of one session.
type Stats struct {
	BytesIn, BytesOut int64         // what the application read and wrote
	RoundTrip         time.Duration // between the two ends; zero where it is not known, as in raw sessions
}
