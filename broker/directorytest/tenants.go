package directorytest

import (
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// tenants sets up two tenants that differ by nothing but their names, each with a
// host of the name a.
func tenants(run func(p *place)) func(p *place) {
	return func(p *place) {
		for _, tenant := range []string{"red", "blue"} {
			p.apply(&broker.Seed{
				Tenant: tenant, Workspace: tenant,
				Pools:     []broker.SeedPool{{Name: pool, MaxSessions: 1}, {Name: "own", Kind: broker.PoolPersonal}},
				Resources: []broker.SeedResource{{ID: desktop, Title: tenant, Pool: pool, Assign: []string{"group:staff"}}},
			})
			h := p.enrolAs("a", broker.Registration{Tenant: tenant, Pool: pool})
			p.ids[tenant] = h.ID
			p.up(tenant)
		}
		delete(p.ids, "a")
		run(p)
	}
}

func userOf(tenant string) *reachback.User {
	u := user("u1")
	u.Tenant = tenant
	return u
}

func (p *place) wantsIn(tenant string) *broker.Reservation {
	r := p.wants("u1")
	r.User.Tenant = tenant
	return r
}

var tenantCases = []testCase{
	{"A8: users see and get what is of their own tenant", tenants(func(p *place) {
		ctx := p.t.Context()
		for _, tenant := range []string{"red", "blue"} {
			r := p.resources(userOf(tenant))
			require.Len(p.t, r, 1)
			require.Equal(p.t, tenant, r[0].Title)
			a, err := p.d.Assigned(ctx, userOf(tenant), desktop)
			p.ok(err)
			require.Equal(p.t, tenant, a.Resource.Title)
			title, err := p.d.Workspace(ctx, tenant)
			p.ok(err)
			require.Equal(p.t, tenant, title)
		}
		for _, tenant := range []string{"", "green"} {
			require.Empty(p.t, p.resources(userOf(tenant)))
			_, err := p.d.Assigned(ctx, userOf(tenant), desktop)
			p.code(reachback.CodeResourceNotFound, err)
			title, err := p.d.Workspace(ctx, tenant)
			p.ok(err)
			require.Empty(p.t, title)
			s, err := p.d.Setup(ctx, tenant)
			p.ok(err)
			require.Empty(p.t, s.Pools)
			require.Empty(p.t, s.Resources)
		}
	})},
	{"A8: users are placed on hosts of their own tenant", tenants(func(p *place) {
		for _, tenant := range []string{"red", "blue"} {
			require.Equal(p.t, tenant, p.name(p.reserved(p.wantsIn(tenant)).Host))
		}
		for _, id := range []string{p.ids["red"], p.ids["blue"]} {
			require.NotEmpty(p.t, id)
		}
		r := p.wantsIn("red")
		r.User.Subject = "u2"
		_, err := p.reserve(r)
		p.code(reachback.CodeHostsFull, err)
		_, err = p.reserve(p.wantsIn("green"))
		p.code(reachback.CodeNotAssigned, err)
	})},
	{"A8: lists are of one tenant", tenants(func(p *place) {
		ctx := p.t.Context()
		for _, tenant := range []string{"red", "blue"} {
			s := p.reserved(p.wantsIn(tenant))
			hosts, err := p.d.Hosts(ctx, &broker.HostQuery{Tenant: tenant, Pool: pool})
			p.ok(err)
			require.Len(p.t, hosts, 1)
			require.Equal(p.t, p.ids[tenant], hosts[0].ID)
			require.Equal(p.t, tenant, hosts[0].Tenant)
			require.Equal(p.t, 1, hosts[0].UserSessions)
			sessions, err := p.d.ListSessions(ctx, &broker.SessionQuery{Tenant: tenant, User: "u1"})
			p.ok(err)
			require.Len(p.t, sessions, 1)
			require.Equal(p.t, s.ID, sessions[0].ID)
			tokens, err := p.d.Registrations(ctx, tenant)
			p.ok(err)
			require.Len(p.t, tokens, 1)
		}
		require.Empty(p.t, p.listed(broker.HostQuery{}))
		sessions, err := p.d.ListSessions(ctx, &broker.SessionQuery{})
		p.ok(err)
		require.Empty(p.t, sessions)
		tokens, err := p.d.Registrations(ctx, "")
		p.ok(err)
		require.Empty(p.t, tokens)
	})},
	{"A8: what is changed is one tenant's", tenants(func(p *place) {
		ctx := p.t.Context()
		p.ok(p.d.PutPool(ctx, "red", &broker.SeedPool{Name: pool, MaxSessions: 5}))
		p.ok(p.d.PutResource(ctx, "red", &broker.SeedResource{ID: "second", Pool: pool}))
		p.ok(p.d.Unassign(ctx, "red", desktop, "group:staff"))
		p.enrolAs("own-of-blue", broker.Registration{Tenant: "blue", Pool: "own"})
		p.ok(p.d.DeletePool(ctx, "red", "own"))
		p.code(reachback.CodeNotFound, p.d.DeleteResource(ctx, "blue", "second"))
		p.code(reachback.CodeNotFound, p.d.Assign(ctx, "blue", "second", "user:u1"))
		blue, err := p.d.Setup(ctx, "blue")
		p.ok(err)
		require.Equal(p.t, "blue", blue.Tenant)
		require.Len(p.t, blue.Pools, 2)
		require.Len(p.t, blue.Resources, 1)
		require.Equal(p.t, 1, blue.Pools[1].MaxSessions)
		require.Len(p.t, p.resources(userOf("blue")), 1)
		require.Empty(p.t, p.resources(userOf("red")))
		p.apply(&broker.Seed{Tenant: "red"})
		require.Len(p.t, p.resources(userOf("blue")), 1)
		p.code(reachback.CodeInUse, p.d.DeletePool(ctx, "blue", pool))
	})},
	{"A8: a group by the same name is another group in another tenant", tenants(func(p *place) {
		p.apply(&broker.Seed{Tenant: "green", Pools: []broker.SeedPool{{Name: pool}}, Resources: []broker.SeedResource{{ID: "d", Pool: pool, Assign: []string{"group:bosses"}}}})
		boss := userOf("red")
		boss.Groups = []string{"bosses"}
		require.Empty(p.t, p.resources(boss))
	})},
	{"A8: a personal host is one tenant's user's", tenants(func(p *place) {
		h := p.enrolAs("mine", broker.Registration{Tenant: "red", Pool: "own"})
		p.code(reachback.CodeBadRequest, p.d.AssignHost(p.t.Context(), h.ID, userOf("blue").ID()))
		p.ok(p.d.AssignHost(p.t.Context(), h.ID, userOf("red").ID()))
		list, err := p.d.Hosts(p.t.Context(), &broker.HostQuery{Tenant: "blue", AssignedTo: userOf("red").ID()})
		p.ok(err)
		require.Empty(p.t, list)
	})},
}
