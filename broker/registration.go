package broker

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
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

// TokenOptions say what a registration token is for.
type TokenOptions struct {
	Role   Role          // of whom it makes; empty: hosts
	Tenant string        // of the hosts
	Pool   string        // of the hosts; empty: the one that they ask for
	Life   time.Duration // an hour to 27 days; zero: a day
	Uses   int           // how many it makes; zero: one
}

// NewRegistrationToken makes a token with which hosts or gateways enrol, and
// returns it with its row; nobody can ask for it again. What cannot be is refused
// with bad_request.
func (b *Broker) NewRegistrationToken(ctx context.Context, o TokenOptions) (token string, r *Registration, err error) {
	b.start()
	token, r, err = newRegistration(o, time.Now())
	if err != nil {
		return "", nil, err
	}
	if err := b.dir.NewRegistration(ctx, r); err != nil {
		return "", nil, err
	}
	b.log().Info("registration token issued", "registration", r.ID, "role", r.Role, "tenant", r.Tenant, "pool", r.Pool, "expires", r.Expires, "uses", r.Uses)
	return token, r, nil
}

// CheckRegistrationToken refuses a token with which nobody could enrol now, as the
// enrolment itself would.
func (b *Broker) CheckRegistrationToken(ctx context.Context, token string) error {
	b.start()
	id, hash, ok := parseRegistrationToken(token)
	if !ok {
		return reachback.Refuse(reachback.CodeRegistrationInvalid)
	}
	_, err := b.dir.Registration(ctx, id, hash)
	return err
}

// newRegistration draws a registration token. It is the prefix, an id, which is
// no secret, and 256 random bits.
func newRegistration(o TokenOptions, now time.Time) (string, *Registration, error) {
	life, uses := cmp.Or(o.Life, 24*time.Hour), cmp.Or(o.Uses, 1)
	problem := ""
	switch {
	case o.Role != "" && o.Role != RoleHost && o.Role != RoleGateway:
		problem = fmt.Sprintf("nobody has the role %q", o.Role)
	case o.Role == RoleGateway && (o.Pool != "" || o.Tenant != ""):
		problem = "a gateway serves every pool and tenant"
	case life < MinRegistrationLife || life > MaxRegistrationLife:
		problem = fmt.Sprintf("it lives from %v to %v, not %v", MinRegistrationLife, MaxRegistrationLife, life)
	case uses < 1:
		problem = "it needs a use"
	case o.Pool != "" && !idPattern.MatchString(o.Pool):
		problem = fmt.Sprintf("%q is not the name of a host pool", o.Pool)
	}
	if problem != "" {
		return "", nil, fmt.Errorf("broker: registration token: %s: %w", problem, reachback.Refuse(reachback.CodeBadRequest))
	}
	secret := rand.Text() + rand.Text()
	hash := sha256.Sum256([]byte(secret))
	r := &Registration{
		ID: randomID(8), Hash: hash[:], Role: cmp.Or(o.Role, RoleHost), Tenant: o.Tenant, Pool: o.Pool,
		Expires: now.Add(life).UTC(), Uses: uses,
	}
	return registrationPrefix + r.ID + "_" + secret, r, nil
}

func parseRegistrationToken(t string) (id string, hash [32]byte, ok bool) {
	rest, ok := strings.CutPrefix(t, registrationPrefix)
	id, secret, sep := strings.Cut(rest, "_")
	return id, sha256.Sum256([]byte(secret)), ok && sep && len(id) <= 64 && len(secret) <= 256
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
