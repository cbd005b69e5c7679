package sqldirectory

import (
	"cmp"
	"context"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// gatewayColumns are those that scanGateway reads. A statement with them has the floor
// of leases as its first parameter; the gateway is g.
const gatewayColumns = `g.id, g.name, g.url, g.key, g.drain, g.revoked, g.revision, g.enrolled_at, g.epoch,
	(g.up AND COALESCE((SELECT n.lease_until FROM nodes n WHERE n.id = g.node), 0) > $1)`

func scanGateway(r row) (broker.GatewayStatus, error) {
	var g broker.GatewayStatus
	var key []byte
	var revision, enrolled, epoch int64
	err := r.Scan(&g.ID, &g.Name, &g.URL, &key, &g.Drain, &g.Revoked, &revision, &enrolled, &epoch, &g.Up)
	copy(g.Key[:], key)
	g.Revision, g.EnrolledAt, g.Epoch = uint64(revision), atMicros(enrolled), uint64(epoch)
	return g, err
}

// gateways returns those that the rest of the statement finds.
func (d *Directory) gateways(t *tx, rest string, args ...any) ([]broker.GatewayStatus, error) {
	return list(t, scanGateway, "SELECT "+gatewayColumns+" FROM gateways g "+rest, append([]any{d.floor(t)}, args...)...)
}

// gateway returns a gateway that is not revoked.
func (d *Directory) gateway(t *tx, id, lock string) (*broker.GatewayStatus, error) {
	all, err := d.gateways(t, "WHERE g.id = $2 "+lock, id)
	switch {
	case err != nil:
		return nil, err
	case len(all) == 0:
		return nil, reachback.Refuse(reachback.CodeGatewayUnknown)
	case all[0].Revoked:
		return nil, reachback.Refuse(reachback.CodeGatewayRevoked)
	}
	return &all[0], nil
}

// EnrolGateway implements broker.Enrolment.
func (d *Directory) EnrolGateway(ctx context.Context, e *broker.EnrolRequest) (*broker.Gateway, error) {
	if e.Name != "" {
		if err := broker.CheckName(e.Name); err != nil {
			return nil, err
		}
	}
	if err := broker.CheckGatewayURL(e.URL); err != nil {
		return nil, err
	}
	var made *broker.Gateway
	err := d.write(ctx, "", func(t *tx) (err error) {
		made, err = d.enrolGateway(t, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

func (d *Directory) enrolGateway(t *tx, e *broker.EnrolRequest) (*broker.Gateway, error) {
	r, err := t.registration(e.Registration, e.Hash, "{lock r}")
	if err != nil {
		return nil, err
	}
	if r.Role != broker.RoleGateway {
		return nil, reachback.Refuse(reachback.CodeWrongRole)
	}
	known, err := d.gateways(t, "WHERE g.key IN ($2, $3) ORDER BY CASE g.key WHEN $2 THEN 0 ELSE 1 END LIMIT 1 {lock g}", e.Key[:], oldKey(e))
	if err != nil {
		return nil, err
	}
	var g broker.Gateway
	switch {
	case len(known) == 0:
		if err := t.spend(r); err != nil {
			return nil, err
		}
		g = broker.Gateway{ID: randomID(16), EnrolledAt: atMicros(second(t.now))}
	case known[0].Revoked:
		return nil, reachback.Refuse(reachback.CodeGatewayRevoked)
	default:
		g = known[0].Gateway
		if g.URL != e.URL { // hosts are sent there
			if err := t.spend(r); err != nil {
				return nil, err
			}
		}
	}
	taken, err := t.exists("SELECT 1 FROM gateways WHERE url = $1 AND id <> $2 AND NOT revoked", e.URL, g.ID)
	if err != nil {
		return nil, err
	}
	if taken {
		return nil, reachback.Refuse(reachback.CodeGatewayURLTaken)
	}
	g.Key, g.URL, g.Name = e.Key, e.URL, cmp.Or(e.Name, g.Name, g.ID)
	if len(known) == 0 {
		t.exec(`INSERT INTO gateways (id, name, url, key, drain, revoked, revision, enrolled_at, up, node, lapsed, epoch)
			VALUES ($1, $2, $3, $4, FALSE, FALSE, 0, $5, FALSE, '', FALSE, 0)`, g.ID, g.Name, g.URL, g.Key[:], micros(g.EnrolledAt))
	} else {
		t.exec("UPDATE gateways SET name = $2, url = $3, key = $4 WHERE id = $1", g.ID, g.Name, g.URL, g.Key[:])
	}
	return &g, nil
}

// Gateway implements broker.Enrolment.
func (d *Directory) Gateway(ctx context.Context, id string) (*broker.Gateway, error) {
	var g *broker.GatewayStatus
	err := d.read(ctx, func(t *tx) (err error) {
		g, err = d.gateway(t, id, "")
		return err
	})
	if err != nil {
		return nil, err
	}
	return &g.Gateway, nil
}

// Gateways implements broker.Enrolment.
func (d *Directory) Gateways(ctx context.Context) ([]broker.GatewayStatus, error) {
	var found []broker.GatewayStatus
	err := d.read(ctx, func(t *tx) (err error) {
		found, err = d.gateways(t, "ORDER BY g.url, g.id")
		return err
	})
	return found, err
}

// onGateway runs f with the locked row of a gateway that is not revoked.
func (d *Directory) onGateway(ctx context.Context, id string, f func(t *tx, g *broker.GatewayStatus) error) error {
	return d.write(ctx, "", func(t *tx) error {
		g, err := d.gateway(t, id, "{lock g}")
		if err != nil {
			return err
		}
		return f(t, g)
	})
}

// RevokeGateway implements broker.Enrolment.
func (d *Directory) RevokeGateway(ctx context.Context, id string) error {
	err := d.onGateway(ctx, id, func(t *tx, g *broker.GatewayStatus) error {
		revision, err := t.addKill(&killRow{gateway: id, code: reachback.CodeGatewayRevoked})
		if err != nil {
			return err
		}
		t.exec("UPDATE gateways SET revoked = TRUE, revision = $2, up = FALSE, lapsed = FALSE WHERE id = $1", id, revision)
		return nil
	})
	if reachback.CodeOf(err) == reachback.CodeGatewayRevoked {
		return nil
	}
	return err
}

// AttachGateway implements broker.Presence.
func (d *Directory) AttachGateway(ctx context.Context, id string) (*broker.GatewayAttachment, error) {
	var a *broker.GatewayAttachment
	err := d.onGateway(ctx, id, func(t *tx, g *broker.GatewayStatus) error {
		a = &broker.GatewayAttachment{Gateway: g.Gateway, Epoch: g.Epoch + 1}
		t.exec("UPDATE gateways SET up = TRUE, lapsed = FALSE, node = $2, epoch = $3 WHERE id = $1", id, d.node.id, int64(a.Epoch))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// DetachGateway implements broker.Presence.
func (d *Directory) DetachGateway(ctx context.Context, id string, epoch uint64) error {
	return d.write(ctx, "", func(t *tx) error {
		t.exec("UPDATE gateways SET up = FALSE, lapsed = FALSE WHERE id = $1 AND epoch = $2", id, int64(epoch))
		return nil
	})
}

// SetGatewayDrain implements broker.Presence.
func (d *Directory) SetGatewayDrain(ctx context.Context, id string, on bool) error {
	return d.onGateway(ctx, id, func(t *tx, g *broker.GatewayStatus) error {
		t.exec("UPDATE gateways SET drain = $2 WHERE id = $1", id, on)
		return nil
	})
}
