package relay

import (
	"errors"
	"net"
	"syscall"
)

// NewListener returns l with connections that serve a relay better as legs: an
// idle one holds no buffer, a slow reader is told from one that has stopped, and
// a connection that broke from one that ended, for crypto/tls takes a TCP
// connection that was closed without close_notify for an end. It goes below TLS:
//
//	srv.ServeTLS(relay.NewListener(l), "", "")
//
// A relay works on any listener, without these. Until a connection becomes a
// leg, net/http and every other user sees it as it is.
func NewListener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &wire{Conn: c}, nil
}

// The methods below are those of [net.TCPConn] that programs ask for by type
// assertion.

var _ interface {
	syscall.Conn
	SetKeepAliveConfig(net.KeepAliveConfig) error
	SetNoDelay(bool) error
	SetLinger(int) error
} = (*wire)(nil)

func (w *wire) SyscallConn() (syscall.RawConn, error) {
	if c, ok := w.Conn.(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

func (w *wire) SetKeepAliveConfig(c net.KeepAliveConfig) error {
	if t, ok := w.Conn.(*net.TCPConn); ok {
		return t.SetKeepAliveConfig(c)
	}
	return errors.ErrUnsupported
}

func (w *wire) SetNoDelay(on bool) error {
	if t, ok := w.Conn.(*net.TCPConn); ok {
		return t.SetNoDelay(on)
	}
	return errors.ErrUnsupported
}

func (w *wire) SetLinger(sec int) error {
	if t, ok := w.Conn.(*net.TCPConn); ok {
		return t.SetLinger(sec)
	}
	return errors.ErrUnsupported
}
