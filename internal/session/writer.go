package session

import (
	"sync"
	"time"
)

const (
	// recordBytes is the most that one record of the inner TLS carries if its
	// ciphertext is to fill one record of the outer TLS exactly: 16384 less
	// the header (5), the type (1) and the tag (16).
	recordBytes = 16<<10 - 22
	// batchBytes is what the writer gathers before it writes to the path.
	batchBytes = 4 * recordBytes

	ackDelay = 25 * time.Millisecond
)

// A batch is what the writer gathers frames in, while it has any.
type batch [batchBytes]byte

var batches = sync.Pool{New: func() any { return new(batch) }}

// scheduleAck, called with mu held, has the writer send an ACK when one is due, now
// or a little later.
func (s *Session) scheduleAck() {
	if s.sendAck || s.err != nil {
		return
	}
	now, soon := s.in.ackDue()
	switch {
	case now:
		s.sendAck = true
		s.work.Signal()
	case !soon || s.ackArmed:
	case s.ackTimer == nil:
		s.ackArmed = true
		s.ackTimer = time.AfterFunc(ackDelay, s.ackLate)
	default:
		s.ackArmed = true
		s.ackTimer.Reset(ackDelay)
	}
}

func (s *Session) ackLate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ackArmed = false
	if _, soon := s.in.ackDue(); soon && s.err == nil {
		s.sendAck = true
		s.work.Signal()
	}
}

// writePath is the writing goroutine. It ends with the session, after the last
// word, or with the path.
func (s *Session) writePath() {
	defer s.leave()
	for {
		s.mu.Lock()
		for !s.hasWork() {
			s.work.Wait()
		}
		if s.err != nil {
			break
		}
		s.mu.Unlock()
		buf := batches.Get().(*batch)
		err := writeRecords(s.path, s.gather(buf))
		batches.Put(buf)
		if err != nil {
			s.abort(s.lost(err))
			return
		}
	}
	aborted, last := s.aborted, s.appendLast(nil)
	s.stopTimers()
	s.mu.Unlock()
	if aborted {
		return
	}
	err := writeRecords(s.path, last)
	if err == nil {
		err = s.path.CloseWrite()
	}
	if err != nil {
		s.abort(nil)
		return
	}
	s.lastWord()
}

func (s *Session) hasWork() bool {
	return s.err != nil || s.sendHello || s.sendAck || s.sendPong || s.pulse.send || s.out.pending()
}

// gather fills buf with the frames that wait: notes first, then DATA while there
// is room. Bytes are copied outside the lock; nothing can release them before
// they are marked as sent.
func (s *Session) gather(buf *batch) []byte {
	s.mu.Lock()
	b := s.appendNotes(buf[:0])
	if !s.out.pending() {
		s.mu.Unlock()
		return b
	}
	offset, v, n, fin := s.out.peek(min(maxData, len(buf)-len(b)-headerLen-dataHeadLen))
	s.mu.Unlock()
	b = appendData(b, offset, n, fin)
	for _, piece := range v {
		b = append(b, piece...)
	}
	s.mu.Lock()
	s.out.sent(n, fin)
	s.mu.Unlock()
	return b
}

// appendNotes, called with mu held, appends the frames that are not DATA.
func (s *Session) appendNotes(b []byte) []byte {
	if s.sendHello {
		s.sendHello = false
		b = appendHello(b, 0, s.in.limit)
	}
	if s.sendPong {
		s.sendPong = false
		b = appendProbe(b, framePong, s.pong)
	}
	// An ACK that is only due later costs nothing extra now.
	if s.sendAck || s.in.offset() > s.in.acked {
		s.sendAck = false
		offset, limit := s.in.ack()
		b = appendAck(b, offset, limit)
	}
	if s.pulse.send {
		b = appendProbe(b, framePing, s.pulse.ping())
	}
	return b
}

// appendLast, called with mu held, appends what an ended session has to say.
func (s *Session) appendLast(b []byte) []byte {
	if s.in.offset() > s.in.acked {
		b = appendAck(b, s.in.offset(), s.in.limit)
	}
	if s.farewell != "" {
		b = appendReset(b, s.farewell)
	}
	return b
}

// stopTimers is called with mu held, when the session has ended.
func (s *Session) stopTimers() {
	s.pulse.timer.Stop()
	if s.ackTimer != nil {
		s.ackTimer.Stop()
	}
}

// writeRecords writes b in pieces that fill records well.
func writeRecords(p Path, b []byte) error {
	for len(b) > 0 {
		n := min(len(b), recordBytes)
		if _, err := p.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
