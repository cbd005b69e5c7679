package relay

import (
	"net"
	"time"

	"github.com/reachback/reachback/internal/carrier"
)

// A Leg is a connection through a gateway after both sides have joined. It is TLS
// to the gateway, and what it carries is the other side's bytes; of the gateway's
// own there are none. Its methods may be called concurrently.
//
// A Read ends with io.EOF only where the other side has ended its direction; a leg
// that was cut fails otherwise. After a Write that timed out nothing can be written.
type Leg struct {
	Grant         string // signed, in the leg of a framed call
	CorrelationID string // of the call

	conn *carrier.Conn
}

var _ net.Conn = (*Leg)(nil)

// Read implements [net.Conn].
func (l *Leg) Read(p []byte) (int, error) { return l.conn.Read(p) }

// Write implements [net.Conn].
func (l *Leg) Write(p []byte) (int, error) { return l.conn.Write(p) }

// CloseWrite ends the outgoing direction, and leaves the other one open.
func (l *Leg) CloseWrite() error { return l.conn.CloseWrite() }

// Close ends the leg regularly: the other side reads io.EOF after what was written.
func (l *Leg) Close() error { return l.conn.Close() }

// Abort cuts the leg. What was written may be lost, and the other side does not
// take it for an end.
func (l *Leg) Abort() error { return l.conn.Abort() }

// LocalAddr implements [net.Conn].
func (l *Leg) LocalAddr() net.Addr { return l.conn.LocalAddr() }

// RemoteAddr is the gateway's address, or that of the proxy on the way to it.
func (l *Leg) RemoteAddr() net.Addr { return l.conn.RemoteAddr() }

// SetDeadline implements [net.Conn].
func (l *Leg) SetDeadline(t time.Time) error { return l.conn.SetDeadline(t) }

// SetReadDeadline implements [net.Conn].
func (l *Leg) SetReadDeadline(t time.Time) error { return l.conn.SetReadDeadline(t) }

// SetWriteDeadline implements [net.Conn].
func (l *Leg) SetWriteDeadline(t time.Time) error { return l.conn.SetWriteDeadline(t) }
