// Package session is the stream between client and host: a connection of bytes
// built on offsets, acknowledgements and limits, of which the path underneath is
// a part that can be lost (SPEC.md, section 6). Beside it is the session of a
// raw call, whose bytes go over the path as they are.
//
// Two goroutines work for a framed session. The reader takes frames from the
// path into the receive buffer and never waits for anything else: what it has to
// answer it leaves to the writer as a note, of which there is one of each kind.
// The writer is the only one that writes to the path. Both end with the session,
// and Close waits for them.
package session

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/reachback/reachback"
)

// A Session is a framed session. Its methods are those of a [net.Conn] and may
// be called concurrently.
type Session struct {
	endpoint
	hello chan struct{} // closed at the peer's HELLO

	// Guarded by mu.
	in        receiver
	dropped   bool // the peer or we threw away what was not read
	sendHello bool
	sendAck   bool
	sendPong  bool
	pong      uint64 // what the PONG repeats
	farewell  reachback.Code
	ackTimer  *time.Timer // a delayed ACK
	ackArmed  bool
	pulse     pulse
}

// Stats are numbers of one session.
type Stats struct {
	BytesIn, BytesOut int64         // what the application read and wrote
	RoundTrip         time.Duration // of the newest PING; zero before the first PONG
}

// Open starts a session on a path and returns at the peer's HELLO. An error is the
// end of the path too.
func Open(ctx context.Context, p Path, cfg Config) (*Session, error) {
	s := &Session{hello: make(chan struct{}), sendHello: true}
	s.init(p, cfg)
	s.out.max = maxUnacked
	s.in.window = cfg.window()
	s.in.limit = s.in.window
	s.goroutines = 2
	s.mu.Lock()
	s.startPulse()
	s.mu.Unlock()
	go s.readPath()
	go s.writePath()
	select {
	case <-s.hello:
	case <-s.done:
	case <-ctx.Done():
		s.abort(context.Cause(ctx))
		<-s.done
		return nil, s.Err()
	}
	// A session counts even if it was a short one.
	select {
	case <-s.hello:
		return s, nil
	default:
		<-s.done
		return nil, s.Err()
	}
}

// Refuse tells the peer of a fresh path, as the first and only frame, why there
// will be no session, and closes the path.
func Refuse(p Path, c reachback.Code) {
	linger := time.AfterFunc(lingerTimeout, func() { p.Close() })
	defer linger.Stop()
	defer p.Close()
	if _, err := p.Write(appendReset(nil, c)); err != nil {
		return
	}
	if err := p.CloseWrite(); err != nil {
		return
	}
	io.Copy(io.Discard, p)
}

// Read implements [net.Conn]. After the loss of the path it still returns what
// was taken before, and io.EOF where FIN was among it.
func (s *Session) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.closing:
			return 0, net.ErrClosed
		case s.rd.expired:
			return 0, errTimeout
		case s.reading: // another Read copies
		case s.dropped:
			return 0, s.err
		case s.in.buf.n > 0:
			return s.take(p), nil
		case s.in.ended:
			return 0, io.EOF
		case s.err != nil:
			return 0, s.err
		case len(p) == 0:
			return 0, nil
		}
		s.readable.Wait()
	}
}

// take moves bytes from the receive buffer to p.
func (s *Session) take(p []byte) (n int) {
	s.reading = true
	v, _ := s.in.buf.peek(0, len(p))
	s.mu.Unlock()
	for _, b := range v {
		n += copy(p[n:], b)
	}
	s.mu.Lock()
	s.reading = false
	s.readable.Broadcast()
	s.in.buf.consume(n)
	s.bytesIn += int64(n)
	s.scheduleAck()
	return n
}

// Stats returns the numbers of the session.
func (s *Session) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{BytesIn: s.bytesIn, BytesOut: int64(s.out.end), RoundTrip: s.pulse.roundTrip}
}

// Close sends FIN, throws away what still comes, and when the peer has everything,
// or after 5 s, ends the session. It returns when the session's goroutines are
// gone, with an error if the peer may lack something that was written.
func (s *Session) Close() error {
	s.mu.Lock()
	if !s.closing {
		s.in.discard = true
		s.in.buf.drop()
		s.scheduleAck()
		s.beginClose(s.closeExpired)
		s.closeIfAcked()
	}
	s.mu.Unlock()
	return s.closed()
}

// closeIfAcked, called with mu held, ends a session that is being closed once the
// peer has acknowledged FIN.
func (s *Session) closeIfAcked() {
	if s.closing && s.out.finAcked && s.err == nil {
		s.farewell = reachback.CodeClosed
		s.finish(s.refuse(reachback.CodeClosed))
	}
}

func (s *Session) closeExpired() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.farewell = reachback.CodeClosed
		s.finish(s.lost(errUnacknowledged))
	}
}

// CloseWithCode ends the session at once. The peer's calls fail with the code, and
// what either end has not read is lost.
func (s *Session) CloseWithCode(c reachback.Code) error {
	if !c.Valid() {
		c = reachback.CodeInternal
	}
	s.mu.Lock()
	if s.err == nil {
		s.drop()
		s.farewell = c
		s.finish(s.refuse(c))
	}
	s.closing, s.abandoned = true, true
	s.wake()
	s.mu.Unlock()
	return s.closed()
}

// drop, called with mu held, throws away what was not read.
func (s *Session) drop() {
	s.dropped = true
	s.in.discard = true
	s.in.buf.drop()
}
