package broker

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// gatewayState is what is known of a gateway beyond its enrolment.
type gatewayState struct {
	epoch uint64
	up    bool
}

// EnrolGateway implements [Enrolment].
func (d *MemoryDirectory) EnrolGateway(_ context.Context, e *EnrolRequest) (*Gateway, error) {
	if e.Name != "" && !validName(e.Name) {
		return nil, CheckName(e.Name)
	}
	if err := CheckGatewayURL(e.URL); err != nil {
		return nil, err
	}
	now := d.begin()
	defer d.mu.Unlock()
	r, err := d.registration(e.Registration, e.Hash, now)
	if err != nil {
		return nil, err
	}
	if r.Role != RoleGateway {
		return nil, reachback.Refuse(reachback.CodeWrongRole)
	}
	known := d.gatewayBy(e)
	g := Gateway{ID: randomID(16), EnrolledAt: now.UTC().Truncate(time.Second)}
	if known != nil {
		g = *known
	}
	spends := g.URL != e.URL
	switch {
	case g.Revoked:
		return nil, reachback.Refuse(reachback.CodeGatewayRevoked)
	case spends && r.Uses <= 0:
		return nil, reachback.Refuse(reachback.CodeRegistrationUsedUp)
	}
	for _, o := range d.gatewayRows {
		if o.ID != g.ID && o.URL == e.URL && !o.Revoked {
			return nil, reachback.Refuse(reachback.CodeGatewayURLTaken)
		}
	}
	g.Key, g.URL, g.Name = e.Key, e.URL, cmp.Or(e.Name, g.Name, g.ID)
	d.gatewayRows[g.ID] = &g
	if spends {
		r.Uses--
		d.registrations[r.ID] = *r
	}
	return &g, nil
}

// gatewayBy returns the gateway of the key, or else of the old key that was
// proved with it; nil where neither is enrolled.
func (d *MemoryDirectory) gatewayBy(e *EnrolRequest) *Gateway {
	var old *Gateway
	for _, g := range d.gatewayRows {
		if g.Key == e.Key {
			return g
		}
		if g.Key == e.OldKey {
			old = g
		}
	}
	return old
}

// gateway returns a gateway's row, which is not to be changed.
func (d *MemoryDirectory) gateway(id string) (*Gateway, error) {
	g := d.gatewayRows[id]
	switch {
	case g == nil:
		return nil, reachback.Refuse(reachback.CodeGatewayUnknown)
	case g.Revoked:
		return nil, reachback.Refuse(reachback.CodeGatewayRevoked)
	}
	return g, nil
}

// Gateway implements [Enrolment].
func (d *MemoryDirectory) Gateway(_ context.Context, id string) (*Gateway, error) {
	d.begin()
	defer d.mu.Unlock()
	g, err := d.gateway(id)
	if err != nil {
		return nil, err
	}
	c := *g
	return &c, nil
}

// Gateways implements [Enrolment].
func (d *MemoryDirectory) Gateways(context.Context) ([]GatewayStatus, error) {
	d.begin()
	defer d.mu.Unlock()
	var found []GatewayStatus
	for _, g := range d.gatewayRows {
		s := GatewayStatus{Gateway: *g}
		if state := d.gateways[g.ID]; state != nil {
			s.Up, s.Epoch = state.up, state.epoch
		}
		found = append(found, s)
	}
	slices.SortFunc(found, func(a, b GatewayStatus) int {
		return cmp.Or(cmp.Compare(a.URL, b.URL), cmp.Compare(a.ID, b.ID))
	})
	return found, nil
}

// RevokeGateway implements [Enrolment].
func (d *MemoryDirectory) RevokeGateway(_ context.Context, id string) error {
	d.begin()
	defer d.mu.Unlock()
	row, err := d.gateway(id)
	if reachback.CodeOf(err) == reachback.CodeGatewayRevoked {
		return nil
	}
	if err != nil {
		return err
	}
	g := *row
	g.Revoked, g.Revision = true, d.revision+1
	d.gatewayRows[id] = &g
	d.revoked(Kill{Kill: relay.Kill{Revision: g.Revision, Code: reachback.CodeGatewayRevoked}, Gateway: id})
	if state := d.gateways[id]; state != nil {
		state.up = false
	}
	return nil
}

// AttachGateway implements [Presence].
func (d *MemoryDirectory) AttachGateway(_ context.Context, id string) (*GatewayAttachment, error) {
	d.begin()
	defer d.mu.Unlock()
	row, err := d.gateway(id)
	if err != nil {
		return nil, err
	}
	g := d.gateways[id]
	if g == nil {
		g = &gatewayState{}
		d.gateways[id] = g
	}
	g.epoch++
	g.up = true
	return &GatewayAttachment{*row, g.epoch}, nil
}

// DetachGateway implements [Presence].
func (d *MemoryDirectory) DetachGateway(_ context.Context, id string, epoch uint64) error {
	d.begin()
	defer d.mu.Unlock()
	if g := d.gateways[id]; g != nil && g.epoch == epoch {
		g.up = false
	}
	return nil
}

// SetGatewayDrain implements [Presence].
func (d *MemoryDirectory) SetGatewayDrain(_ context.Context, id string, on bool) error {
	d.begin()
	defer d.mu.Unlock()
	row, err := d.gateway(id)
	if err != nil || row.Drain == on {
		return err
	}
	g := *row
	g.Drain = on
	d.gatewayRows[id] = &g
	return nil
}
