package broker

import (
	"cmp"
	"context"
	"crypto/subtle"
	"slices"
	"time"

	"github.com/reachback/reachback"
)

// NewRegistration implements [Enrolment].
func (d *MemoryDirectory) NewRegistration(_ context.Context, r *Registration) error {
	if err := r.Check(); err != nil {
		return err
	}
	now := d.begin()
	defer d.mu.Unlock()
	for id, old := range d.registrations {
		if now.After(old.Expires.Add(KeepExpired)) {
			delete(d.registrations, id)
		}
	}
	if _, ok := d.registrations[r.ID]; ok {
		return reachback.Refuse(reachback.CodeInUse)
	}
	row := *r
	row.Hash = slices.Clone(r.Hash)
	row.CreatedAt = now.UTC()
	d.registrations[r.ID] = row
	return nil
}

// Registrations implements [Enrolment].
func (d *MemoryDirectory) Registrations(_ context.Context, tenant string) ([]Registration, error) {
	now := d.begin()
	defer d.mu.Unlock()
	var found []Registration
	for _, r := range d.registrations {
		if r.Tenant == tenant && !now.After(r.Expires.Add(KeepExpired)) {
			r.Hash = nil
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b Registration) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return found, nil
}

// DeleteRegistration implements [Enrolment].
func (d *MemoryDirectory) DeleteRegistration(_ context.Context, id string) error {
	d.begin()
	defer d.mu.Unlock()
	if _, ok := d.registrations[id]; !ok {
		return reachback.Refuse(reachback.CodeNotFound)
	}
	delete(d.registrations, id)
	return nil
}

// Registration implements [Enrolment].
func (d *MemoryDirectory) Registration(_ context.Context, id string, hash [32]byte) (*Registration, error) {
	now := d.begin()
	defer d.mu.Unlock()
	r, err := d.registration(id, hash, now)
	if err == nil && r.Uses <= 0 {
		err = reachback.Refuse(reachback.CodeRegistrationUsedUp)
	}
	if err != nil {
		return nil, err
	}
	r.Hash = nil
	return r, nil
}

// registration returns a copy of the row of a registration token that was shown.
// The comparison takes the same time whether the id is known or not.
func (d *MemoryDirectory) registration(id string, hash [32]byte, now time.Time) (*Registration, error) {
	r, ok := d.registrations[id]
	if len(r.Hash) != len(hash) {
		r.Hash = make([]byte, len(hash))
	}
	switch {
	case subtle.ConstantTimeCompare(r.Hash, hash[:]) != 1 || !ok:
		return nil, reachback.Refuse(reachback.CodeRegistrationInvalid)
	case !now.Before(r.Expires):
		return nil, reachback.Refuse(reachback.CodeRegistrationExpired)
	}
	return &r, nil
}

// Enrol implements [Enrolment].
func (d *MemoryDirectory) Enrol(_ context.Context, e *EnrolRequest) (*Enrolled, error) {
	if e.Name != "" && !validName(e.Name) {
		return nil, CheckName(e.Name)
	}
	now := d.begin()
	defer d.mu.Unlock()
	r, err := d.registration(e.Registration, e.Hash, now)
	if err != nil {
		return nil, err
	}
	if cmp.Or(r.Role, RoleHost) != RoleHost {
		return nil, reachback.Refuse(reachback.CodeWrongRole)
	}
	known := d.enrolledBy(e)
	pool := e.Pool
	if pool == "" && known != nil {
		pool = known.Pool
	}
	if pool, err = d.registrationPool(r, pool); err != nil {
		return nil, err
	}
	var h Host
	switch {
	case known == nil && r.Uses <= 0:
		return nil, reachback.Refuse(reachback.CodeRegistrationUsedUp)
	case known == nil:
		r.Uses--
		d.registrations[r.ID] = *r
		id := randomID(16)
		h = Host{ID: id, Tenant: r.Tenant, Name: id, Pool: pool, EnrolledAt: now.UTC().Truncate(time.Second)}
		p := d.pool(h.Tenant, h.Pool)
		h.Approved = p == nil || !p.Approval
	case known.Revoked:
		return nil, reachback.Refuse(reachback.CodeHostRevoked)
	case known.Pool != pool || known.Tenant != r.Tenant:
		return nil, reachback.Refuse(reachback.CodeRegistrationWrongPool)
	default:
		h = *known
	}
	h.Key = e.Key
	taken := e.Name != "" && d.nameTaken(h.Tenant, e.Name, h.ID)
	if e.Name != "" && !taken {
		h.Name = e.Name
	}
	d.hostRows[h.ID] = &h
	return &Enrolled{h, taken}, nil
}

// enrolledBy returns the host of the key, or else of the old key that was proved
// with it; nil where neither is enrolled.
func (d *MemoryDirectory) enrolledBy(e *EnrolRequest) *Host {
	var old *Host
	for _, h := range d.hostRows {
		if h.Key == e.Key {
			return h
		}
		if h.Key == e.OldKey {
			old = h
		}
	}
	return old
}

// registrationPool is the pool of a host that shows the token and asks for the
// pool asked, or for none. A token for any pool needs one that exists, because a
// host in another would wait for ever; where there is but one, it is that.
func (d *MemoryDirectory) registrationPool(r *Registration, asked string) (string, error) {
	if r.Pool != "" {
		if asked == "" || asked == r.Pool {
			return r.Pool, nil
		}
	} else if s := d.setups[r.Tenant]; s != nil {
		if asked == "" && len(s.pools) == 1 {
			for only := range s.pools {
				return only, nil
			}
		}
		if s.pools[asked] != nil {
			return asked, nil
		}
	}
	return "", reachback.Refuse(reachback.CodeRegistrationWrongPool)
}

// nameTaken reports whether another host has the name. A revoked host keeps
// none, and nobody can take what is another's id.
func (d *MemoryDirectory) nameTaken(tenant, name, self string) bool {
	for _, h := range d.hostRows {
		if h.ID != self && h.Tenant == tenant && !h.Revoked && (h.Name == name || h.ID == name) {
			return true
		}
	}
	return false
}
