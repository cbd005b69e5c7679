package broker

import (
	"context"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// desktop is what a user has on a host: a user session. It counts while one of
// its sessions is pending or active, while its host says that it goes on, and
// lingers after.
type desktop struct {
	key    desktopKey
	host   *hostState
	live   map[string]*session
	used   time.Time // last reservation
	last   *session  // which was joined and is over; its host names the user session by it. May be nil
	held   bool      // the host has said that it goes on, and will say when it is over
	linger time.Time // counts until then
	end    entry     // of that
}

// desktopKey names a user in a pool.
type desktopKey struct{ tenant, pool, user string }

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

// stand has s stand for its user session, and not be forgotten while it does.
func (d *MemoryDirectory) stand(u *desktop, s *session, now time.Time) {
	before := u.last
	u.last = s
	d.agenda.drop(&s.next)
	if before != nil && before != s {
		d.keep(before, now)
	}
}

// linger has the user session of s count on for the pool's time, because nobody
// will say when it is over.
func (d *MemoryDirectory) linger(u *desktop, s *session, now time.Time) {
	d.stand(u, s, now)
	after := DefaultLinger
	if p := d.pool(u.key.tenant, u.key.pool); p != nil {
		after = p.LingerFor()
	}
	u.linger = now.Add(after)
	d.agenda.set(&u.end, u.linger)
}

// settle removes the user session when it counts no more.
func (d *MemoryDirectory) settle(u *desktop, now time.Time) {
	if len(u.live) > 0 || u.held || now.Before(u.linger) || u.host.desktops[u.key.user] != u {
		return
	}
	d.agenda.drop(&u.end)
	delete(u.host.desktops, u.key.user)
	delete(d.desktops[u.key], u.host.id)
	if len(d.desktops[u.key]) == 0 {
		delete(d.desktops, u.key)
	}
	if u.last != nil {
		d.keep(u.last, now)
	}
}

// vacate ends everything on a host, its user sessions too. Should it come back, it
// may still name them by the sessions that stood for them.
func (d *MemoryDirectory) vacate(h *hostState, to SessionState, now time.Time) {
	for _, u := range h.desktops {
		for _, s := range u.live {
			d.move(s, to, now)
		}
		u.held, u.linger = false, now
		d.settle(u, now)
		if u.last != nil {
			d.keepFor(u.last, max(keepFor(to), keepFor(u.last.State)), now)
		}
	}
}

// HostReport implements [Presence].
func (d *MemoryDirectory) HostReport(_ context.Context, host string, epoch uint64, full bool, reports []SessionReport) (*ReportAnswer, error) {
	now := d.begin()
	defer d.mu.Unlock()
	a := &ReportAnswer{}
	h := d.current(host, epoch)
	if h == nil {
		return a, nil
	}
	listed := make(map[string]bool, len(reports))
	for _, r := range reports {
		s := d.sessions[r.Session]
		if s == nil || s.Host != host {
			a.Unknown++
			continue
		}
		listed[s.ID] = true
		if d.reported(s, r.State, now) {
			a.Changed = append(a.Changed, s.Session)
		}
		if s.State == SessionKilled && r.State == ReportActive {
			a.Kills = append(a.Kills, Kill{Kill: relay.Kill{Session: s.ID, Code: reachback.CodeKilled}, On: host})
		}
	}
	if full {
		a.Changed = append(a.Changed, d.unlisted(h, listed, now)...)
	}
	return a, nil
}

// reported takes note of what a host says of a session, and reports whether that
// has changed the session's state.
func (d *MemoryDirectory) reported(s *session, state string, now time.Time) (changed bool) {
	switch state {
	case ReportActive:
		return d.move(s, SessionActive, now)
	case ReportEnded, ReportDisconnected, ReportLoggedOff:
		changed = d.move(s, SessionEnded, now)
	default: // of a later version
		return false
	}
	if state == ReportDisconnected {
		u := d.desktop(s)
		u.held = true
		d.stand(u, s, now)
		return changed
	}
	u := d.host(s.Host).desktops[s.User.ID()]
	if u == nil {
		return changed
	}
	if state == ReportLoggedOff {
		u.held, u.linger = false, now
		d.settle(u, now)
	} else if u.held && u.last == s {
		d.release(u, now)
	}
	return changed
}

// release has a user session that its host no longer speaks for linger.
func (d *MemoryDirectory) release(u *desktop, now time.Time) {
	u.held = false
	if u.last != nil {
		d.linger(u, u.last, now)
	}
	d.settle(u, now)
}

// unlisted ends what a full report has left out, and returns the sessions whose
// state that has changed.
func (d *MemoryDirectory) unlisted(h *hostState, listed map[string]bool, now time.Time) (changed []Session) {
	for _, u := range h.desktops {
		for _, s := range u.live {
			// The host may not have heard of what this channel summoned it for.
			if s.Epoch < h.epoch && !listed[s.ID] && d.move(s, SessionEnded, now) {
				changed = append(changed, s.Session)
			}
		}
		if u.held && (u.last == nil || !listed[u.last.ID]) {
			d.release(u, now)
		}
	}
	return changed
}
