package carrier

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// errCut is what reads return when the transport connection ends before TLS does.
var errCut = errors.New("the connection ended without close_notify")

// Strict returns c, to be used below TLS, with its end made an error: crypto/tls
// takes an end of the transport between two records for the peer's close_notify,
// and a process that was killed would look like one that had finished.
func Strict(c net.Conn) net.Conn { return &strict{c} }

type strict struct{ net.Conn }

func (c *strict) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		err = &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: errCut}
	}
	return n, err
}

// SyscallConn makes the options of the socket settable, where there is one.
func (c *strict) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// SetLinger is that of a TCP connection.
func (c *strict) SetLinger(sec int) error {
	if l, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		return l.SetLinger(sec)
	}
	return errors.ErrUnsupported
}
