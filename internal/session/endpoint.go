package session

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/reachback/reachback"
)

// A Path is one connection that carries a session's bytes in order: at best
// authenticated and private, as the inner TLS over joined legs is.
type Path interface {
	net.Conn
	// CloseWrite ends the outgoing direction after what was written.
	CloseWrite() error
	// Abort closes without a goodbye, unblocks every call, and may lose what
	// was written.
	Abort() error
}

const (
	// closeTimeout is how long Close waits until the peer has everything.
	closeTimeout = 5 * time.Second
	// lingerTimeout is how long an ended session waits for the peer to end
	// too. A path closed sooner could lose our last frames, because a TCP
	// connection that is closed with unread bytes is reset.
	lingerTimeout = 2 * time.Second
)

// Config is what sessions can be told. Zero values are the defaults.
type Config struct {
	// Window is how many bytes are taken before the application reads them;
	// 4 MiB by default. Framed sessions only.
	Window int
	// CorrelationID is put into the session's errors.
	CorrelationID string
	// OnEnd is called once, when the session has ended and its path is closed.
	OnEnd func(cause error)
	// Linger replaces how long an ended session waits for its peer, 2 s.
	Linger time.Duration
}

func (c *Config) window() uint64 {
	if c.Window > 0 {
		return uint64(c.Window)
	}
	return 4 << 20
}

func (c *Config) linger() time.Duration {
	if c.Linger > 0 {
		return c.Linger
	}
	return lingerTimeout
}

// An endpoint is what framed and raw sessions have in common: the application's
// end of the outgoing direction, deadlines, and the end of the session.
type endpoint struct {
	path Path
	cfg  Config

	mu       sync.Mutex
	readable sync.Cond // for Read; on changes of what it waits for
	writable sync.Cond // for Write
	work     sync.Cond // for the writing goroutine

	// Guarded by mu.
	out         sender
	writing     bool // a Write copies or waits
	reading     bool // a Read copies, or reads from the path of a raw session
	rd, wd      deadline
	bytesIn     int64
	closing     bool          // Close was called
	closeTimer  *time.Timer   // bounds Close
	abandoned   bool          // CloseWithCode was called: what was written does not matter
	err         error         // why the session ended; nil while it lives
	said        bool          // the last word is on its way
	aborted     bool          // the path was given up, nothing can be sent
	lingerTimer *time.Timer   // gives the path up some time after the end
	goroutines  int           // that use the path; the last one closes it
	done        chan struct{} // closed after that
}

func (e *endpoint) init(p Path, cfg Config) {
	e.path, e.cfg = p, cfg
	e.readable.L, e.writable.L, e.work.L = &e.mu, &e.mu, &e.mu
	e.done = make(chan struct{})
}

// refuse is [reachback.Refuse] with the session's correlation id.
func (e *endpoint) refuse(c reachback.Code) *reachback.Error {
	err := reachback.Refuse(c)
	if err.Message == "" {
		err.Message = "the peer ended the session"
	}
	err.CorrelationID = e.cfg.CorrelationID
	return err
}

// identify gives err, one of a code or none, the session's correlation id.
func (e *endpoint) identify(err error) error { return e.refuse(reachback.CodeOf(err)) }

// lost is the end by the loss of the path.
func (e *endpoint) lost(cause error) error {
	return fmt.Errorf("%w: %w", e.refuse(reachback.CodePathLost), cause)
}

// wake is called with mu held, after a change that any of the calls may wait for.
func (e *endpoint) wake() {
	e.readable.Broadcast()
	e.writable.Broadcast()
	e.work.Broadcast()
}

// abort ends the session by giving its path up. The first cause wins, and giving
// up a path that an ended session lingers on is always possible.
func (e *endpoint) abort(cause error) {
	e.mu.Lock()
	if e.err == nil {
		e.finish(cause)
	}
	e.aborted = true
	e.mu.Unlock()
	e.path.Abort()
}

// finish, called with mu held while the session lives, ends it: goroutines say
// goodbye on the path, and give it up when the peer does not do the same in time.
func (e *endpoint) finish(cause error) {
	e.err = cause
	if e.closeTimer != nil {
		e.closeTimer.Stop()
	}
	e.lingerTimer = time.AfterFunc(e.cfg.linger(), e.depart)
	e.wake()
}

// depart stops waiting for the peer of an ended session. What was written before is
// left to the system to deliver.
func (e *endpoint) depart() {
	e.mu.Lock()
	said := e.said
	e.mu.Unlock()
	if said {
		e.path.Close()
	} else {
		e.abort(nil)
	}
}

// lastWord takes note that everything was written, the end included.
func (e *endpoint) lastWord() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said = true
}

// leave is called by each of the goroutines when it is done with the path.
func (e *endpoint) leave() {
	e.mu.Lock()
	e.goroutines--
	last, aborted, cause := e.goroutines == 0, e.aborted, e.err
	if last {
		e.lingerTimer.Stop()
		e.out.buf.drop()
	}
	e.mu.Unlock()
	if !last {
		return
	}
	if aborted {
		e.path.Abort()
	} else {
		e.path.Close()
	}
	if e.cfg.OnEnd != nil {
		e.cfg.OnEnd(cause)
	}
	close(e.done)
}

// beginClose, called with mu held, is the first step of Close.
func (e *endpoint) beginClose(expired func()) {
	e.closing = true
	e.rd.set(&e.mu, &e.readable, time.Time{})
	e.wd.set(&e.mu, &e.writable, time.Time{})
	if e.err == nil {
		e.out.fin = true
		e.closeTimer = time.AfterFunc(closeTimeout, expired)
	}
	e.wake()
}

// closed waits for the goroutines and is what Close returns: an error where the
// peer may lack something that was written, and did not say that it wants no more.
func (e *endpoint) closed() error {
	<-e.done
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.out.unacked() && !e.abandoned && reachback.CodeOf(e.err) != reachback.CodeClosed {
		return e.err
	}
	return nil
}

var errUnacknowledged = errors.New("the peer did not take the end in time")

// writeErr, called with mu held, is why nothing can be written; nil if it can.
func (e *endpoint) writeErr() error {
	switch {
	case e.closing:
		return net.ErrClosed
	case e.wd.expired:
		return errTimeout
	case e.err != nil:
		return e.err
	case e.out.fin:
		return errWriteClosed
	}
	return nil
}

var errWriteClosed = fmt.Errorf("write after CloseWrite: %w", net.ErrClosed)

// Write implements [net.Conn]. It returns when all of p was copied into the send
// buffer, which is bounded by what the peer has room for.
func (e *endpoint) Write(p []byte) (n int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.writing { // one at a time, so that the bytes of two do not mix
		if err := e.writeErr(); err != nil {
			return 0, err
		}
		e.writable.Wait()
	}
	e.writing = true
	defer func() {
		e.writing = false
		e.writable.Broadcast()
	}()
	for {
		if err := e.writeErr(); err != nil {
			return n, err
		}
		if len(p) == 0 {
			return n, nil
		}
		room := e.out.room()
		if room == 0 {
			e.writable.Wait()
			continue
		}
		free := e.out.buf.reserve(min(room, len(p)))
		e.mu.Unlock()
		k := copy(free, p)
		e.mu.Lock()
		if e.err != nil || e.out.fin {
			k = 0
		}
		e.out.buf.commit(k)
		e.out.end += uint64(k)
		n, p = n+k, p[k:]
		e.work.Signal()
	}
}

// CloseWrite ends the outgoing direction: the peer reads everything written so
// far, then io.EOF.
func (e *endpoint) CloseWrite() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closing:
		return net.ErrClosed
	case e.err != nil:
		return e.err
	}
	e.out.fin = true
	e.wake()
	return nil
}

// SetDeadline implements [net.Conn].
func (e *endpoint) SetDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return net.ErrClosed
	}
	e.rd.set(&e.mu, &e.readable, t)
	e.wd.set(&e.mu, &e.writable, t)
	return nil
}

// SetReadDeadline implements [net.Conn].
func (e *endpoint) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return net.ErrClosed
	}
	e.rd.set(&e.mu, &e.readable, t)
	return nil
}

// SetWriteDeadline implements [net.Conn].
func (e *endpoint) SetWriteDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return net.ErrClosed
	}
	e.wd.set(&e.mu, &e.writable, t)
	return nil
}

// Err is why the session ended, nil while it lives. Its code is "closed" after a
// regular end.
func (e *endpoint) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// Done is closed when the session has ended and its path is closed.
func (e *endpoint) Done() <-chan struct{} { return e.done }

// LocalAddr implements [net.Conn]; it is the path's.
func (e *endpoint) LocalAddr() net.Addr { return e.path.LocalAddr() }

// RemoteAddr implements [net.Conn]; it is the path's, which is the gateway's.
func (e *endpoint) RemoteAddr() net.Addr { return e.path.RemoteAddr() }
