package sqldirectory

import (
	"cmp"
	"context"
	"crypto/subtle"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

const registrationColumns = "r.id, r.hash, r.role, r.tenant, r.pool, r.expires, r.uses, r.made"

func scanRegistration(r row) (broker.Registration, error) {
	var v broker.Registration
	var role string
	var expires, uses, made int64
	err := r.Scan(&v.ID, &v.Hash, &role, &v.Tenant, &v.Pool, &expires, &uses, &made)
	v.Role, v.Expires, v.Uses, v.CreatedAt = broker.Role(role), atMicros(expires), int(uses), atMicros(made)
	return v, err
}

// NewRegistration implements broker.Enrolment.
func (d *Directory) NewRegistration(ctx context.Context, r *broker.Registration) error {
	if err := r.Check(); err != nil {
		return err
	}
	return d.write(ctx, "", func(t *tx) error {
		made, err := t.exists(`INSERT INTO registrations (id, hash, role, tenant, pool, expires, uses, made) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (id) DO NOTHING RETURNING id`, r.ID, r.Hash, string(r.Role), r.Tenant, r.Pool, micros(r.Expires), int64(r.Uses), t.now)
		if err == nil && !made {
			err = reachback.Refuse(reachback.CodeInUse)
		}
		return err
	})
}

// Registrations implements broker.Enrolment.
func (d *Directory) Registrations(ctx context.Context, tenant string) ([]broker.Registration, error) {
	var found []broker.Registration
	err := d.read(ctx, func(t *tx) (err error) {
		found, err = list(t, scanRegistration, "SELECT "+registrationColumns+` FROM registrations r
			WHERE r.tenant = $1 AND r.expires >= $2 ORDER BY r.made DESC, r.id`, tenant, t.now-broker.KeepExpired.Microseconds())
		return err
	})
	for i := range found {
		found[i].Hash = nil
	}
	return found, err
}

// DeleteRegistration implements broker.Enrolment.
func (d *Directory) DeleteRegistration(ctx context.Context, id string) error {
	return d.write(ctx, "", func(t *tx) error {
		there, err := t.exists("DELETE FROM registrations WHERE id = $1 RETURNING id", id)
		if err == nil && !there {
			err = reachback.Refuse(reachback.CodeNotFound)
		}
		return err
	})
}

// Registration implements broker.Enrolment.
func (d *Directory) Registration(ctx context.Context, id string, hash [32]byte) (*broker.Registration, error) {
	var found *broker.Registration
	err := d.read(ctx, func(t *tx) (err error) {
		found, err = t.registration(id, hash, "")
		if err == nil && found.Uses <= 0 {
			err = reachback.Refuse(reachback.CodeRegistrationUsedUp)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	found.Hash = nil
	return found, nil
}

// registration returns the row of a registration token that was shown, locked by lock.
// The comparison takes the same time whether the id is known or not.
func (t *tx) registration(id string, hash [32]byte, lock string) (*broker.Registration, error) {
	all, err := list(t, scanRegistration, "SELECT "+registrationColumns+" FROM registrations r WHERE r.id = $1 "+lock, id)
	if err != nil {
		return nil, err
	}
	known := len(all) > 0
	r := &broker.Registration{}
	if known {
		r = &all[0]
	}
	if len(r.Hash) != len(hash) {
		r.Hash = make([]byte, len(hash))
	}
	switch {
	case subtle.ConstantTimeCompare(r.Hash, hash[:]) != 1 || !known:
		return nil, reachback.Refuse(reachback.CodeRegistrationInvalid)
	case micros(r.Expires) <= t.now:
		return nil, reachback.Refuse(reachback.CodeRegistrationExpired)
	}
	return r, nil
}

// spend takes one use off a registration token whose row is locked.
func (t *tx) spend(r *broker.Registration) error {
	if r.Uses <= 0 {
		return reachback.Refuse(reachback.CodeRegistrationUsedUp)
	}
	t.exec("UPDATE registrations SET uses = uses - 1 WHERE id = $1", r.ID)
	return nil
}

// Enrol implements broker.Enrolment.
func (d *Directory) Enrol(ctx context.Context, e *broker.EnrolRequest) (*broker.Enrolled, error) {
	if e.Name != "" {
		if err := broker.CheckName(e.Name); err != nil {
			return nil, err
		}
	}
	var made *broker.Enrolled
	err := d.write(ctx, "", func(t *tx) (err error) {
		made, err = d.enrol(t, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

func (d *Directory) enrol(t *tx, e *broker.EnrolRequest) (*broker.Enrolled, error) {
	r, err := t.registration(e.Registration, e.Hash, "{lock r}")
	if err != nil {
		return nil, err
	}
	if cmp.Or(r.Role, broker.RoleHost) != broker.RoleHost {
		return nil, reachback.Refuse(reachback.CodeWrongRole)
	}
	// The host of the key comes before that of the old one.
	known, err := d.findHost(t, "SELECT "+hostColumns+` FROM hosts h WHERE h.key IN ($2, $3)
		ORDER BY CASE h.key WHEN $2 THEN 0 ELSE 1 END LIMIT 1 {lock h}`, d.floor(t), e.Key[:], oldKey(e))
	if err != nil {
		return nil, err
	}
	pool := e.Pool
	if pool == "" && known != nil {
		pool = known.Pool
	}
	if pool, err = t.registrationPool(r, pool); err != nil {
		return nil, err
	}
	var h broker.Host
	switch {
	case known == nil:
		if err := t.spend(r); err != nil {
			return nil, err
		}
		id := randomID(16)
		h = broker.Host{ID: id, Tenant: r.Tenant, Name: id, Pool: pool, EnrolledAt: atMicros(second(t.now))}
		waits, err := t.exists("SELECT 1 FROM pools WHERE tenant = $1 AND name = $2 AND approval", h.Tenant, h.Pool)
		if err != nil {
			return nil, err
		}
		h.Approved = !waits
	case known.Revoked:
		return nil, reachback.Refuse(reachback.CodeHostRevoked)
	case known.Pool != pool || known.Tenant != r.Tenant:
		return nil, reachback.Refuse(reachback.CodeRegistrationWrongPool)
	default:
		h = known.Host
	}
	h.Key = e.Key
	taken := false
	if e.Name != "" {
		if taken, err = t.nameTaken(h.Tenant, e.Name, h.ID); err != nil {
			return nil, err
		}
		if !taken {
			h.Name = e.Name
		}
	}
	if known == nil {
		t.exec(`INSERT INTO hosts (id, tenant, name, pool, key, assigned_to, approved, drain, revoked, revision, enrolled_at,
				up, node, lapsed, epoch, absent_since, draining, replaced, duplicate_until, fit, health, user_sessions, rank)
			VALUES ($1, $2, $3, $4, $5, '', $6, FALSE, FALSE, 0, $7, FALSE, '', FALSE, 0, 0, FALSE, '', 0, TRUE, '', 0, 0)`,
			h.ID, h.Tenant, h.Name, h.Pool, h.Key[:], h.Approved, micros(h.EnrolledAt))
	} else {
		t.exec("UPDATE hosts SET key = $2, name = $3 WHERE id = $1", h.ID, h.Key[:], h.Name)
	}
	return &broker.Enrolled{Host: h, NameTaken: taken}, nil
}

// oldKey is the old key that was proved too, or else once more the new one.
func oldKey(e *broker.EnrolRequest) []byte {
	if e.OldKey == (broker.Thumbprint{}) {
		return e.Key[:]
	}
	return e.OldKey[:]
}

// registrationPool is the pool of a host that shows the token and asks for the pool
// asked, or for none. A token for any pool needs one that exists, because a host in
// another would wait for ever; where there is but one, it is that.
func (t *tx) registrationPool(r *broker.Registration, asked string) (string, error) {
	if r.Pool != "" {
		if asked == "" || asked == r.Pool {
			return r.Pool, nil
		}
		return "", reachback.Refuse(reachback.CodeRegistrationWrongPool)
	}
	pools, err := list(t, func(r row) (name string, err error) { return name, r.Scan(&name) },
		"SELECT name FROM pools WHERE tenant = $1 AND ($2 = '' OR name = $2) LIMIT 2", r.Tenant, asked)
	if err != nil {
		return "", err
	}
	if len(pools) != 1 {
		return "", reachback.Refuse(reachback.CodeRegistrationWrongPool)
	}
	return pools[0], nil
}
