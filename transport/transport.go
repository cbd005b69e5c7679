// Package transport is what applications use: a dialer for clients, a listener
// for hosts, and the connection between them.
package transport

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/relay"
)

// A Dialer opens resources.
type Dialer struct {
	// Connect asks the feed's origin for a connection; feed.Client.Connect fits. Required.
	Connect func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error)
	Relay   *relay.Dialer // nil: the zero value
	Logger  *slog.Logger
}

// DialContext opens a resource. The connection is a *Conn.
func (d *Dialer) DialContext(ctx context.Context, network, resource string) (net.Conn, error) {
	panic("to be written")
}

// A ListenConfig makes listeners.
type ListenConfig struct {
	Agent *broker.Agent // Required
	Relay *relay.Dialer // nil: the zero value
	// AllowRaw takes raw calls too.
	AllowRaw bool
	// Admit is asked before a summon is accepted; its error's code refuses it.
	Admit  func(ctx context.Context, s *broker.Summon) error
	Logger *slog.Logger
}

// Listen runs the agent until the listener is closed. It returns after the first
// welcome or a final refusal.
func (lc *ListenConfig) Listen(ctx context.Context) (*Listener, error) { panic("to be written") }

// A Listener is a net.Listener whose connections come from clients through a gateway.
type Listener struct{}

func (l *Listener) Accept() (net.Conn, error) { panic("to be written") }
func (l *Listener) Close() error              { panic("to be written") }
func (l *Listener) Addr() net.Addr            { panic("to be written") }

// Welcome returns the last welcome.
func (l *Listener) Welcome() broker.Welcome { panic("to be written") }

// A Conn is one session.
type Conn struct{}

func (c *Conn) Read(p []byte) (int, error)         { panic("to be written") }
func (c *Conn) Write(p []byte) (int, error)        { panic("to be written") }
func (c *Conn) Close() error                       { panic("to be written") }
func (c *Conn) LocalAddr() net.Addr                { panic("to be written") }
func (c *Conn) RemoteAddr() net.Addr               { panic("to be written") }
func (c *Conn) SetDeadline(t time.Time) error      { panic("to be written") }
func (c *Conn) SetReadDeadline(t time.Time) error  { panic("to be written") }
func (c *Conn) SetWriteDeadline(t time.Time) error { panic("to be written") }

// CloseWrite ends the outgoing direction; the peer reads everything, then io.EOF.
func (c *Conn) CloseWrite() error { panic("to be written") }

// CloseWithCode ends the session at once; the peer's calls fail with the code.
func (c *Conn) CloseWithCode(code reachback.Code) error { panic("to be written") }

// Path names the kind of path that carries the session: "relay".
func (c *Conn) Path() string { panic("to be written") }

// Grant returns what the broker said of this session.
func (c *Conn) Grant() reachback.Grant { panic("to be written") }

// Raw reports whether the bytes are a stock client's.
func (c *Conn) Raw() bool { panic("to be written") }

// Gateway returns the URL of the gateway.
func (c *Conn) Gateway() string { panic("to be written") }

// Err returns why the session ended, nil while it lives; its code is "closed"
// after a regular end.
func (c *Conn) Err() error { panic("to be written") }

// Stats returns the numbers of the session.
func (c *Conn) Stats() Stats { panic("to be written") }

// Stats are numbers of one session.
type Stats struct {
	BytesIn, BytesOut int64 // the application's
	RoundTrip         time.Duration
}
