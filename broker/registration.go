package broker

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
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
	into := cmp.Or(r.Pool, "any pool")
	if r.Role == RoleGateway {
		into = "gateways"
	}
	what := fmt.Sprintf("registration token %s for %s, %d uses until %s", r.ID, into, r.Uses, r.Expires.Format(time.RFC3339))
	if err := b.Operate(ctx, what, Record{Tenant: r.Tenant}, func(ctx context.Context) error { return b.dir.all.NewRegistration(ctx, r) }); err != nil {
		return "", nil, err
	}
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
