package session

import (
	"bufio"
	"encoding/binary"
	"io"
	"time"

	"github.com/reachback/reachback"
)

// headBuffer holds at least one frame of every type but DATA and extensions. The
// bytes of larger frames go around it, into the receive buffer.
const headBuffer = 1 << 10

// readPath is the reading goroutine. It ends with the path.
func (s *Session) readPath() {
	defer s.leave()
	br := bufio.NewReaderSize(s.path, headBuffer)
	var err error
	for err == nil {
		err = s.readFrame(br)
	}
	if s.ended(err) {
		// Whatever the peer still sends is of no interest, but its end is.
		if _, err = br.WriteTo(io.Discard); err != nil {
			s.depart()
		}
	}
}

// ended takes note of why no more frames are read, and reports whether the path
// is to be read until its end: in that case the session was ended with a word.
func (s *Session) ended(err error) bool {
	s.mu.Lock()
	over, aborted := s.err != nil, s.aborted
	var broken *pathError
	switch e := err.(type) {
	case *pathError:
		broken = e
	case *resetError:
		if !over {
			if e.code != reachback.CodeClosed {
				s.drop()
			}
			s.finish(s.refuse(e.code))
		}
	default:
		if !over {
			s.drop()
			s.farewell = reachback.CodeOf(err)
			s.finish(s.identify(err))
		}
	}
	regular := s.in.ended && s.out.finAcked
	s.mu.Unlock()
	switch {
	case broken == nil:
		return !aborted
	case over && broken.cause == io.EOF:
		return false
	case regular:
		s.abort(s.refuse(reachback.CodeClosed))
	default:
		if broken.cause == io.EOF {
			broken.cause = io.ErrUnexpectedEOF
		}
		s.abort(s.lost(broken.cause))
	}
	return false
}

// A pathError is an error of the path, a resetError the peer's RESET. Any other
// error of readFrame is a fault of the peer.
type pathError struct{ cause error }

func (e *pathError) Error() string { return e.cause.Error() }

type resetError struct{ code reachback.Code }

func (e *resetError) Error() string { return string(e.code) }

// readFrame reads and handles one frame.
func (s *Session) readFrame(br *bufio.Reader) error {
	h, err := br.Peek(headerLen)
	if err != nil {
		return &pathError{err}
	}
	t, n := frameType(h[0]), binary.BigEndian.Uint32(h[1:])
	br.Discard(headerLen)
	if err := s.checkType(t); err != nil {
		return err
	}
	if err := checkLength(t, n); err != nil {
		return err
	}
	switch {
	case t == frameData:
		return s.readData(br, int(n)-dataHeadLen)
	case t >= frameExtension:
		if _, err := br.Discard(int(n)); err != nil {
			return &pathError{err}
		}
		s.mu.Lock()
		s.pulse.heard = time.Now()
		s.mu.Unlock()
		return nil
	}
	b, err := br.Peek(int(n))
	if err != nil {
		return &pathError{err}
	}
	f, err := parseBody(t, b)
	if err != nil {
		return err
	}
	br.Discard(int(n))
	return s.handle(&f)
}

// checkType sees to it that HELLO comes first, and once. Only a refusal may come
// in its place.
func (s *Session) checkType(t frameType) error {
	select {
	case <-s.hello:
		if t == frameHello {
			return reachback.Refuse(reachback.CodeProtocolError)
		}
	default:
		if t != frameHello && t != frameReset {
			return reachback.Refuse(reachback.CodeProtocolError)
		}
	}
	return nil
}

// handle takes in a frame other than DATA.
func (s *Session) handle(f *frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.pulse.heard = now
	switch f.typ {
	case frameHello:
		// Features are for later versions: who has none to offer reads none.
		s.out.limit = f.limit
		close(s.hello)
	case frameAck:
		if err := s.out.acknowledge(f.offset, f.limit); err != nil {
			return err
		}
		s.writable.Broadcast()
		s.closeIfAcked()
	case frameReset:
		return &resetError{f.code}
	case framePing:
		s.sendPong, s.pong = true, f.probe
		s.work.Signal()
	case framePong:
		s.pulse.pong(f.probe, now)
	}
	return nil
}

// readData reads the rest of a DATA frame with n bytes, straight into the receive
// buffer. Every piece is there for the application as soon as it has come.
func (s *Session) readData(br *bufio.Reader, n int) error {
	h, err := br.Peek(dataHeadLen)
	if err != nil {
		return &pathError{err}
	}
	f, err := parseBody(frameData, h)
	if err != nil {
		return err
	}
	br.Discard(dataHeadLen)

	s.mu.Lock()
	defer s.mu.Unlock()
	skip, err := s.in.check(f.offset, n, f.fin)
	if err != nil {
		return err
	}
	for n > 0 {
		var piece []byte
		if skip == 0 && !s.in.discard {
			piece = s.in.buf.reserve(n)
		}
		s.mu.Unlock()
		var k int
		switch {
		case skip > 0:
			k, err = br.Discard(skip)
		case piece != nil:
			k, err = br.Read(piece)
		default:
			k, err = br.Discard(n)
		}
		s.mu.Lock()
		if piece != nil {
			s.in.buf.commit(k)
		}
		if skip > 0 {
			skip -= k
		} else {
			s.in.took(k)
		}
		n -= k
		if err != nil {
			return &pathError{err}
		}
		s.pulse.heard = time.Now()
		s.readable.Broadcast()
		s.scheduleAck()
	}
	if s.in.hasFIN && s.in.next == s.in.fin {
		s.in.ended = true
		s.readable.Broadcast()
		s.scheduleAck()
	}
	s.pulse.heard = time.Now()
	return nil
}
