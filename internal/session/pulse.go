package session

import (
	"time"

	"github.com/reachback/reachback"
)

const (
	// pingInterval is between two PINGs, of which the first goes out with HELLO.
	pingInterval = 10 * time.Second
	// deadAfter is how long a path may be without any frame.
	deadAfter = 25 * time.Second
)

// A pulse is a session's knowledge of its path's life. Guarded by mu.
type pulse struct {
	timer     *time.Timer
	heard     time.Time // when the last piece of a frame came
	due       time.Time // when the next PING is
	send      bool      // a PING waits to be sent
	probe     uint64    // of the newest PING
	sent      time.Time // when that was; zero after its PONG
	roundTrip time.Duration
}

// startPulse is called with mu held, before the session's goroutines run.
func (s *Session) startPulse() {
	now := time.Now()
	s.pulse.heard, s.pulse.due, s.pulse.send = now, now.Add(pingInterval), true
	s.pulse.timer = time.AfterFunc(pingInterval, s.beat)
}

// beat sends a PING when one is due and gives a silent path up.
func (s *Session) beat() {
	s.mu.Lock()
	now := time.Now()
	dead := s.pulse.heard.Add(deadAfter)
	switch {
	case s.err != nil:
		s.mu.Unlock()
		return
	case !now.Before(dead):
		s.mu.Unlock()
		s.abort(s.lost(reachback.Refuse(reachback.CodeHeartbeatLost)))
		return
	}
	defer s.mu.Unlock()
	if !now.Before(s.pulse.due) {
		s.pulse.due, s.pulse.send = now.Add(pingInterval), true
		s.work.Signal()
	}
	next := s.pulse.due
	if dead.Before(next) {
		next = dead
	}
	s.pulse.timer.Reset(next.Sub(now))
}

// ping returns the probe of a PING that goes out now.
func (p *pulse) ping() uint64 {
	p.send = false
	p.probe++
	p.sent = time.Now()
	return p.probe
}

// pong takes in a PONG. One that answers another PING than the newest says nothing.
func (p *pulse) pong(probe uint64, now time.Time) {
	if probe == p.probe && !p.sent.IsZero() {
		p.roundTrip = now.Sub(p.sent)
		p.sent = time.Time{}
	}
}
