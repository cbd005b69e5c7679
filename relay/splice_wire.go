package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
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
	begun    bool
	timeout  time.Duration
	handover *handover // until begin, while the relay may take the records over
	taken    atomic.Bool

	outErr error // what writing has failed with since begin; owned by who writes

	// Owned by the goroutine that reads.
	in    []byte  // received and not yet taken by TLS, in inBuf or ahead
	inBuf *record // from records
	inErr error   // what reading ends with
	dry   bool    // the last system call got less than it could take: do not try another
	frame framer

	raw    syscall.RawConn // nil where a read cannot be tried without waiting
	fill   func(fd uintptr) bool
	take   func(fd uintptr) bool
	fetch  func(fd uintptr) bool
	gather func(fd uintptr) bool
	p      []byte           // argument of take and fetch
	part   []byte           // argument of gather
	n      int              // result of all but fill
	batch  *batch           // result of gather
	err    error            // result of all
	ahead  [headerSize]byte // what take got beyond p
}

// record has room for most of one TLS record and for many small ones.
type record [16 << 10]byte

var records = sync.Pool{New: func() any { return new(record) }}

var errBroken = errors.New("relay: the connection ended without close_notify")

// begin makes the wire a leg's.
func (w *wire) begin(timeout time.Duration) {
	w.begun, w.dry, w.timeout, w.handover = true, false, timeout, nil
	w.fill, w.take, w.fetch, w.gather = w.tryFill, w.tryTake, w.tryFetch, w.tryGather
	if c, ok := w.Conn.(syscall.Conn); ok && canTry {
		w.raw, _ = c.SyscallConn()
	}
	w.extend()
}

// stop makes reading fail with errDry, whatever comes, until begin.
func (w *wire) stop() { w.begun, w.dry, w.raw = true, true, nil }

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
	p = p[:min(len(p), w.frame.left())]
	if !w.begun {
		n, err := w.Conn.Read(p)
		if w.handover != nil {
			w.handover.received(&w.frame, p[:n])
		}
		w.frame.passed(p[:n])
		return n, err
	}
	n := 0
	switch {
	case len(w.in) > 0:
		n = w.handOver(p)
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

// await waits for more of the stream, and returns a batch with part and what has come
// behind it. Only part is held meanwhile. It is for who does without wait and Read.
func (w *wire) await(part []byte) (b *batch, have int) {
	if w.raw == nil || len(w.in) > 0 || w.inErr != nil {
		w.wait()
		b = batches.Get().(*batch)
		have = copy(b[:], part)
		n, _ := w.receive(b[have:]) // it is the same the next time
		return b, have + n
	}
	w.part = part
	w.try(w.gather)
	b, have = w.batch, len(part)+w.n
	w.part, w.batch = nil, nil
	if b == nil { // the connection is closed
		b = batches.Get().(*batch)
		have = copy(b[:], part)
	}
	return b, have
}

// receive reads what has come, of any number of records, without waiting: it fails
// with errDry where there is nothing, maybe along with the last that there was. It
// is for who does without Read.
func (w *wire) receive(p []byte) (n int, err error) {
	if len(w.in) > 0 {
		return w.handOver(p), nil
	}
	if w.inErr == nil && !w.dry && w.raw != nil {
		w.p, w.n = p, 0
		w.try(w.fetch)
		w.p, n = nil, w.n
	}
	if w.inErr != nil {
		return n, w.inErr
	}
	if n == 0 || w.dry {
		return n, errDry
	}
	return n, nil
}

// handOver copies what was received to p, and gives the buffer back behind the last.
func (w *wire) handOver(p []byte) int {
	n := copy(p, w.in)
	if w.in = w.in[n:]; len(w.in) == 0 && w.inBuf != nil {
		records.Put(w.inBuf)
		w.inBuf = nil
	}
	return n
}

// try runs fill, take, fetch or gather. The system calls are made by these, because only as
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

// tryGather receives into a batch behind part, and is called again like tryFill.
func (w *wire) tryGather(fd uintptr) bool {
	b := batches.Get().(*batch)
	room := b[copy(b[:], w.part):]
	n, err := receive(fd, room, nil)
	if err == errDry {
		batches.Put(b)
		return false
	}
	w.batch, w.n, w.dry, w.err = b, n, n < len(room), err
	return true
}

// tryFetch receives into p.
func (w *wire) tryFetch(fd uintptr) bool {
	n, err := receive(fd, w.p, nil)
	w.n, w.dry = n, n < len(w.p)
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

// Write sends what crypto/tls has sealed, until the relay seals by itself. From then
// on whatever crypto/tls still had to say, be it a goodbye because somebody closed
// the connection by its old name, would have a number that the relay has used too.
func (w *wire) Write(p []byte) (int, error) {
	if w.taken.Load() {
		return 0, net.ErrClosed
	}
	return w.send(p)
}

// send sends p. Writes of TLS come one at a time, its own answers to the peer's
// key updates among them. Behind a write that failed a record may be there in part,
// and nothing more is sent.
func (w *wire) send(p []byte) (int, error) {
	if !w.begun {
		n, err := w.Conn.Write(p)
		if w.handover != nil {
			w.handover.wrote(p[:n], err)
		}
		return n, err
	}
	// Deadlines are set only when one has passed, so the first may be long past.
	sent, quiet := 0, -1
	for w.outErr == nil {
		n, err := w.Conn.Write(p[sent:])
		if sent += n; err == nil {
			return sent, nil
		}
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			w.outErr = err
		case n > 0:
			quiet = 0
		default:
			if quiet++; quiet == stallSteps {
				w.outErr = errStalled
			}
		}
		w.extend()
	}
	return sent, w.outErr
}

// stallSteps is how often a write looks, within the timeout, whether the peer
// took a byte.
const stallSteps = 8

func (w *wire) extend() { w.Conn.SetWriteDeadline(time.Now().Add(w.timeout / stallSteps)) }
