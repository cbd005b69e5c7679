package admin

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin/api"
)

type newTokenInput struct {
	Scope
	Body api.TokenRequest
}

// A TokenPath names a registration token.
type TokenPath struct {
	ID string `path:"id" maxLength:"64" doc:"The token's id." example:"a1b2c3d4e5f60718"`
}

// tokens registers what is about registration tokens.
func (a *operators) tokens() {
	on(a, http.MethodGet, "/registration-tokens", "list-registration-tokens", "List registration tokens",
		"Those of the tenant that have not been expired for long, without their secrets, which nobody has.",
		func(ctx context.Context, in *Scope) (*answer[api.Tokens], error) {
			found, err := a.Directory.Registrations(ctx, in.Tenant)
			if err != nil {
				return nil, err
			}
			all := api.Tokens{Tokens: []api.Token{}}
			for i := range found {
				all.Tokens = append(all.Tokens, tokenOf(&found[i]))
			}
			return body(all), nil
		})
	on(a, http.MethodPost, "/registration-tokens", "new-registration-token", "Make a registration token",
		"With which hosts, or gateways, enrol. The answer is the only copy of it. For a pool that does not exist there is none.",
		func(ctx context.Context, in *newTokenInput) (*answer[api.NewToken], error) {
			life, err := time.ParseDuration(cmp.Or(in.Body.Life, "24h"))
			if err != nil {
				return nil, badRequest("body.life: must be a duration such as 24h")
			}
			if in.Body.Role != string(broker.RoleGateway) && in.Body.Pool != "" {
				if err := a.poolThere(ctx, in.Tenant, in.Body.Pool); err != nil {
					return nil, err
				}
			}
			secret, r, err := a.Broker.NewRegistrationToken(ctx, broker.TokenOptions{
				Role: broker.Role(in.Body.Role), Tenant: in.Tenant, Pool: in.Body.Pool, Life: life, Uses: in.Body.Uses,
			})
			if err != nil {
				return nil, err
			}
			return body(api.NewToken{Token: tokenOf(r), Secret: secret}), nil
		}, created)
	on(a, http.MethodDelete, "/registration-tokens/{id}", "delete-registration-token", "Withdraw a registration token",
		"Machines that have enrolled with it keep their identities.",
		func(ctx context.Context, in *TokenPath) (*nothing, error) {
			return a.change(ctx, broker.Record{}, func(ctx context.Context) error {
				return a.Directory.DeleteRegistration(ctx, in.ID)
			}, "delete registration token", in.ID)
		})
}

// poolThere refuses a pool that the tenant does not have.
func (a *operators) poolThere(ctx context.Context, tenant, pool string) error {
	setup, err := a.Directory.Setup(ctx, tenant)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(setup.Pools, func(p broker.SeedPool) bool { return p.Name == pool }) {
		return reachback.Refuse(reachback.CodePoolNotFound)
	}
	return nil
}

func tokenOf(r *broker.Registration) api.Token {
	return api.Token{
		ID: r.ID, Role: string(cmp.Or(r.Role, broker.RoleHost)), Tenant: r.Tenant, Pool: r.Pool, Expires: r.Expires, Uses: r.Uses,
	}
}
