package broker

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
)

// session is the row of a [Session].
type session struct {
	Session
	calls  map[string]bool // those that carry bytes
	joined bool            // since it was last pending
	next   entry           // what happens if State stays as it is
}

type spending struct {
	call    string
	raw     bool
	address netip.Addr
	first   time.Time
}

// NewTokenID implements [Sessions]. The id begins with a mark of this directory,
// which is how the ids of an earlier process are told from unused ones.
func (d *MemoryDirectory) NewTokenID(context.Context) (string, error) {
	d.begin()
	defer d.mu.Unlock()
	return d.instance + "." + randomID(16), nil
}

// spend uses the reservation's token up.
func (d *MemoryDirectory) spend(s *Reservation, now time.Time) error {
	if !strings.HasPrefix(s.Token, d.instance+".") {
		return reachback.Refuse(reachback.CodeTokenStale)
	}
	if row := d.tokens[s.Token]; row != nil && row.State == SessionKilled {
		return reachback.Refuse(reachback.CodeKilled)
	}
	switch use := d.spent[s.Token]; {
	case use == nil:
		d.spent[s.Token] = &spending{s.Call, s.Raw, s.Address, now}
		d.agenda.add(s.Expires.Add(2*token.Leeway), func(time.Time) { delete(d.spent, s.Token) })
		return nil
	case use.call == s.Call:
		return nil
	case use.raw && s.Raw && use.address == s.Address && now.Sub(use.first) < RawRepeats:
		return nil
	}
	return reachback.Refuse(reachback.CodeTokenReplayed)
}

// move is the one place where a session's state changes (see [SessionState]). It
// reports whether it has.
func (d *MemoryDirectory) move(s *session, to SessionState, now time.Time) bool {
	from := s.State
	if from == SessionKilled || from == to && to != SessionPending {
		return false
	}
	if from != to {
		s.State, s.Changed = to, now
	}
	if to == SessionPending || to == SessionActive {
		u := d.desktop(s)
		u.live[s.ID] = s
		if u.last == s {
			u.last = nil
		}
		s.joined = to == SessionActive
		if s.joined {
			d.agenda.drop(&s.next)
		} else {
			s.next.do = func(then time.Time) { d.move(s, SessionEnded, then) }
			d.agenda.set(&s.next, now.Add(JoinWithin))
		}
		return from != to
	}
	clear(s.calls)
	d.keep(s, now)
	if from == SessionPending || from == SessionActive {
		u := d.desktop(s)
		delete(u.live, s.ID)
		if s.joined && to != SessionLost {
			d.linger(u, s, now)
		}
		d.settle(u, now)
	}
	return true
}

// keep has a session that is over forgotten in due time, unless it stands for a
// user session.
func (d *MemoryDirectory) keep(s *session, now time.Time) {
	if u := d.host(s.Host).desktops[s.User.ID()]; u == nil || u.last != s {
		d.keepFor(s, keepFor(s.State), now)
	}
}

func (d *MemoryDirectory) keepFor(s *session, long time.Duration, now time.Time) {
	s.next.do = func(time.Time) { d.forget(s) }
	d.agenda.set(&s.next, now.Add(long))
}

func keepFor(s SessionState) time.Duration {
	switch s {
	case SessionLost:
		return KeepLost
	case SessionKilled:
		return KeepKilled
	}
	return KeepEnded
}

func (d *MemoryDirectory) forget(s *session) {
	delete(d.sessions, s.ID)
	if d.tokens[s.Token] == s {
		delete(d.tokens, s.Token)
	}
}

func (s *session) copy() *Session {
	c := s.Session
	return &c
}

// Release implements [Sessions].
func (d *MemoryDirectory) Release(_ context.Context, id string) error {
	now := d.begin()
	defer d.mu.Unlock()
	if s := d.sessions[id]; s != nil && s.State == SessionPending {
		d.move(s, SessionEnded, now)
	}
	return nil
}

// Joined implements [Sessions].
func (d *MemoryDirectory) Joined(_ context.Context, id, call string) error {
	now := d.begin()
	defer d.mu.Unlock()
	if s := d.sessions[id]; s != nil && s.State != SessionKilled {
		d.move(s, SessionActive, now)
		if len(s.calls) < MaxSessionCalls {
			s.calls[call] = true
		}
	}
	return nil
}

// Left implements [Sessions].
func (d *MemoryDirectory) Left(_ context.Context, id, call string) error {
	now := d.begin()
	defer d.mu.Unlock()
	s := d.sessions[id]
	if s == nil {
		return nil
	}
	delete(s.calls, call)
	if len(s.calls) == 0 && (s.State == SessionPending || s.State == SessionActive) {
		d.move(s, SessionEnded, now)
	}
	return nil
}

// Kill implements [Sessions].
func (d *MemoryDirectory) Kill(_ context.Context, id string, c reachback.Code) error {
	now := d.begin()
	defer d.mu.Unlock()
	s := d.sessions[id]
	if s == nil {
		return reachback.Refuse(reachback.CodeNotFound)
	}
	if !d.move(s, SessionKilled, now) {
		return nil
	}
	d.revision++
	k := Kill{Kill: relay.Kill{Revision: d.revision, Session: id, Code: c}, On: s.Host}
	d.kills = append(d.kills, k)
	d.agenda.add(now.Add(KeepKilled), func(time.Time) {
		d.kills = slices.DeleteFunc(d.kills, func(o Kill) bool { return o.Revision == k.Revision })
	})
	return nil
}

// Session implements [Sessions].
func (d *MemoryDirectory) Session(_ context.Context, id string) (*Session, error) {
	d.begin()
	defer d.mu.Unlock()
	if s := d.sessions[id]; s != nil {
		return s.copy(), nil
	}
	return nil, reachback.Refuse(reachback.CodeNotFound)
}

// ListSessions implements [Sessions].
func (d *MemoryDirectory) ListSessions(_ context.Context, q *SessionQuery) ([]Session, error) {
	d.begin()
	defer d.mu.Unlock()
	var found []Session
	for _, s := range d.sessions {
		live := s.State == SessionPending || s.State == SessionActive
		if s.User.Tenant == q.Tenant && (q.User == "" || s.User.Subject == q.User) && (q.Host == "" || s.Host == q.Host) && (live || !q.Live) {
			found = append(found, s.Session)
		}
	}
	slices.SortFunc(found, func(a, b Session) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	return found[:min(len(found), page(q.Limit))], nil
}
