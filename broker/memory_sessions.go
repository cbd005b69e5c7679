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

const (
	// joinWithin is how long a reserved slot waits for its connection.
	joinWithin = 30 * time.Second
	// rawRepeats is how long after its first use a raw token may be used again.
	rawRepeats = 60 * time.Second

	defaultLinger = 5 * time.Minute
	keepEnded     = 15 * time.Minute
	keepLost      = time.Hour
	keepKilled    = 24 * time.Hour
)

// session is the row of a [Session].
type session struct {
	Session
	calls  map[string]bool // those that carry bytes
	joined bool            // since it was last pending
	next   entry           // what happens if State stays as it is
}

// desktop is what a user has on a host: a user session. It counts while one of
// its sessions is pending or active, and lingers after.
type desktop struct {
	key    desktopKey
	host   *hostState
	live   map[string]*session
	used   time.Time // last reservation
	linger time.Time // counts until then
	end    entry     // of that
}

// desktopKey names a user in a pool.
type desktopKey struct{ tenant, pool, user string }

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
	case use.raw && s.Raw && use.address == s.Address && now.Sub(use.first) < rawRepeats:
		return nil
	}
	return reachback.Refuse(reachback.CodeTokenReplayed)
}

// move is the one place where a session's state changes (see [SessionState]).
func (d *MemoryDirectory) move(s *session, to SessionState, now time.Time) {
	if s.State == SessionKilled {
		return
	}
	from := s.State
	s.State = to
	switch to {
	case SessionPending, SessionActive:
		if to == SessionActive {
			s.joined = true
			d.agenda.drop(&s.next)
		} else {
			s.joined = false
			s.next.do = func(then time.Time) { d.move(s, SessionEnded, then) }
			d.agenda.set(&s.next, now.Add(joinWithin))
		}
		u := d.desktop(s)
		u.live[s.ID] = s
		return
	case SessionLost:
		d.keep(s, now.Add(keepLost))
	case SessionEnded:
		d.keep(s, now.Add(keepEnded))
	case SessionKilled:
		d.keep(s, now.Add(keepKilled))
	}
	clear(s.calls)
	if from != SessionPending && from != SessionActive {
		return
	}
	u := d.desktop(s)
	delete(u.live, s.ID)
	if s.joined && to != SessionLost {
		u.linger = now.Add(cmp.Or(d.Linger, defaultLinger))
		d.agenda.set(&u.end, u.linger)
	}
	d.settle(u, now)
}

// keep has a session that is over forgotten at a time.
func (d *MemoryDirectory) keep(s *session, until time.Time) {
	s.next.do = func(time.Time) { d.forget(s) }
	d.agenda.set(&s.next, until)
}

func (d *MemoryDirectory) forget(s *session) {
	delete(d.sessions, s.ID)
	if d.tokens[s.Token] == s {
		delete(d.tokens, s.Token)
	}
}

// desktop returns the user session that s belongs to, and begins one.
func (d *MemoryDirectory) desktop(s *session) *desktop {
	key := desktopKey{s.User.Tenant, s.Resource.Pool, s.User.ID()}
	h := d.host(s.Host)
	u := h.desktops[key.user]
	if u == nil {
		u = &desktop{key: key, host: h, live: make(map[string]*session)}
		u.end.do = func(then time.Time) { d.settle(u, then) }
		h.desktops[key.user] = u
		if d.desktops[key] == nil {
			d.desktops[key] = make(map[string]*desktop)
		}
		d.desktops[key][h.id] = u
	}
	return u
}

// settle removes the user session when it counts no more.
func (d *MemoryDirectory) settle(u *desktop, now time.Time) {
	if len(u.live) > 0 || now.Before(u.linger) || u.host.desktops[u.key.user] != u {
		return
	}
	d.agenda.drop(&u.end)
	delete(u.host.desktops, u.key.user)
	delete(d.desktops[u.key], u.host.id)
	if len(d.desktops[u.key]) == 0 {
		delete(d.desktops, u.key)
	}
}

// vacate ends everything on a host, its user sessions too.
func (d *MemoryDirectory) vacate(h *hostState, to SessionState, now time.Time) {
	for _, u := range h.desktops {
		for _, s := range u.live {
			d.move(s, to, now)
		}
		u.linger = now
		d.settle(u, now)
	}
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
		s.calls[call] = true
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

// HostReport implements [Presence].
func (d *MemoryDirectory) HostReport(_ context.Context, host string, epoch uint64, full bool, reports []SessionReport) (*ReportAnswer, error) {
	now := d.begin()
	defer d.mu.Unlock()
	a := &ReportAnswer{}
	h := d.hosts[host]
	if h == nil || h.epoch != epoch || !h.up {
		return a, nil // a ghost's
	}
	listed := make(map[string]bool, len(reports))
	for _, r := range reports {
		s := d.sessions[r.Session]
		if s == nil || s.Host != host {
			a.Unknown++
			continue
		}
		listed[s.ID] = true
		switch {
		case s.State == SessionKilled:
			if r.State == ReportActive {
				a.Kills = append(a.Kills, Kill{Kill: relay.Kill{Session: s.ID, Code: reachback.CodeKilled}, On: host})
			}
		case r.State == ReportActive && s.State != SessionActive:
			d.move(s, SessionActive, now)
		case r.State == ReportEnded && s.State != SessionEnded:
			d.move(s, SessionEnded, now)
		}
	}
	if full {
		for _, u := range h.desktops {
			for _, s := range u.live {
				// The host may not have heard of what this channel summoned it for.
				if s.Epoch < epoch && !listed[s.ID] {
					d.move(s, SessionEnded, now)
				}
			}
		}
	}
	return a, nil
}

// Kill implements [Sessions].
func (d *MemoryDirectory) Kill(_ context.Context, id string, c reachback.Code) error {
	now := d.begin()
	defer d.mu.Unlock()
	s := d.sessions[id]
	if s == nil {
		return reachback.Refuse(reachback.CodeNotFound)
	}
	if s.State == SessionKilled {
		return nil
	}
	d.move(s, SessionKilled, now)
	d.revision++
	k := Kill{Kill: relay.Kill{Revision: d.revision, Session: id, Code: c}, On: s.Host}
	d.kills = append(d.kills, k)
	d.agenda.add(now.Add(keepKilled), func(time.Time) {
		d.kills = slices.DeleteFunc(d.kills, func(o Kill) bool { return o.Revision == k.Revision })
	})
	return nil
}
