package directorytest

import (
	"net/netip"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// sessionCases are about the rows of sessions, and about their kills.
var sessionCases = []testCase{
	{"a session says who is where, and what his pool allows", in(broker.SeedPool{
		Raw: true, Policy: broker.SeedPolicy{Shortpath: true, Networks: []string{"10.0.0.0/8"}, DSCP: 46, MaxRate: 1e6}, RDP: map[string]string{"audiomode": "i:0"},
	}, oneHost, func(p *place) {
		r := p.wantsRaw("u1")
		r.User.Name = "User One"
		s := p.reserved(r)
		require.NotEmpty(p.t, s.ID)
		require.WithinDuration(p.t, p.now(), s.Created, 10*time.Second)
		want := broker.Session{
			ID: s.ID, User: r.User, Host: p.ids["a"], HostKey: p.keys["a"], Epoch: p.epochs["a"], Token: r.Token, Raw: true,
			State: broker.SessionPending, CorrelationID: r.CorrelationID, Created: s.Created, Changed: s.Created,
			Policy: reachback.Policy{Raw: true, Shortpath: true, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, DSCP: 46, MaxRate: 1e6},
		}
		require.Equal(p.t, desktop, s.Resource.ID)
		require.Equal(p.t, pool, s.Resource.Pool)
		require.Equal(p.t, reachback.KindDesktop, s.Resource.Kind)
		want.Resource = s.Resource
		require.Equal(p.t, want, *s)

		got, err := p.second.Session(p.t.Context(), s.ID)
		p.ok(err)
		require.Equal(p.t, want.User.ID(), got.User.ID())
		require.Equal(p.t, want.Host, got.Host)
		require.Equal(p.t, want.Policy, got.Policy)
		require.Equal(p.t, want.Token, got.Token)
		require.Equal(p.t, want.CorrelationID, got.CorrelationID)
		require.Equal(p.t, want.Resource.ID, got.Resource.ID)
		require.WithinDuration(p.t, want.Created, got.Created, time.Millisecond)
	})},
	{"what changes a session's state sets its time", in(breadth, oneHost, func(p *place) {
		s := p.reserved(p.wants("u1"))
		p.wait(10 * time.Second)
		p.join(s)
		joined, err := p.d.Session(p.t.Context(), s.ID)
		p.ok(err)
		require.Equal(p.t, broker.SessionActive, joined.State)
		require.WithinDuration(p.t, s.Created, joined.Created, time.Millisecond)
		require.GreaterOrEqual(p.t, joined.Changed.Sub(s.Created), 10*time.Second)
		p.wait(10 * time.Second)
		p.ok(p.d.Joined(p.t.Context(), s.ID, "another call"))
		again, err := p.d.Session(p.t.Context(), s.ID)
		p.ok(err)
		require.WithinDuration(p.t, joined.Changed, again.Changed, time.Millisecond)
	})},
	{"sessions are listed the newest first, by user, host and state", in(broker.SeedPool{}, twoHosts, func(p *place) {
		var made []string
		for _, who := range []string{"u1", "u2", "u1", "u3"} {
			s := p.reserved(p.wants(who)) // on a, b, a and again a
			p.join(s)
			made = append([]string{s.ID}, made...)
			p.wait(time.Second)
		}
		p.ok(p.d.Left(p.t.Context(), made[3], "call of "+made[3]))
		p.ok(p.d.Kill(p.t.Context(), made[2], reachback.CodeKilled))
		for _, tt := range []struct {
			name string
			q    broker.SessionQuery
			want []int // of made
		}{
			{"all", broker.SessionQuery{}, []int{0, 1, 2, 3}},
			{"a user's", broker.SessionQuery{User: "u1"}, []int{1, 3}},
			{"a host's", broker.SessionQuery{Host: p.ids["b"]}, []int{2}},
			{"live", broker.SessionQuery{Live: true}, []int{0, 1}},
			{"a user's live ones", broker.SessionQuery{User: "u1", Live: true}, []int{1}},
			{"the newest two", broker.SessionQuery{Limit: 2}, []int{0, 1}},
			{"of another tenant", broker.SessionQuery{Tenant: "other"}, nil},
			{"of nobody", broker.SessionQuery{User: "nobody"}, nil},
		} {
			var want, got []string
			for _, i := range tt.want {
				want = append(want, made[i])
			}
			list, err := p.d.ListSessions(p.t.Context(), &tt.q)
			p.ok(err)
			for _, s := range list {
				got = append(got, s.ID)
			}
			require.Equal(p.t, want, got, tt.name)
		}
	})},
	{"a session that is over is remembered for a quarter of an hour", in(breadth, oneHost, func(p *place) {
		s := p.reserved(p.wants("u1"))
		p.ok(p.d.Release(p.t.Context(), s.ID))
		p.wait(broker.KeepEnded - 10*time.Second)
		require.Equal(p.t, broker.SessionEnded, p.state(s))
	})},
	{"there is no session that was not made", func(p *place) {
		ctx := p.t.Context()
		_, err := p.d.Session(ctx, "nothing")
		p.code(reachback.CodeNotFound, err)
		p.code(reachback.CodeNotFound, p.d.Kill(ctx, "nothing", reachback.CodeKilled))
		p.ok(p.d.Joined(ctx, "nothing", "call"))
		p.ok(p.d.Left(ctx, "nothing", "call"))
	}},
	{"A6: kills have revisions in their order, which every broker sees", in(broker.SeedPool{}, twoHosts, func(p *place) {
		ctx := p.t.Context()
		one, two := p.goes("u1", "a"), p.goes("u2", "b")
		g := p.gateway("https://gw.example")
		p.ok(p.d.Kill(ctx, one.ID, reachback.CodeKilled))
		p.ok(p.second.RevokeHost(ctx, p.ids["b"]))
		p.ok(p.d.RevokeGateway(ctx, g.ID))
		p.ok(p.second.Kill(ctx, two.ID, reachback.CodeClosed))
		kills, err := p.d.Kills(ctx, 0)
		p.ok(err)
		var after uint64
		for i := range kills {
			require.Greater(p.t, kills[i].Revision, after)
			after, kills[i].Revision = kills[i].Revision, 0
		}
		want := make([]broker.Kill, 4)
		want[0].Session, want[0].On, want[0].Code = one.ID, p.ids["a"], reachback.CodeKilled
		want[1].Host, want[1].Code = p.ids["b"], reachback.CodeHostRevoked
		want[2].Gateway, want[2].Code = g.ID, reachback.CodeGatewayRevoked
		want[3].Session, want[3].On, want[3].Code = two.ID, p.ids["b"], reachback.CodeClosed
		require.Equal(p.t, want, kills)

		kills, err = p.second.Kills(ctx, 0)
		p.ok(err)
		require.Len(p.t, kills, 4)
		kills, err = p.d.Kills(ctx, kills[1].Revision)
		p.ok(err)
		require.Len(p.t, kills, 2)
		kills, err = p.d.Kills(ctx, after)
		p.ok(err)
		require.Empty(p.t, kills)

		// Who has seen more than there was knows of a past that this one has not.
		kills, err = p.d.Kills(ctx, after+100)
		p.ok(err)
		require.Len(p.t, kills, 4)
	})},
	{"a session is killed once and for all", in(onePlace, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.ok(p.d.Kill(p.t.Context(), s.ID, reachback.CodeKilled))
		p.ok(p.d.Kill(p.t.Context(), s.ID, reachback.CodeClosed))
		kills, err := p.d.Kills(p.t.Context(), 0)
		p.ok(err)
		require.Len(p.t, kills, 1)
		p.join(s)
		p.says("a", false, is(s, broker.ReportActive))
		p.leave(s)
		require.Equal(p.t, broker.SessionKilled, p.state(s))
	})},
	{"a host hears in its welcome of the kills of its own sessions", in(broker.SeedPool{}, twoHosts, func(p *place) {
		one, two := p.goes("u1", "a"), p.goes("u2", "b")
		for _, s := range []*broker.Session{one, two} {
			p.ok(p.d.Kill(p.t.Context(), s.ID, reachback.CodeKilled))
		}
		a := p.up("a")
		require.Len(p.t, a.Kills, 1)
		require.Equal(p.t, one.ID, a.Kills[0].Session)
	})},
	{"kills of sessions are in force for a day, revocations for good", in(broker.SeedPool{}, twoHosts, func(p *place) {
		s := p.goes("u1", "a")
		p.ok(p.d.Kill(p.t.Context(), s.ID, reachback.CodeKilled))
		p.ok(p.d.RevokeHost(p.t.Context(), p.ids["b"]))
		p.around(broker.KeepKilled, func() {
			kills, err := p.d.Kills(p.t.Context(), 0)
			p.ok(err)
			require.Len(p.t, kills, 2)
			require.Equal(p.t, broker.SessionKilled, p.state(s))
		}, func() {
			kills, err := p.d.Kills(p.t.Context(), 0)
			p.ok(err)
			require.Len(p.t, kills, 1)
			require.Equal(p.t, p.ids["b"], kills[0].Host)
		})
	})},
}
