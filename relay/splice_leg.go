package relay

import (
	"errors"
	"net"
	"os"
	"time"
)

// A source is a leg as the goroutine uses it that reads it.
type source interface {
	// wait returns when read has something, be it an error.
	wait()
	// read does not wait: it fails with errDry where there is nothing yet.
	read(p []byte) (int, error)
}

// A sink is a leg as the goroutine uses it that writes it.
type sink interface {
	// write fails with errStalled if the peer takes no byte for too long.
	write(p []byte) error
	// finish carries an end: it closes the leg in this direction.
	finish() error
}

var (
	errDry         = &dryError{}
	errStalled     = errors.New("relay: the peer takes no bytes")
	errNoHalfClose = errors.New("relay: the leg cannot be closed in one direction")
)

// dryError is temporary, so that a read of TLS that fails with it can go on later.
type dryError struct{}

func (*dryError) Error() string   { return "relay: nothing received" }
func (*dryError) Timeout() bool   { return true }
func (*dryError) Temporary() bool { return true }

// newLeg returns c as both. A TLS connection from [NewListener] is one over a wire.
func newLeg(c net.Conn, timeout time.Duration) interface {
	source
	sink
} {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		if w, ok := t.NetConn().(*wire); ok {
			w.begin(timeout)
			return &wired{Conn: c, wire: w}
		}
	}
	return &plain{Conn: c, timeout: timeout}
}

// A wired leg is TLS over a wire, which tells when there is something to read.
type wired struct {
	net.Conn
	wire *wire
}

func (l *wired) wait() { l.wire.wait() }

func (l *wired) read(p []byte) (int, error) { return l.Conn.Read(p) }

func (l *wired) write(p []byte) error {
	_, err := l.Conn.Write(p)
	return err
}

func (l *wired) finish() error { return closeWrite(l.Conn) }

// A plain leg is any other connection. Whether it has something to read is known
// only by reading, so a few bytes are held for that while nothing comes, and a
// chunk while much comes.
type plain struct {
	net.Conn
	timeout time.Duration

	few [512]byte
	big *chunk
	in  []byte // read and not yet taken, in few or big
	err error  // what came with it
}

// quietAfter is how long a plain leg holds a chunk in wait of more.
const quietAfter = time.Second

func (l *plain) wait() {
	buf := l.few[:]
	if l.big != nil {
		buf = l.big[:]
		l.Conn.SetReadDeadline(time.Now().Add(quietAfter))
	}
	n, err := l.Conn.Read(buf)
	if l.big != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
		if n == 0 {
			chunks.Put(l.big)
			l.big = nil
			l.Conn.SetReadDeadline(time.Time{})
		}
	}
	l.in, l.err = buf[:n], err
	if l.big == nil && n == len(buf) {
		l.big = chunks.Get().(*chunk)
	}
}

func (l *plain) read(p []byte) (int, error) {
	if len(l.in) > 0 {
		n := copy(p, l.in)
		l.in = l.in[n:]
		return n, nil
	}
	if l.err != nil {
		return 0, l.err
	}
	return 0, errDry
}

// write gives the peer its time for each chunk, not for each byte: a TLS
// connection cannot go on after a write that timed out.
func (l *plain) write(p []byte) error {
	l.Conn.SetWriteDeadline(time.Now().Add(l.timeout))
	_, err := l.Conn.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errStalled
	}
	return err
}

func (l *plain) finish() error { return closeWrite(l.Conn) }

func closeWrite(c net.Conn) error {
	if hc, ok := c.(interface{ CloseWrite() error }); ok {
		return hc.CloseWrite()
	}
	return errNoHalfClose
}
