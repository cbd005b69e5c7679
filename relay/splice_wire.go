package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A wire is a transport connection below crypto/tls. Until begin it is as any
// other. From then on:
//
//   - Reading never waits. Where nothing has come it fails with errDry, and TLS
//     can go on later. Only wait waits, and holds no buffer meanwhile, nor has
//     TLS to: so an idle leg costs what its TLS keeps, and two small stacks.
//   - Writing fails with errStalled when the peer takes no byte for the timeout.
//     The connection's own write deadline is used for that.
//   - The end of the connection is an error. TLS asks for more only as long as it
//     had no close_notify; it would take a bare end for one.
type wire struct {
	net.Conn
	begun   bool
	timeout time.Duration

	// Owned by the goroutine that reads.
	in    []byte  // received and not yet taken by TLS, in inBuf or ahead
	inBuf *record // from records
	inErr error   // what reading ends with
	dry   bool    // the last system call got less than it could take: do not try another
	frame framer

	raw   syscall.RawConn // nil where a read cannot be tried without waiting
	fill  func(fd uintptr) bool
	take  func(fd uintptr) bool
	p     []byte           // argument of take
	n     int              // result of take
	err   error            // result of fill and take
	ahead [headerSize]byte // what take got beyond p
}

// record has room for most of one TLS record and for many small ones.
type record [16 << 10]byte

var records = sync.Pool{New: func() any { return new(record) }}

var errBroken = errors.New("relay: the connection ended without close_notify")

// begin makes the wire a leg's.
func (w *wire) begin(timeout time.Duration) {
	w.begun, w.timeout = true, timeout
	w.fill, w.take = w.tryFill, w.tryTake
	if c, ok := w.Conn.(syscall.Conn); ok && canTry {
		w.raw, _ = c.SyscallConn()
	}
	w.extend()
}

// wait returns when Read has bytes or an error for TLS.
func (w *wire) wait() {
	if len(w.in) > 0 || w.inErr != nil {
		return
	}
	if w.raw != nil {
		w.try(w.fill)
		return
	}
	b := records.Get().(*record)
	n, err := w.Conn.Read(b[:])
	w.keep(b, n)
	w.fail(err)
}

// Read gives TLS what has come, and never of two records at once: of what is left
// over when a record is complete, crypto/tls makes room for two more, for good.
func (w *wire) Read(p []byte) (int, error) {
	if !w.begun {
		return w.Conn.Read(p)
	}
	p = p[:min(len(p), w.frame.left())]
	n := 0
	switch {
	case len(w.in) > 0:
		n = copy(p, w.in)
		if w.in = w.in[n:]; len(w.in) == 0 && w.inBuf != nil {
			records.Put(w.inBuf)
			w.inBuf = nil
		}
	case w.inErr == nil && !w.dry && w.raw != nil:
		w.p, w.n = p, 0
		w.try(w.take)
		w.p = nil
		n = w.n
	}
	switch {
	case n > 0:
		w.frame.passed(p[:n])
		return n, nil
	case w.inErr != nil:
		return 0, w.inErr
	}
	return 0, errDry
}

// try runs fill or take. The system calls are made by these, because only as
// long as they run is the descriptor sure to be this connection's.
func (w *wire) try(f func(fd uintptr) bool) {
	w.err = nil
	if err := w.raw.Read(f); err != nil {
		w.err = err
	}
	w.fail(w.err)
}

// tryFill receives into a record, and is called again when there may be
// something if it returns false.
func (w *wire) tryFill(fd uintptr) bool {
	b := records.Get().(*record)
	n, err := receive(fd, b[:], nil)
	w.keep(b, n)
	if err == errDry {
		return false
	}
	w.err = err
	return true
}

// tryTake receives into p, and the header of the next record with it.
func (w *wire) tryTake(fd uintptr) bool {
	n, err := receive(fd, w.p, w.ahead[:])
	w.dry = n < len(w.p)+len(w.ahead)
	w.n = min(n, len(w.p))
	w.in = w.ahead[:n-w.n]
	if err != errDry {
		w.err = err
	}
	return true
}

func (w *wire) keep(b *record, n int) {
	if n == 0 {
		records.Put(b)
		return
	}
	w.in, w.inBuf, w.dry = b[:n], b, n < len(b)
}

func (w *wire) fail(err error) {
	if err == io.EOF {
		err = errBroken
	}
	if w.inErr == nil {
		w.inErr = err
	}
}

// Write sends p. Writes of TLS come one at a time, its own answers to the peer's
// key updates among them.
func (w *wire) Write(p []byte) (int, error) {
	if !w.begun {
		return w.Conn.Write(p)
	}
	// Deadlines are set only when one has passed, so the first may be long past.
	sent, quiet := 0, -1
	for {
		n, err := w.Conn.Write(p[sent:])
		sent += n
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return sent, err
		}
		if n > 0 {
			quiet = 0
		} else if quiet++; quiet == stallSteps {
			return sent, errStalled
		}
		w.extend()
	}
}

// stallSteps is how often a write looks, within the timeout, whether the peer
// took a byte.
const stallSteps = 8

func (w *wire) extend() { w.Conn.SetWriteDeadline(time.Now().Add(w.timeout / stallSteps)) }
