package session

import (
	"errors"
	"io"
	"math"
	"net"
	"time"

	"github.com/reachback/reachback"
)

// A Raw is the session of a raw call: a connection whose bytes go over the path as
// they are. Reads are the path's own. Writes are carried by one goroutine, which
// ends with the session and which Close waits for, so that a Write can time out
// without harm to the path.
type Raw struct {
	endpoint

	// Guarded by mu.
	eof bool // the peer's end was read
}

// OpenRaw starts a raw session on a path.
func OpenRaw(p Path, cfg Config) *Raw {
	r := &Raw{}
	r.init(p, cfg)
	r.out.limit, r.out.max = math.MaxUint64, maxUnsent
	r.goroutines = 1
	go r.pump()
	return r
}

// pump is the writing goroutine. After a regular end it also reads what the peer
// still sends, until its end.
func (r *Raw) pump() {
	defer r.leave()
	r.mu.Lock()
	for r.err == nil {
		var err error
		switch {
		case r.out.next < r.out.end:
			_, v, _, _ := r.out.peek(maxUnsent)
			r.mu.Unlock()
			var n int
			n, err = r.path.Write(v[0])
			r.mu.Lock()
			r.sent(n)
		case r.out.fin && !r.out.finSent:
			r.mu.Unlock()
			err = r.path.CloseWrite()
			r.mu.Lock()
			if r.eof {
				err = nil // a peer that has ended need not stay to hear our end
			}
			r.out.finSent, r.out.finAcked, r.said = true, err == nil, err == nil
		case r.closing:
			r.finish(r.refuse(reachback.CodeClosed))
		default:
			r.work.Wait()
		}
		if err != nil {
			r.mu.Unlock()
			r.abort(r.lost(err))
			return
		}
	}
	for !r.aborted && r.reading {
		r.readable.Wait()
	}
	drain := !r.aborted && !r.eof
	r.mu.Unlock()
	if !drain {
		return
	}
	r.path.SetReadDeadline(time.Time{})
	io.Copy(io.Discard, r.path)
}

// sent, called with mu held, takes note of bytes that the path has taken.
func (r *Raw) sent(n int) {
	if r.err != nil {
		return
	}
	r.out.sent(n, false)
	r.out.buf.consume(n)
	r.out.una = r.out.next
	r.writable.Broadcast()
}

// Read implements [net.Conn].
func (r *Raw) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case r.closing:
			return 0, net.ErrClosed
		case r.eof:
			return 0, io.EOF
		case r.err != nil:
			return 0, r.err
		case !r.reading:
			return r.readPath(p)
		}
		r.readable.Wait()
	}
}

func (r *Raw) readPath(p []byte) (int, error) {
	r.reading = true
	r.mu.Unlock()
	n, err := r.path.Read(p)
	if err != nil && err != io.EOF && !isTimeout(err) {
		r.abort(r.lost(err))
	}
	r.mu.Lock()
	r.reading = false
	r.bytesIn += int64(n)
	r.readable.Broadcast()
	switch {
	case err == nil || n > 0:
		return n, nil
	case r.closing:
		return 0, net.ErrClosed
	case err == io.EOF:
		r.eof = true
		return 0, io.EOF
	case r.err != nil:
		return 0, r.err
	}
	return 0, errTimeout
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// SetDeadline implements [net.Conn].
func (r *Raw) SetDeadline(t time.Time) error {
	if err := r.SetReadDeadline(t); err != nil {
		return err
	}
	return r.SetWriteDeadline(t)
}

// SetReadDeadline implements [net.Conn].
func (r *Raw) SetReadDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return net.ErrClosed
	}
	return r.path.SetReadDeadline(t)
}

// Stats returns the numbers of the session.
func (r *Raw) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{BytesIn: r.bytesIn, BytesOut: int64(r.out.end)}
}

// Close sends what was written and ends the session, after 5 s at most. It returns
// when the session's goroutine is gone.
func (r *Raw) Close() error {
	r.mu.Lock()
	if !r.closing {
		r.beginClose(func() { r.abort(r.lost(errUnacknowledged)) })
		// Whoever reads is interrupted: what is left is the pump's to read.
		r.path.SetReadDeadline(time.Unix(1, 0))
	}
	r.mu.Unlock()
	return r.closed()
}

// CloseWithCode gives the path up. A stock peer cannot be told the code.
func (r *Raw) CloseWithCode(c reachback.Code) error {
	r.mu.Lock()
	r.closing, r.abandoned = true, true
	r.mu.Unlock()
	r.abort(r.refuse(c))
	return r.closed()
}
