package sqldirectory

import (
	"time"

	"github.com/reachback/reachback/broker"
)

// move is the one place where a session's state changes (see broker.SessionState).
// It reports whether it has.
func (l *ledger) move(s *session, to broker.SessionState, now int64) bool {
	from := s.state
	if from == broker.SessionKilled || from == to && to != broker.SessionPending {
		return false
	}
	wasLive := s.live()
	if from != to {
		s.state, s.changed = to, now
	}
	s.dirty = true
	if s.live() {
		u := l.desktop(s)
		if !wasLive {
			u.live++
		}
		if u.last == s.id {
			u.last = ""
		}
		s.joined, s.due = to == broker.SessionActive, 0
		if !s.joined {
			s.due = now + broker.JoinWithin.Microseconds()
		}
		return from != to
	}
	s.calls = nil
	l.forget(s, keepFor(s.state), now)
	if wasLive {
		u := l.desktop(s)
		u.live--
		if s.joined && to != broker.SessionLost {
			l.goOn(u, s, now)
		}
		l.settle(u, now)
	}
	return true
}

// keepFor is how long a session that is over is remembered.
func keepFor(s broker.SessionState) time.Duration {
	switch s {
	case broker.SessionLost:
		return broker.KeepLost
	case broker.SessionKilled:
		return broker.KeepKilled
	}
	return broker.KeepEnded
}

// forget has a session that is over forgotten in due time, unless it stands for its
// user session.
func (l *ledger) forget(s *session, after time.Duration, now int64) {
	if u := l.current(s); u == nil || u.last != s.id {
		s.due, s.dirty = now+after.Microseconds(), true
	}
}

// forgetID is forget for a session that stands for nothing any more.
func (l *ledger) forgetID(id string, least time.Duration, now int64) {
	if s := l.sessions[id]; s != nil {
		s.due, s.dirty = now+max(least, keepFor(s.state)).Microseconds(), true
		return
	}
	l.keep = append(l.keep, keeping{id, least, now})
}

// stand has s stand for its user session: it is not forgotten while it does.
func (l *ledger) stand(u *desktop, s *session, now int64) {
	before := u.last
	u.last, u.changed = s.id, true
	s.due, s.dirty = never, true
	if before != "" && before != s.id {
		l.forgetID(before, broker.KeepEnded, now)
	}
}

// goOn has the user session of s count on for the pool's time, because nobody will
// say when it is over.
func (l *ledger) goOn(u *desktop, s *session, now int64) {
	l.stand(u, s, now)
	u.linger = now + l.pool.linger
}

// settle removes the user session when it counts no more.
func (l *ledger) settle(u *desktop, now int64) {
	if !u.is || u.live > 0 || u.held || now < u.linger {
		return
	}
	u.is = false
	if u.last != "" {
		l.forgetID(u.last, broker.KeepEnded, now)
	}
}

// vacate ends everything on the host, all of which is in hand. Should it come back,
// it may still name its user sessions by the sessions that stood for them.
func (l *ledger) vacate(to broker.SessionState, now int64) {
	for _, s := range l.sessions {
		if s.live() {
			l.move(s, to, now)
		}
	}
	for _, u := range l.desktops {
		u.held, u.linger, u.changed = false, now, true
		l.settle(u, now)
		if u.last != "" {
			l.forgetID(u.last, keepFor(to), now)
		}
	}
}

// clear does what is due on the host, all of which is in hand, each thing as of its
// own time.
func (l *ledger) clear() {
	now := l.t.now
	for _, s := range l.sessions {
		if s.state == broker.SessionPending && s.due <= now {
			l.move(s, broker.SessionEnded, s.due)
		}
	}
	for _, u := range l.desktops {
		if u.linger <= now {
			l.settle(u, u.linger)
		}
	}
	if lost := l.host.lostAt(); lost <= now {
		l.vacate(broker.SessionLost, lost)
	}
}

// reported takes note of what the host says of a session, and reports whether that
// has changed the session's state.
func (l *ledger) reported(s *session, state string, now int64) (changed bool) {
	switch state {
	case broker.ReportActive:
		return l.move(s, broker.SessionActive, now)
	case broker.ReportEnded, broker.ReportDisconnected, broker.ReportLoggedOff:
		changed = l.move(s, broker.SessionEnded, now)
	default: // of a later version
		return false
	}
	if state == broker.ReportDisconnected {
		u := l.desktop(s)
		u.held = true
		l.stand(u, s, now)
		return changed
	}
	u := l.current(s)
	if u == nil {
		return changed
	}
	if state == broker.ReportLoggedOff {
		u.held, u.linger, u.changed = false, now, true
		l.settle(u, now)
	} else if u.held && u.last == s.id {
		l.release(u, now)
	}
	return changed
}

// release has a user session that its host no longer speaks for count on for the
// pool's time.
func (l *ledger) release(u *desktop, now int64) {
	u.held, u.changed = false, true
	if u.last != "" {
		u.linger = now + l.pool.linger
	}
	l.settle(u, now)
}

// unlisted ends what a full report has left out of what is in hand, all of the host,
// and returns the sessions whose state that has changed.
func (l *ledger) unlisted(listed map[string]bool, now int64) (changed []*session) {
	for _, s := range l.sessions {
		// The host may not have heard of what this channel summoned it for.
		if s.live() && s.epoch < l.host.epoch && !listed[s.id] && l.move(s, broker.SessionEnded, now) {
			changed = append(changed, s)
		}
	}
	for _, u := range l.desktops {
		if u.is && u.held && (u.last == "" || !listed[u.last]) {
			l.release(u, now)
		}
	}
	return changed
}
