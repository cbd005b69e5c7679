package broker

import (
	"context"
	"slices"
	"time"
)

// hostState is what is known of a host beyond its enrolment.
type hostState struct {
	id        string
	epoch     uint64
	up        bool
	draining  bool
	health    *Health     // as the channel says, replaced and never changed; nil: it has not
	lost      entry       // what happens if it stays away
	replaced  []time.Time // of the last minute
	duplicate time.Time   // is one until then
	desktops  map[string]*desktop
}

func (h *hostState) isDuplicate(now time.Time) bool { return now.Before(h.duplicate) }

func (h *hostState) isFit() bool { return h.health == nil || h.health.Fit }

func (h *hostState) describe(s *HostStatus, now time.Time) {
	s.Up, s.Epoch, s.Draining, s.Duplicate, s.UserSessions = h.up, h.epoch, h.draining, h.isDuplicate(now), len(h.desktops)
	if h.health != nil {
		health := *h.health
		s.Health = &health
	}
}

func (d *MemoryDirectory) host(id string) *hostState {
	h := d.hosts[id]
	if h == nil {
		h = &hostState{id: id, desktops: make(map[string]*desktop)}
		h.lost.do = func(then time.Time) { d.vacate(h, SessionLost, then) }
		d.hosts[id] = h
	}
	return h
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
		h.replaced = slices.DeleteFunc(h.replaced, func(t time.Time) bool { return now.Sub(t) >= DuplicateWindow })
		h.replaced = append(h.replaced, now)
		h.replaced = h.replaced[max(0, len(h.replaced)-DuplicateReplacements):]
		if len(h.replaced) >= DuplicateReplacements || h.isDuplicate(now) {
			h.duplicate = now.Add(DuplicateWindow)
		}
	}
	h.epoch++
	h.up, h.draining, h.health = true, false, nil
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
	if h := d.current(id, epoch); h != nil {
		h.up = false
		d.agenda.set(&h.lost, now.Add(AbsentFor))
	}
	return nil
}

// current returns the host whose channel has that epoch, nil for a ghost's.
func (d *MemoryDirectory) current(id string, epoch uint64) *hostState {
	if h := d.hosts[id]; h != nil && h.up && h.epoch == epoch {
		return h
	}
	return nil
}

// Drain implements [Presence].
func (d *MemoryDirectory) Drain(_ context.Context, id string, epoch uint64, on bool) error {
	d.begin()
	defer d.mu.Unlock()
	if h := d.current(id, epoch); h != nil {
		h.draining = on
	}
	return nil
}

// Health implements [Presence].
func (d *MemoryDirectory) Health(_ context.Context, id string, epoch uint64, health *Health) error {
	d.begin()
	defer d.mu.Unlock()
	if h := d.current(id, epoch); h != nil {
		c := *health
		h.health = &c
	}
	return nil
}
