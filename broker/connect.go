package broker

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/printable"
	"github.com/reachback/reachback/internal/token"
)

const (
	// A user may ask for connectBurst connections at once and for
	// connectsPerSecond for ever. This bounds everything that is kept by
	// connection token (see the package comment).
	connectBurst      = 60
	connectsPerSecond = 1

	// Stock clients take shorter tokens than ours does, and it is said of some that
	// they take 2,048 characters at most.
	maxRawToken  = 2000
	maxRawGroups = 512 // bytes of the names of groups in a raw token, unless one alone has more
	maxRawName   = 64  // bytes of the name for display
)

// Authenticate returns the user of the request's bearer token.
func (b *Broker) Authenticate(r *http.Request) (*reachback.User, error) {
	if err := carrier.Single(r.Header, "Authorization"); err != nil {
		return nil, err
	}
	t := carrier.Bearer(r.Header)
	switch {
	case t == "":
		return nil, reachback.Refuse(reachback.CodeTokenMissing)
	case len(t) > token.MaxLen, b.Verifier == nil:
		return nil, reachback.Refuse(reachback.CodeTokenInvalid)
	}
	return b.Verifier.Verify(r.Context(), t)
}

// Resources returns what is assigned to the user, by title.
func (b *Broker) Resources(ctx context.Context, u *reachback.User) ([]reachback.Resource, error) {
	b.start()
	began := time.Now()
	found, err := b.dir.Resources(ctx, u)
	b.recordFeed(u, err, began)
	return found, err
}

// Workspace returns the title of the tenant's workspace, "" where none is set.
func (b *Broker) Workspace(ctx context.Context, tenant string) (string, error) {
	b.start()
	return b.dir.Workspace(ctx, tenant)
}

// Icon returns the picture that the Icon of a resource names; it refuses with
// not_found.
func (b *Broker) Icon(ctx context.Context, name string) ([]byte, error) {
	b.start()
	return b.dir.Icon(ctx, name)
}

// JWKS returns the public keys of tokens and grants as a JSON Web Key Set.
func (b *Broker) JWKS(context.Context) ([]byte, error) {
	b.start()
	return b.keys.JWKS()
}

// Connect issues a connection token for a resource that is assigned to the user;
// key is the thumbprint of the client's key, all zero for a raw call.
func (b *Broker) Connect(ctx context.Context, u *reachback.User, resource string, key [32]byte) (*reachback.Connection, error) {
	b.start()
	correlation := randomID(16)
	began := time.Now()
	conn, err := b.connect(ctx, u, resource, key, correlation)
	b.recordConnect(u, resource, correlation, err, began)
	log := b.log().With("correlation_id", correlation, "user", u.Subject, "tenant", u.Tenant, "resource", printable.Clip(resource))
	if err != nil {
		b.counters.refused(reachback.CodeOf(err))
		log.Warn("connect refused", "err", err)
		e := *reachback.AsError(err)
		if e.Code == reachback.CodeNotAssigned { // what exists is not for him to know
			e = *reachback.Refuse(reachback.CodeResourceNotFound)
		}
		e.CorrelationID = correlation
		return nil, &e
	}
	log.Info("connect", "raw", key == [32]byte{})
	return conn, nil
}

func (b *Broker) connect(ctx context.Context, u *reachback.User, resource string, key [32]byte, correlation string) (*reachback.Connection, error) {
	if !b.connects.Allow(u.ID(), time.Now()) {
		return nil, reachback.Refuse(reachback.CodeRateLimited)
	}
	a, err := b.dir.Assigned(ctx, u, resource)
	if err != nil {
		return nil, err
	}
	raw := key == [32]byte{}
	if raw && !a.Policy.Raw {
		return nil, reachback.Refuse(reachback.CodeRawNotAllowed)
	}
	gateways := b.gatewayURLs(ctx)
	if len(gateways) == 0 {
		return nil, reachback.Refuse(reachback.CodeNoGateway)
	}
	id, err := b.dir.NewTokenID(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	kid, priv := b.keys.signer(now)
	user, most := *u, token.MaxLen
	if raw {
		user, most = brief(u, a), maxRawToken
	}
	t, err := token.SignConnection(kid, priv, &token.Connection{
		ID: id, User: user, Resource: resource, ClientKey: key, CorrelationID: correlation,
	}, now)
	if err != nil {
		return nil, err
	}
	if len(t) > most {
		return nil, fmt.Errorf("broker: with %d groups: %w", len(user.Groups), reachback.Refuse(reachback.CodeTokenTooLong))
	}
	keys, err := b.keys.JWKS()
	if err != nil {
		return nil, err
	}
	return &reachback.Connection{Gateways: gateways, Token: t, Keys: keys, CorrelationID: correlation}, nil
}

// brief is the user as a raw token names him: by what identifies him, and by as many as
// there is room for of the groups that give him the resource. Those are all that is
// asked for when the token is used, and any of them does.
func brief(u *reachback.User, a *Assignment) reachback.User {
	b := *u
	b.Name, b.Groups = printable.ClipTo(u.Name, maxRawName), nil
	size := 0
	for _, g := range a.Groups {
		if size += len(g); size > maxRawGroups && len(b.Groups) > 0 {
			break
		}
		b.Groups = append(b.Groups, g)
	}
	return b
}
