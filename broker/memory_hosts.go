package broker

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

const (
	// absentFor is how long the sessions of an absent host stay counted.
	absentFor = 10 * time.Minute

	// A host whose channel is replaced this often within duplicateWindow is a
	// duplicate until as long has passed without another replacement.
	duplicateReplacements = 3
	duplicateWindow       = time.Minute
)

// hostState is what is known of a host beyond its enrolment.
type hostState struct {
	id        string
	epoch     uint64
	up        bool
	draining  bool
	lost      entry       // what happens if it stays away
	replaced  []time.Time // of the last minute
	duplicate time.Time   // is one until then
	desktops  map[string]*desktop
}

func (h *hostState) isDuplicate(now time.Time) bool { return now.Before(h.duplicate) }

func (d *MemoryDirectory) host(id string) *hostState {
	h := d.hosts[id]
	if h == nil {
		h = &hostState{id: id, epoch: d.saved.Boot << 32, desktops: make(map[string]*desktop)}
		h.lost.do = func(then time.Time) { d.vacate(h, SessionLost, then) }
		d.hosts[id] = h
	}
	return h
}

// pool returns a pool, nil where no seed has it.
func (d *MemoryDirectory) pool(tenant, name string) *pool {
	if s := d.setups[tenant]; s != nil {
		return s.pools[name]
	}
	return nil
}

// Host implements [Enrolment].
func (d *MemoryDirectory) Host(_ context.Context, id string) (*Host, error) {
	d.begin()
	defer d.mu.Unlock()
	h, err := d.enrolled(id)
	if err != nil {
		return nil, err
	}
	c := *h
	return &c, nil
}

// enrolled returns a host's row, which is not to be changed.
func (d *MemoryDirectory) enrolled(id string) (*Host, error) {
	h := d.saved.Hosts[id]
	switch {
	case h == nil:
		return nil, reachback.Refuse(reachback.CodeHostUnknown)
	case h.Revoked:
		return nil, reachback.Refuse(reachback.CodeHostRevoked)
	}
	return h, nil
}

// Approve lets a host of a pool that asks for approval have users.
//
// It implements [Enrolment].
func (d *MemoryDirectory) Approve(_ context.Context, id string) error {
	d.begin()
	defer d.mu.Unlock()
	h, err := d.enrolled(id)
	if err != nil || h.Approved {
		return err
	}
	approved := *h
	approved.Approved = true
	next := d.saved.clone()
	next.Hosts[id] = &approved
	return d.commit(next)
}

// RevokeHost implements [Enrolment].
func (d *MemoryDirectory) RevokeHost(_ context.Context, id string) error {
	now := d.begin()
	defer d.mu.Unlock()
	row, err := d.enrolled(id)
	if reachback.CodeOf(err) == reachback.CodeHostRevoked {
		return nil
	}
	if err != nil {
		return err
	}
	h := *row
	h.Revoked, h.Revision = true, d.revision+1
	next := d.saved.clone()
	next.Revision, next.Hosts[id] = h.Revision, &h
	if err := d.commit(next); err != nil {
		return err
	}
	d.revision = h.Revision
	d.kills = append(d.kills, revocation(&h))
	if state := d.hosts[id]; state != nil {
		state.up = false
		d.agenda.drop(&state.lost)
		d.vacate(state, SessionEnded, now)
	}
	return nil
}

func revocation(h *Host) Kill {
	return Kill{Kill: relay.Kill{Revision: h.Revision, Host: h.ID, Code: reachback.CodeHostRevoked}}
}

func revocations(hosts map[string]*Host) []Kill {
	var ks []Kill
	for _, h := range hosts {
		if h.Revoked {
			ks = append(ks, revocation(h))
		}
	}
	slices.SortFunc(ks, func(a, b Kill) int { return cmp.Compare(a.Revision, b.Revision) })
	return ks
}

// Kills implements [Enrolment].
func (d *MemoryDirectory) Kills(_ context.Context, after uint64) ([]Kill, error) {
	d.begin()
	defer d.mu.Unlock()
	i, _ := slices.BinarySearchFunc(d.kills, after+1, func(k Kill, r uint64) int { return cmp.Compare(k.Revision, r) })
	return slices.Clone(d.kills[i:]), nil
}

// Attach implements [Presence].
func (d *MemoryDirectory) Attach(_ context.Context, id string) (*Attachment, error) {
	now := d.begin()
	defer d.mu.Unlock()
	row, err := d.enrolled(id)
	if err != nil {
		return nil, err
	}
	h := d.host(id)
	if h.up {
		h.replaced = slices.DeleteFunc(h.replaced, func(t time.Time) bool { return now.Sub(t) >= duplicateWindow })
		h.replaced = append(h.replaced, now)
		h.replaced = h.replaced[max(0, len(h.replaced)-duplicateReplacements):]
		if len(h.replaced) >= duplicateReplacements || h.isDuplicate(now) {
			h.duplicate = now.Add(duplicateWindow)
		}
	}
	h.epoch++
	h.up, h.draining = true, false
	d.agenda.drop(&h.lost)
	a := &Attachment{Host: *row, Epoch: h.epoch, Duplicate: h.isDuplicate(now)}
	for _, k := range d.kills {
		if k.On == id {
			a.Kills = append(a.Kills, k)
		}
	}
	return a, nil
}

// Detach implements [Presence].
func (d *MemoryDirectory) Detach(_ context.Context, id string, epoch uint64) error {
	now := d.begin()
	defer d.mu.Unlock()
	h := d.hosts[id]
	if h == nil || h.epoch != epoch || !h.up {
		return nil
	}
	h.up = false
	d.agenda.set(&h.lost, now.Add(absentFor))
	return nil
}

// Drain implements [Presence].
func (d *MemoryDirectory) Drain(_ context.Context, id string, epoch uint64, on bool) error {
	d.begin()
	defer d.mu.Unlock()
	if h := d.hosts[id]; h != nil && h.epoch == epoch {
		h.draining = on
	}
	return nil
}
