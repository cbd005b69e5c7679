package broker

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/reachback/reachback"
)

const (
	// MinRegistrationLife and MaxRegistrationLife bound how long a
	// registration token is good.
	MinRegistrationLife = time.Hour
	MaxRegistrationLife = 27 * 24 * time.Hour

	registrationPrefix = "rbr_"

	// expiredFor is how long an expired registration token is remembered, so
	// that it is refused as expired and not as unknown.
	expiredFor = 7 * 24 * time.Hour
)

// newRegistration draws a registration token. It is the prefix, an id, which is
// no secret, and 256 random bits.
func newRegistration(pool string, life time.Duration, uses int, now time.Time) (string, *Registration, error) {
	switch {
	case life < MinRegistrationLife || life > MaxRegistrationLife:
		return "", nil, fmt.Errorf("broker: a registration token lives from %v to %v, not %v", MinRegistrationLife, MaxRegistrationLife, life)
	case uses < 1:
		return "", nil, errors.New("broker: a registration token needs a use")
	case pool != "" && !idPattern.MatchString(pool):
		return "", nil, fmt.Errorf("broker: %q is not the name of a host pool", pool)
	}
	secret := rand.Text() + rand.Text()
	hash := sha256.Sum256([]byte(secret))
	r := &Registration{ID: randomID(8), Hash: hash[:], Pool: pool, Expires: now.Add(life).UTC(), Uses: uses}
	return registrationPrefix + r.ID + "_" + secret, r, nil
}

func parseRegistrationToken(t string) (id string, hash [32]byte, ok bool) {
	rest, ok := strings.CutPrefix(t, registrationPrefix)
	id, secret, sep := strings.Cut(rest, "_")
	return id, sha256.Sum256([]byte(secret)), ok && sep && len(id) <= 64 && len(secret) <= 256
}

// NewRegistrationToken makes a token with which hosts enrol into a pool, or, where
// pool is empty, into the one that they ask for, and returns it; nobody can ask
// for it again. Life is from an hour to 27 days, uses at least one.
func (d *MemoryDirectory) NewRegistrationToken(pool string, life time.Duration, uses int) (string, error) {
	token, r, err := newRegistration(pool, life, uses, time.Now())
	if err != nil {
		return "", err
	}
	return token, d.NewRegistration(context.Background(), r)
}

// RegistrationUsable reports whether a host could enrol with the token now.
func (d *MemoryDirectory) RegistrationUsable(token string) bool {
	id, hash, ok := parseRegistrationToken(token)
	now := d.begin()
	defer d.mu.Unlock()
	r, err := d.registration(id, hash, now)
	return ok && err == nil && r.Uses > 0
}

// registration returns the row of a registration token that was shown. The
// comparison takes the same time whether the id is known or not.
func (d *MemoryDirectory) registration(id string, hash [32]byte, now time.Time) (*Registration, error) {
	r, ok := d.saved.Registrations[id]
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

// NewRegistration implements [Enrolment].
func (d *MemoryDirectory) NewRegistration(_ context.Context, r *Registration) error {
	now := d.begin()
	defer d.mu.Unlock()
	next := d.saved.clone()
	for id, old := range next.Registrations {
		if now.After(old.Expires.Add(expiredFor)) {
			delete(next.Registrations, id)
		}
	}
	next.Registrations[r.ID] = *r
	return d.commit(next)
}

// Enrol implements [Enrolment].
func (d *MemoryDirectory) Enrol(_ context.Context, e *EnrolRequest) (*Enrolled, error) {
	now := d.begin()
	defer d.mu.Unlock()
	r, err := d.registration(e.Registration, e.Hash, now)
	if err != nil {
		return nil, err
	}
	next := d.saved.clone()
	h, known := byKey(next.Hosts, e.Key)
	pool := e.Pool
	if pool == "" && known {
		pool = h.Pool
	}
	if pool, err = d.registrationPool(r, pool); err != nil {
		return nil, err
	}
	switch {
	case known && h.Revoked:
		return nil, reachback.Refuse(reachback.CodeHostRevoked)
	case known && (h.Pool != pool || h.Tenant != r.Tenant):
		return nil, reachback.Refuse(reachback.CodeRegistrationWrongPool)
	case known:
	case r.Uses <= 0:
		return nil, reachback.Refuse(reachback.CodeRegistrationUsedUp)
	default:
		r.Uses--
		next.Registrations[r.ID] = *r
		h = &Host{ID: randomID(16), Tenant: r.Tenant, Pool: pool, Key: e.Key, EnrolledAt: now.UTC().Truncate(time.Second)}
		h.Name = h.ID
		p := d.pool(h.Tenant, h.Pool)
		h.Approved = p == nil || !p.Approval
	}
	taken := e.Name != "" && nameTaken(next.Hosts, h.Tenant, e.Name, h.ID)
	if e.Name != "" && !taken && h.Name != e.Name {
		named := *h
		named.Name = e.Name
		h = &named
	}
	if d.saved.Hosts[h.ID] != h {
		next.Hosts[h.ID] = h
		if err := d.commit(next); err != nil {
			return nil, err
		}
	}
	return &Enrolled{*h, taken}, nil
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

func byKey(hosts map[string]*Host, key Thumbprint) (*Host, bool) {
	for _, h := range hosts {
		if h.Key == key {
			return h, true
		}
	}
	return nil, false
}

// nameTaken reports whether another host has the name. A revoked host keeps
// none, and nobody can take what is another's id.
func nameTaken(hosts map[string]*Host, tenant, name, self string) bool {
	for _, h := range hosts {
		if h.ID != self && h.Tenant == tenant && !h.Revoked && (h.Name == name || h.ID == name) {
			return true
		}
	}
	return false
}
