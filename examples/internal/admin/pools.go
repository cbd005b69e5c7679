package admin

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin/api"
	"github.com/reachback/reachback/feed"
)

// A PoolPath names a pool. It is exported, as are its likes, because huma looks into
// no other embedded struct.
type PoolPath struct {
	Scope
	Name string `path:"name" maxLength:"63" doc:"The pool's name." example:"desktops"`
}

type putPoolInput struct {
	PoolPath
	Body api.Pool
}

// catalogue registers what is about the workspace and its pools.
func (a *operators) catalogue() {
	on(a, http.MethodGet, "/workspace", "get-workspace", "Get the workspace",
		"The title that the tenant's users see.",
		func(ctx context.Context, in *Scope) (*answer[api.Workspace], error) {
			title, err := a.Directory.Workspace(ctx, in.Tenant)
			return body(api.Workspace{Tenant: in.Tenant, Title: title}), err
		})
	on(a, http.MethodGet, "/pools", "list-pools", "List host pools", "All pools of the tenant, by name.",
		func(ctx context.Context, in *Scope) (*answer[api.Pools], error) {
			setup, err := a.Directory.Setup(ctx, in.Tenant)
			if err != nil {
				return nil, err
			}
			all := api.Pools{Pools: []api.Pool{}}
			for i := range setup.Pools {
				all.Pools = append(all.Pools, poolOf(&setup.Pools[i]))
			}
			return body(all), nil
		})
	on(a, http.MethodGet, "/pools/{name}", "get-pool", "Get a host pool", "One pool, as it may be put again.",
		func(ctx context.Context, in *PoolPath) (*answer[api.Pool], error) {
			setup, err := a.Directory.Setup(ctx, in.Tenant)
			if err != nil {
				return nil, err
			}
			for i := range setup.Pools {
				if setup.Pools[i].Name == in.Name {
					return body(poolOf(&setup.Pools[i])), nil
				}
			}
			return nil, reachback.Refuse(reachback.CodeNotFound)
		})
	on(a, http.MethodPut, "/pools/{name}", "put-pool", "Make or change a host pool",
		"What the body leaves out gets its default, also where the pool exists. Sessions that exist go on as they are.",
		func(ctx context.Context, in *putPoolInput) (*nothing, error) {
			if err := sameName(&in.Body.Name, in.Name); err != nil {
				return nil, err
			}
			if err := feed.CheckProperties(in.Body.RDP); err != nil {
				return nil, badRequest(err.Error())
			}
			return a.change(ctx, broker.Record{Tenant: in.Tenant}, func(ctx context.Context) error {
				return a.Directory.PutPool(ctx, in.Tenant, seedPool(&in.Body))
			}, "put pool", in.Name)
		})
	on(a, http.MethodDelete, "/pools/{name}", "delete-pool", "Delete a host pool",
		"Refused with in_use while a resource or a host that is not revoked belongs to it.",
		func(ctx context.Context, in *PoolPath) (*nothing, error) {
			return a.change(ctx, broker.Record{Tenant: in.Tenant}, func(ctx context.Context) error {
				return a.Directory.DeletePool(ctx, in.Tenant, in.Name)
			}, "delete pool", in.Name)
		})
}

// sameName lets a body go without the name that its address has, and not with
// another one.
func sameName(inBody *string, inAddress string) error {
	if *inBody == "" {
		*inBody = inAddress
	}
	if *inBody != inAddress {
		return badRequest(fmt.Sprintf("the address says %q and the body %q", inAddress, *inBody))
	}
	return nil
}

func poolOf(p *broker.SeedPool) api.Pool {
	return api.Pool{
		Name: p.Name, Kind: p.Kind, Balance: string(p.Balance), MaxSessions: p.MaxSessions, Raw: p.Raw,
		Policy: api.Policy{
			Shortpath: p.Policy.Shortpath, Networks: p.Policy.Networks, DSCP: p.Policy.DSCP, MaxRate: p.Policy.MaxRate,
		},
		RDP: maps.Clone(p.RDP), Approval: p.Approval, Linger: p.Linger,
	}
}

func seedPool(p *api.Pool) *broker.SeedPool {
	return &broker.SeedPool{
		Name: p.Name, Kind: p.Kind, Balance: broker.Balance(p.Balance), MaxSessions: p.MaxSessions, Raw: p.Raw,
		Policy: broker.SeedPolicy{
			Shortpath: p.Policy.Shortpath, Networks: p.Policy.Networks, DSCP: p.Policy.DSCP, MaxRate: p.Policy.MaxRate,
		},
		RDP: p.RDP, Approval: p.Approval, Linger: p.Linger,
	}
}
