package directorytest

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// listed are the names of the hosts that a query finds.
func (p *place) listed(q broker.HostQuery) []string {
	p.t.Helper()
	hosts, err := p.d.Hosts(p.t.Context(), &q)
	p.ok(err)
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	return names
}

var hostCases = []testCase{
	{"hosts are listed by name, of a pool or of a user, revoked ones too", func(p *place) {
		p.apply(&twoPools)
		p.apply(&broker.Seed{Tenant: "other", Pools: twoPools.Pools})
		for _, name := range []string{"c", "a", "B"} {
			p.enrol(name, pool)
		}
		p.enrol("d", "own")
		p.enrolAs("e", broker.Registration{Tenant: "other", Pool: pool})
		p.ok(p.d.RevokeHost(p.t.Context(), p.ids["a"]))
		p.ok(p.d.AssignHost(p.t.Context(), p.ids["d"], user("u1").ID()))
		require.Equal(p.t, []string{"B", "a", "c", "d"}, p.listed(broker.HostQuery{}))
		require.Equal(p.t, []string{"B", "a", "c"}, p.listed(broker.HostQuery{Pool: pool}))
		require.Equal(p.t, []string{"d"}, p.listed(broker.HostQuery{AssignedTo: user("u1").ID()}))
		require.Equal(p.t, []string{"e"}, p.listed(broker.HostQuery{Tenant: "other"}))
		require.Empty(p.t, p.listed(broker.HostQuery{Pool: "nothing"}))
		require.True(p.t, p.status("a").Revoked)
		require.NotZero(p.t, p.status("a").Revision)
	}},
	{"one host is found by its id or by its name, with those revoked that had the name", func(p *place) {
		p.apply(&twoPools)
		first := p.enrol("a", pool)
		p.enrol("b", pool)
		for _, host := range []string{first.ID, "a"} {
			require.Equal(p.t, []string{"a"}, p.listed(broker.HostQuery{Host: host}))
			require.Empty(p.t, p.listed(broker.HostQuery{Host: host, Tenant: "other"}))
		}
		require.Empty(p.t, p.listed(broker.HostQuery{Host: "c"}))
		p.ok(p.d.RevokeHost(p.t.Context(), first.ID))
		p.enrol("a", pool)
		require.Equal(p.t, []string{"a", "a"}, p.listed(broker.HostQuery{Host: "a"}))
		require.Equal(p.t, []string{"a"}, p.listed(broker.HostQuery{Host: first.ID}))
	}},
	{"a long list of hosts comes in pages", func(p *place) {
		p.apply(&twoPools)
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			p.enrol(name, pool)
		}
		// A page may end between two of one name.
		p.ok(p.d.RevokeHost(p.t.Context(), p.ids["b"]))
		p.enrol("b", pool)
		q := broker.HostQuery{Limit: 2}
		seen := make(map[string]bool)
		for _, want := range [][]string{{"a", "b"}, {"b", "c"}, {"d", "e"}, nil} {
			got, err := p.d.Hosts(p.t.Context(), &q)
			p.ok(err)
			var names []string
			for _, h := range got {
				require.False(p.t, seen[h.ID], "%s comes twice", h.Name)
				seen[h.ID] = true
				names = append(names, h.Name)
				q.After = h.ID
			}
			require.Equal(p.t, want, names)
		}
		require.Empty(p.t, p.listed(broker.HostQuery{After: "nobody"}))
	}},
	{"a host can be renamed, which frees the name that it had", func(p *place) {
		p.apply(&twoPools)
		p.enrol("a", pool)
		p.enrol("b", pool)
		ctx := p.t.Context()
		p.code(reachback.CodeNameTaken, p.d.Rename(ctx, p.ids["b"], "a"))
		p.code(reachback.CodeNameTaken, p.d.Rename(ctx, p.ids["b"], p.ids["a"]))
		p.ok(p.d.Rename(ctx, p.ids["a"], "c"))
		p.ok(p.d.Rename(ctx, p.ids["a"], "c"))
		p.ok(p.d.Rename(ctx, p.ids["b"], "a"))
		require.Equal(p.t, []string{"a", "c"}, p.listed(broker.HostQuery{}))
		p.ok(p.d.Rename(ctx, p.ids["b"], p.ids["b"])) // its own id is nobody else's name
	}},
	{"names are a tenant's own", func(p *place) {
		p.apply(&twoPools)
		p.apply(&broker.Seed{Tenant: "other", Pools: twoPools.Pools})
		p.enrol("a", pool)
		require.False(p.t, p.enrolAs("a", broker.Registration{Tenant: "other", Pool: pool}).NameTaken)
	}},
	{"not everything is a name", func(p *place) {
		p.apply(&twoPools)
		p.enrol("a", pool)
		for _, name := range []string{"", "a b", "a\n", "ä", "a/b", strings.Repeat("a", 64)} {
			require.Equal(p.t, reachback.CodeBadRequest, reachback.CodeOf(p.d.Rename(p.t.Context(), p.ids["a"], name)), "%q", name)
		}
	}},
	{"a revoked host is so for good, and twice is once", func(p *place) {
		p.apply(&twoPools)
		p.enrol("a", pool)
		ctx, id := p.t.Context(), p.ids["a"]
		p.ok(p.d.RevokeHost(ctx, id))
		p.ok(p.d.RevokeHost(ctx, id))
		kills, err := p.d.Kills(ctx, 0)
		p.ok(err)
		require.Len(p.t, kills, 1)
		_, err = p.d.Host(ctx, id)
		p.code(reachback.CodeHostRevoked, err)
		_, err = p.second.Attach(ctx, id)
		p.code(reachback.CodeHostRevoked, err)
		for _, err := range []error{p.d.Approve(ctx, id), p.d.Rename(ctx, id, "b"), p.d.SetDrain(ctx, id, true), p.d.AssignHost(ctx, id, "")} {
			p.code(reachback.CodeHostRevoked, err)
		}
	}},
	{"a revoked host's channel and sessions are over at once", in(breadth, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.ok(p.d.RevokeHost(p.t.Context(), p.ids["a"]))
		require.Equal(p.t, broker.SessionEnded, p.state(s))
		require.False(p.t, p.status("a").Up)
		p.says("a", false, is(s, broker.ReportActive))
		require.Equal(p.t, broker.SessionEnded, p.state(s))
		p.counts("a", 0)
	})},
	{"what is not enrolled is unknown", func(p *place) {
		ctx := p.t.Context()
		_, err := p.d.Host(ctx, "nobody")
		p.code(reachback.CodeHostUnknown, err)
		for _, err := range []error{p.d.Approve(ctx, "nobody"), p.d.Rename(ctx, "nobody", "b"), p.d.RevokeHost(ctx, "nobody")} {
			p.code(reachback.CodeHostUnknown, err)
		}
	}},
}
