package carrier

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// A Conn is a carrier after its 101. It is the TLS connection, with what the
// peer sent right behind its answer put first.
type Conn struct {
	*tls.Conn
	// Header is that of the answer.
	Header http.Header

	mu   sync.Mutex
	rest []byte
}

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		if c.rest = c.rest[n:]; len(c.rest) == 0 {
			c.rest = nil
		}
		c.mu.Unlock()
		return n, nil
	}
	c.mu.Unlock()
	return c.Conn.Read(p)
}

// TakeEarly returns what the peer has sent before the 101 and nobody has read, and
// the end or failure that came behind it if one did, for who does without c from now
// on. stop makes the transport connection return a temporary error, so that only
// what TLS has opened already is read.
func (c *Conn) TakeEarly(stop func()) (early []byte, end error) {
	stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	early, c.rest = c.rest, nil
	for p := make([]byte, 512); ; {
		n, err := c.Conn.Read(p)
		early = append(early, p[:n]...)
		if te, ok := err.(interface{ Temporary() bool }); ok && te.Temporary() {
			return early, nil
		}
		if err != nil {
			return early, err
		}
	}
}

// Abort closes the transport connection without TLS's goodbye, so that the peer
// cannot take a cut for an end.
//
// It is a reset where the transport has one, because not every TLS tells an end of
// the transport from the goodbye.
func (c *Conn) Abort() error { return Abort(c.NetConn()) }

// Abort is [Conn.Abort] for the transport connection.
func Abort(nc net.Conn) error {
	if l, ok := nc.(interface{ SetLinger(int) error }); ok {
		l.SetLinger(0)
	}
	return nc.Close()
}

// Tune sets keepalive and user timeout on c where it is a TCP connection.
func Tune(c net.Conn) {
	tc, ok := c.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
		SetNoDelay(bool) error
	})
	if !ok {
		return
	}
	tc.SetNoDelay(true)
	tc.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: KeepAlive, Interval: KeepAlive / 3, Count: 3})
	setUserTimeout(c)
}
