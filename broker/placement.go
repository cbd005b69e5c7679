package broker

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/reachback/reachback"
)

// Reserve implements [Sessions].
func (d *MemoryDirectory) Reserve(_ context.Context, r *Reservation) (*Session, error) {
	now := d.begin()
	defer d.mu.Unlock()
	if err := d.spend(r, now); err != nil {
		return nil, err
	}
	res, err := d.assigned(&r.User, r.Resource)
	if err != nil {
		return nil, reachback.Refuse(reachback.CodeNotAssigned)
	}
	if r.Raw && !res.pool.Raw {
		return nil, reachback.Refuse(reachback.CodeRawNotAllowed)
	}
	if s := d.tokens[r.Token]; s != nil && r.Raw {
		if s.State == SessionKilled {
			return nil, reachback.Refuse(reachback.CodeKilled)
		}
		if h := d.hosts[s.Host]; h.reachable(r.Exclude, now) {
			if s.State != SessionActive {
				d.move(s, SessionPending, now)
			}
			s.Epoch, s.HostKey = h.epoch, d.hostRows[s.Host].Key
			return s.copy(), nil
		}
	}
	h, err := d.place(r, res, now)
	if err != nil {
		return nil, err
	}
	row := d.hostRows[h.id]
	s := &session{calls: make(map[string]bool), Session: Session{
		ID: randomID(16), User: r.User, Resource: res.Resource, Policy: res.pool.policy, Host: h.id, HostKey: row.Key,
		Epoch: h.epoch, Token: r.Token, Raw: r.Raw, CorrelationID: r.CorrelationID, Created: now, Changed: now,
	}}
	d.sessions[s.ID] = s
	d.tokens[s.Token] = s
	d.move(s, SessionPending, now)
	d.desktop(s).used = now
	return s.copy(), nil
}

// place finds the host for a user and a resource.
func (d *MemoryDirectory) place(r *Reservation, res *resource, now time.Time) (*hostState, error) {
	key := desktopKey{r.User.Tenant, res.Resource.Pool, r.User.ID()}
	if h := d.existing(key, res.pool, r.Exclude, now); h != nil {
		return h, nil
	}
	if res.pool.Kind == PoolPersonal {
		return d.personal(key, r.Exclude, now)
	}
	return d.pooled(key, res.pool, r.Exclude, now)
}

// reachable reports whether a host can be asked at all; drain and limits are not
// considered.
func (h *hostState) reachable(exclude []string, now time.Time) bool {
	return h.up && !h.isDuplicate(now) && !slices.Contains(exclude, h.id)
}

// existing returns the host of a user session that the user has in the pool, the
// last used first. Its limit does not matter, because it is counted already. One on
// a personal host that is not the user's any more is not looked at: by now it may
// be another's.
func (d *MemoryDirectory) existing(key desktopKey, p *pool, exclude []string, now time.Time) *hostState {
	var found *desktop
	for id, u := range d.desktops[key] {
		if !u.host.reachable(exclude, now) || p.Kind == PoolPersonal && d.hostRows[id].AssignedTo != key.user {
			continue
		}
		if found == nil || u.used.After(found.used) || u.used.Equal(found.used) && id < found.host.id {
			found = u
		}
	}
	if found == nil {
		return nil
	}
	return found.host
}

// candidates yields the hosts of a pool that take new users, in no order.
func (d *MemoryDirectory) candidates(key desktopKey, exclude []string, now time.Time) iter.Seq2[*Host, *hostState] {
	return func(yield func(*Host, *hostState) bool) {
		for id, h := range d.hosts {
			if h.draining || !h.isFit() || !h.reachable(exclude, now) {
				continue
			}
			row := d.hostRows[id]
			if row.Pool == key.pool && row.Tenant == key.tenant && row.Approved && !row.Drain && !yield(row, h) {
				return
			}
		}
	}
}

// byName orders hosts for ties.
func byName(a, b *Host) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
}

// personal returns the user's own host. Without one he gets the first that is
// nobody's: who has a host is never given another.
func (d *MemoryDirectory) personal(key desktopKey, exclude []string, now time.Time) (*hostState, error) {
	var free *Host
	usable := false
	for row, h := range d.candidates(key, exclude, now) {
		usable = true
		if row.AssignedTo == key.user {
			return h, nil
		}
		if row.AssignedTo == "" && (free == nil || byName(row, free) < 0) {
			free = row
		}
	}
	if d.assignedHost(key.tenant, key.pool, key.user) != nil {
		return nil, reachback.Refuse(reachback.CodeNoHost) // his is away
	}
	if free == nil {
		return nil, none(usable)
	}
	his := *free
	his.AssignedTo = key.user
	d.hostRows[his.ID] = &his
	return d.hosts[his.ID], nil
}

// pooled returns the emptiest host, or the fullest one that has room.
func (d *MemoryDirectory) pooled(key desktopKey, p *pool, exclude []string, now time.Time) (*hostState, error) {
	var best *Host
	var found *hostState
	usable := false
	for row, h := range d.candidates(key, exclude, now) {
		usable = true
		if p.MaxSessions > 0 && len(h.desktops) >= p.MaxSessions {
			continue
		}
		better := found == nil
		if !better {
			order := cmp.Compare(len(h.desktops), len(found.desktops))
			if p.Balance == DepthFirst {
				order = -order
			}
			better = cmp.Or(order, byName(row, best)) < 0
		}
		if better {
			best, found = row, h
		}
	}
	if found == nil {
		return nil, none(usable)
	}
	return found, nil
}

// none tells a pool whose hosts are all full from one that has no host.
func none(anyHost bool) error {
	if anyHost {
		return reachback.Refuse(reachback.CodeHostsFull)
	}
	return reachback.Refuse(reachback.CodeNoHost)
}
