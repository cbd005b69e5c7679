package sqldirectory

import (
	"context"
	"fmt"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// Host implements broker.Enrolment.
func (d *Directory) Host(ctx context.Context, id string) (*broker.Host, error) {
	var h *hostRow
	err := d.read(ctx, func(t *tx) (err error) {
		if h, err = d.host(t, id); err != nil {
			return err
		}
		return h.enrolled()
	})
	if err != nil {
		return nil, err
	}
	return &h.Host, nil
}

// Hosts implements broker.Enrolment.
func (d *Directory) Hosts(ctx context.Context, q *broker.HostQuery) ([]broker.HostStatus, error) {
	var found []broker.HostStatus
	err := d.read(ctx, func(t *tx) (err error) {
		w := where{args: []any{d.floor(t)}}
		w.add("h.tenant = $%d", q.Tenant)
		w.equal("h.pool", q.Pool)
		if q.Host != "" {
			w.add("(h.id = $%[1]d OR h.name = $%[1]d)", q.Host)
		}
		w.equal("h.assigned_to", person(q.AssignedTo))
		if q.After != "" {
			w.add("(h.name, h.id) > (SELECT a.name, a.id FROM hosts a WHERE a.id = $%d)", q.After)
		}
		found, err = list(t, func(r row) (broker.HostStatus, error) {
			var h hostRow
			if err := h.scan(r); err != nil {
				return broker.HostStatus{}, err
			}
			return h.status(t.now)
		}, fmt.Sprintf("SELECT %s FROM hosts h WHERE %s ORDER BY h.name, h.id LIMIT %d", hostColumns, w.String(), page(q.Limit)), w.args...)
		return err
	})
	return found, err
}

// onHost runs f with the locked row of a host that is not revoked.
func (d *Directory) onHost(ctx context.Context, id string, f func(t *tx, h *hostRow) error) error {
	return d.write(ctx, "", func(t *tx) error {
		h, err := d.lockHost(t, id)
		if err != nil {
			return err
		}
		if err := h.enrolled(); err != nil {
			return err
		}
		return f(t, h)
	})
}

// Approve implements broker.Enrolment.
func (d *Directory) Approve(ctx context.Context, host string) error {
	return d.onHost(ctx, host, func(t *tx, h *hostRow) error {
		t.exec("UPDATE hosts SET approved = TRUE WHERE id = $1", host)
		return nil
	})
}

// Rename implements broker.Enrolment.
func (d *Directory) Rename(ctx context.Context, host, name string) error {
	if err := broker.CheckName(name); err != nil {
		return err
	}
	return d.onHost(ctx, host, func(t *tx, h *hostRow) error {
		taken, err := t.nameTaken(h.Tenant, name, host)
		if err != nil {
			return err
		}
		if taken {
			return reachback.Refuse(reachback.CodeNameTaken)
		}
		t.exec("UPDATE hosts SET name = $2 WHERE id = $1", host, name)
		return nil
	})
}

// nameTaken reports whether another host has the name. A revoked host keeps none, and
// nobody can take what is another's id.
func (t *tx) nameTaken(tenant, name, self string) (bool, error) {
	return t.exists(`SELECT 1 FROM hosts WHERE tenant = $1 AND name = $2 AND id <> $3 AND NOT revoked
		UNION ALL SELECT 1 FROM hosts WHERE id = $2 AND tenant = $1 AND id <> $3 AND NOT revoked`, tenant, name, self)
}

// AssignHost implements broker.Enrolment.
func (d *Directory) AssignHost(ctx context.Context, host, user string) error {
	his := person(user)
	return d.write(ctx, his, func(t *tx) error {
		// The host that he had is locked together with the other, in the one
		// order that all have who lock several.
		rows, err := list(t, func(r row) (*hostRow, error) {
			h := &hostRow{}
			return h, h.scan(r)
		}, "SELECT "+hostColumns+` FROM hosts h WHERE h.id = $2 OR $3 <> '' AND h.assigned_to = $3
			AND h.tenant = (SELECT tenant FROM hosts WHERE id = $2) AND h.pool = (SELECT pool FROM hosts WHERE id = $2)
			ORDER BY h.id {lock h}`, d.floor(t), host, his)
		if err != nil {
			return err
		}
		var h, had *hostRow
		for _, r := range rows {
			if r.ID == host {
				h = r
			} else {
				had = r
			}
		}
		if err := h.enrolled(); err != nil {
			return err
		}
		personal, err := t.exists("SELECT 1 FROM pools WHERE tenant = $1 AND name = $2 AND personal", h.Tenant, h.Pool)
		switch {
		case err != nil:
			return err
		case !personal:
			return bad("only the hosts of a personal pool are somebody's")
		case user != "" && !strings.HasPrefix(user, h.Tenant+"\x00"):
			return bad("the user is of another tenant than the host")
		case h.AssignedTo == user:
			return nil
		case h.AssignedTo != "" && user != "":
			return reachback.Refuse(reachback.CodeInUse)
		}
		if had != nil {
			t.exec("UPDATE hosts SET assigned_to = '', rank = 0 WHERE id = $1", had.ID)
		}
		t.exec("UPDATE hosts SET assigned_to = $2, rank = CASE WHEN $2 = '' THEN 0 ELSE 1 END WHERE id = $1", host, his)
		return nil
	})
}

// RevokeHost implements broker.Enrolment.
func (d *Directory) RevokeHost(ctx context.Context, host string) error {
	return d.write(ctx, "", func(t *tx) error {
		l, err := d.openLedger(t, host)
		if err != nil {
			return err
		}
		if l == nil {
			return reachback.Refuse(reachback.CodeHostUnknown)
		}
		if l.host.Revoked {
			return nil
		}
		if err := l.findAll(); err != nil {
			return err
		}
		l.vacate(broker.SessionEnded, t.now)
		l.store()
		revision, err := t.addKill(&killRow{host: host, code: reachback.CodeHostRevoked})
		if err != nil {
			return err
		}
		t.exec("UPDATE hosts SET revoked = TRUE, revision = $2, assigned_to = '', up = FALSE, lapsed = FALSE, absent_since = $3 WHERE id = $1",
			host, revision, t.now)
		return nil
	})
}

// bad is a refusal of a value that cannot work.
func bad(text string) error {
	return &reachback.Error{Code: reachback.CodeBadRequest, Message: text}
}
