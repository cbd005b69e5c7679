package directorytest

import (
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

var personalCases = []testCase{
	{"a user gets the first host by name that is nobody's, and it is his from then on", in(personal, twoHosts, func(p *place) {
		p.leave(p.goes("u1", "a"))
		p.goes("u2", "b")
		p.wait(day)
		p.refused("u3", reachback.CodeHostsFull)
		p.goes("u1", "a")
		require.Equal(p.t, user("u1").ID(), p.status("a").AssignedTo)
	})},
	{"a user whose own host is away gets no other", in(personal, twoHosts, func(p *place) {
		p.goes("u1", "a")
		p.down("a")
		p.refused("u1", reachback.CodeNoHost)
		p.up("a")
		p.goes("u1", "a")
	})},
	{"a user's own host in drain, or not fit, has him back and does not begin anew", in(personal, twoHosts, func(p *place) {
		s := p.goes("u1", "a")
		p.drain("a", true)
		p.fit("a", false)
		p.goes("u1", "a")
		for _, s := range p.live("a") {
			p.says("a", false, is(&s, broker.ReportLoggedOff))
		}
		p.counts("a", 0)
		p.refused("u1", reachback.CodeNoHost)
		p.drain("a", false)
		p.refused("u1", reachback.CodeNoHost)
		p.fit("a", true)
		require.NotEqual(p.t, s.ID, p.goes("u1", "a").ID)
	})},
	{"whose own host was revoked gets another", in(personal, twoHosts, func(p *place) {
		p.goes("u1", "a")
		p.ok(p.d.RevokeHost(p.t.Context(), p.ids["a"]))
		p.goes("u1", "b")
	})},
	{"an operator can say whose a host is", in(personal, twoHosts, func(p *place) {
		p.ok(p.d.AssignHost(p.t.Context(), p.ids["b"], user("u1").ID()))
		p.goes("u2", "a")
		p.refused("u3", reachback.CodeHostsFull)
		p.goes("u1", "b")
	})},
	{"what an operator assigns takes the place of what the user had", in(personal, twoHosts, func(p *place) {
		p.ok(p.d.AssignHost(p.t.Context(), p.ids["a"], user("u1").ID()))
		p.ok(p.d.AssignHost(p.t.Context(), p.ids["a"], user("u1").ID())) // again is harmless
		p.ok(p.d.AssignHost(p.t.Context(), p.ids["b"], user("u1").ID()))
		require.Empty(p.t, p.status("a").AssignedTo)
		p.goes("u2", "a")
		p.goes("u1", "b")
	})},
	{"another's host is not given away before it is nobody's", in(personal, twoHosts, func(p *place) {
		p.goes("u1", "a")
		p.code(reachback.CodeInUse, p.d.AssignHost(p.t.Context(), p.ids["a"], user("u2").ID()))
		p.ok(p.d.AssignHost(p.t.Context(), p.ids["a"], ""))
		p.ok(p.d.AssignHost(p.t.Context(), p.ids["a"], user("u2").ID()))
		p.goes("u2", "a")
		require.Equal(p.t, user("u2").ID(), p.status("a").AssignedTo)
	})},
	{"a user does not go back to a host that is his no more, whatever still runs there", in(personal, twoHosts, func(p *place) {
		p.leave(p.goes("u1", "a"))
		p.ok(p.d.AssignHost(p.t.Context(), p.ids["a"], ""))
		p.ok(p.d.AssignHost(p.t.Context(), p.ids["a"], user("u2").ID()))
		p.goes("u1", "b")
	})},
	{"only hosts of personal pools are somebody's, and of users of their tenant", func(p *place) {
		p.apply(&broker.Seed{Pools: []broker.SeedPool{{Name: "own", Kind: broker.PoolPersonal}, {Name: "shared"}}})
		p.enrol("a", "own")
		p.enrol("b", "shared")
		stranger := user("u1")
		stranger.Tenant = "other"
		p.code(reachback.CodeBadRequest, p.d.AssignHost(p.t.Context(), p.ids["b"], user("u1").ID()))
		p.code(reachback.CodeBadRequest, p.d.AssignHost(p.t.Context(), p.ids["a"], stranger.ID()))
		p.code(reachback.CodeHostUnknown, p.d.AssignHost(p.t.Context(), "nobody", user("u1").ID()))
		p.ok(p.d.AssignHost(p.t.Context(), p.ids["a"], user("u1").ID()))
		mine, err := p.d.Hosts(p.t.Context(), &broker.HostQuery{AssignedTo: user("u1").ID()})
		p.ok(err)
		require.Len(p.t, mine, 1)
		require.Equal(p.t, p.ids["a"], mine[0].ID)
		p.ok(p.d.RevokeHost(p.t.Context(), p.ids["a"]))
		mine, err = p.d.Hosts(p.t.Context(), &broker.HostQuery{AssignedTo: user("u1").ID()})
		p.ok(err)
		require.Empty(p.t, mine, "a revoked host is nobody's")
	}},
}
