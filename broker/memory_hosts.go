package broker

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

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
	h := d.hostRows[id]
	switch {
	case h == nil:
		return nil, reachback.Refuse(reachback.CodeHostUnknown)
	case h.Revoked:
		return nil, reachback.Refuse(reachback.CodeHostRevoked)
	}
	return h, nil
}

// Hosts implements [Enrolment].
func (d *MemoryDirectory) Hosts(_ context.Context, q *HostQuery) ([]HostStatus, error) {
	now := d.begin()
	defer d.mu.Unlock()
	last := d.hostRows[q.After]
	if q.After != "" && last == nil {
		return nil, nil
	}
	var rows []*Host
	for _, h := range d.hostRows {
		if h.Tenant == q.Tenant && (q.Pool == "" || h.Pool == q.Pool) && (q.AssignedTo == "" || h.AssignedTo == q.AssignedTo) &&
			(q.Host == "" || h.ID == q.Host || h.Name == q.Host) && (last == nil || byName(h, last) > 0) {
			rows = append(rows, h)
		}
	}
	slices.SortFunc(rows, byName)
	rows = rows[:min(len(rows), page(q.Limit))]
	found := make([]HostStatus, len(rows))
	for i, h := range rows {
		found[i].Host = *h
		if state := d.hosts[h.ID]; state != nil {
			state.describe(&found[i], now)
		}
	}
	return found, nil
}

// Approve implements [Enrolment].
func (d *MemoryDirectory) Approve(_ context.Context, id string) error {
	return d.edit(id, func(h *Host) error {
		h.Approved = true
		return nil
	})
}

// Rename implements [Enrolment].
func (d *MemoryDirectory) Rename(_ context.Context, id, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return d.edit(id, func(h *Host) error {
		if d.nameTaken(h.Tenant, name, id) {
			return reachback.Refuse(reachback.CodeNameTaken)
		}
		h.Name = name
		return nil
	})
}

// SetDrain implements [Presence].
func (d *MemoryDirectory) SetDrain(_ context.Context, id string, on bool) error {
	return d.edit(id, func(h *Host) error {
		h.Drain = on
		return nil
	})
}

// edit changes a host's row.
func (d *MemoryDirectory) edit(id string, change func(h *Host) error) error {
	d.begin()
	defer d.mu.Unlock()
	row, err := d.enrolled(id)
	if err != nil {
		return err
	}
	h := *row
	if err := change(&h); err != nil || h == *row {
		return err
	}
	d.hostRows[id] = &h
	return nil
}

// AssignHost implements [Enrolment].
func (d *MemoryDirectory) AssignHost(_ context.Context, id, user string) error {
	d.begin()
	defer d.mu.Unlock()
	row, err := d.enrolled(id)
	if err != nil {
		return err
	}
	p := d.pool(row.Tenant, row.Pool)
	switch {
	case p == nil || p.Kind != PoolPersonal:
		return bad("only the hosts of a personal pool are somebody's")
	case user != "" && !strings.HasPrefix(user, row.Tenant+"\x00"):
		return bad("the user is of another tenant than the host")
	case row.AssignedTo == user:
		return nil
	case row.AssignedTo != "" && user != "":
		return reachback.Refuse(reachback.CodeInUse)
	}
	if user != "" {
		if had := d.assignedHost(row.Tenant, row.Pool, user); had != nil {
			h := *had
			h.AssignedTo = ""
			d.hostRows[h.ID] = &h
		}
	}
	h := *row
	h.AssignedTo = user
	d.hostRows[id] = &h
	return nil
}

// assignedHost returns the user's own host in a pool, nil where he has none.
func (d *MemoryDirectory) assignedHost(tenant, pool, user string) *Host {
	for _, h := range d.hostRows {
		if h.AssignedTo == user && h.Pool == pool && h.Tenant == tenant {
			return h
		}
	}
	return nil
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
	h.Revoked, h.Revision, h.AssignedTo = true, d.revision+1, ""
	d.hostRows[id] = &h
	d.revoked(Kill{Kill: relay.Kill{Revision: h.Revision, Host: id, Code: reachback.CodeHostRevoked}})
	if state := d.hosts[id]; state != nil {
		state.up = false
		d.agenda.drop(&state.lost)
		d.vacate(state, SessionEnded, now)
	}
	return nil
}

// Kills implements [Enrolment].
func (d *MemoryDirectory) Kills(_ context.Context, after uint64) ([]Kill, error) {
	d.begin()
	defer d.mu.Unlock()
	if after > d.revision {
		after = 0
	}
	i, _ := slices.BinarySearchFunc(d.kills, after+1, func(k Kill, r uint64) int { return cmp.Compare(k.Revision, r) })
	return slices.Clone(d.kills[i:]), nil
}
