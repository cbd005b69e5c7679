package directorytest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// presenceCases are about control channels and what hosts say on them.
var presenceCases = []testCase{
	{"a host is up from its channel's beginning to its end", in(breadth, nil, func(p *place) {
		p.enrol("a", pool)
		require.False(p.t, p.status("a").Up)
		p.refused("u1", reachback.CodeNoHost)
		a := p.up("a")
		require.Equal(p.t, p.ids["a"], a.ID)
		require.Equal(p.t, "a", a.Name)
		require.Equal(p.t, pool, a.Pool)
		require.Equal(p.t, p.keys["a"], a.Key)
		require.True(p.t, p.status("a").Up)
		require.Equal(p.t, a.Epoch, p.status("a").Epoch)
		p.down("a")
		require.False(p.t, p.status("a").Up)
	})},
	{"B13: each channel has a higher epoch than all before, at whichever broker", in(breadth, oneHost, func(p *place) {
		last := p.epochs["a"]
		require.NotZero(p.t, last)
		for i := range 6 {
			d := p.d
			if i%2 == 0 {
				d = p.second
			}
			p.down("a")
			a, err := d.Attach(p.t.Context(), p.ids["a"])
			p.ok(err)
			require.Greater(p.t, a.Epoch, last)
			last, p.epochs["a"] = a.Epoch, a.Epoch
		}
	})},
	{"B13: nothing that a ghost still says or ends changes anything", in(breadth, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		ghost := p.epochs["a"]
		p.up("a")
		ctx, id := p.t.Context(), p.ids["a"]
		p.ok(p.d.Detach(ctx, id, ghost))
		p.ok(p.d.Drain(ctx, id, ghost, true))
		p.ok(p.d.Health(ctx, id, ghost, &broker.Health{Problem: "I am a ghost"}))
		for _, full := range []bool{true, false} {
			a, err := p.d.HostReport(ctx, id, ghost, full, []broker.SessionReport{is(s, broker.ReportLoggedOff)})
			p.ok(err)
			require.Empty(p.t, a.Changed)
		}
		h := p.status("a")
		require.True(p.t, h.Up)
		require.False(p.t, h.Draining)
		require.Nil(p.t, h.Health)
		require.Equal(p.t, 1, h.UserSessions)
		require.Equal(p.t, broker.SessionActive, p.state(s))
	})},
	{"a channel that has ended says nothing more", in(breadth, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.down("a")
		p.says("a", true)
		p.drain("a", true)
		p.down("a")
		require.Equal(p.t, broker.SessionActive, p.state(s))
		p.up("a")
		p.goes("u2", "a")
	})},
	{"the host's own drain ends with its channel", in(breadth, oneHost, func(p *place) {
		p.drain("a", true)
		require.True(p.t, p.status("a").Draining)
		p.down("a")
		p.up("a")
		require.False(p.t, p.status("a").Draining)
		p.goes("u1", "a")
	})},
	{"the operator's drain lasts, and the host cannot end it", in(breadth, oneHost, func(p *place) {
		p.ok(p.d.SetDrain(p.t.Context(), p.ids["a"], true))
		p.down("a")
		require.True(p.t, p.up("a").Drain)
		p.drain("a", false)
		p.refused("u1", reachback.CodeNoHost)
		require.True(p.t, p.status("a").Drain)
		p.drain("a", true)
		p.ok(p.d.SetDrain(p.t.Context(), p.ids["a"], false))
		p.refused("u1", reachback.CodeNoHost)
		p.drain("a", false)
		p.goes("u1", "a")
	})},
	{"how a host is, is what it has said last on its channel", in(breadth, oneHost, func(p *place) {
		want := broker.Health{Problem: "disk is full", Target: true, Load: 0.5, DiskFree: 1 << 40}
		p.ok(p.d.Health(p.t.Context(), p.ids["a"], p.epochs["a"], &want))
		require.Equal(p.t, &want, p.status("a").Health)
		p.refused("u1", reachback.CodeNoHost)
		p.down("a")
		p.up("a")
		p.goes("u1", "a") // nothing is known of it now
		p.fit("a", false)
		p.refused("u2", reachback.CodeNoHost)
	})},
	{"three replacements of a channel in a minute make a duplicate", in(breadth, oneHost, func(p *place) {
		require.False(p.t, p.up("a").Duplicate)
		require.False(p.t, p.up("a").Duplicate)
		require.False(p.t, p.status("a").Duplicate)
		require.True(p.t, p.up("a").Duplicate)
		require.True(p.t, p.status("a").Duplicate)
	})},
	{"a host whose channels end before the next begin is no duplicate, nor is a slow one", in(breadth, oneHost, func(p *place) {
		for range 10 {
			p.down("a")
			require.False(p.t, p.up("a").Duplicate)
		}
		for range 10 {
			p.wait(30 * time.Second)
			require.False(p.t, p.up("a").Duplicate)
		}
	})},
	{"what the one broker knows of a host the other knows too", in(breadth, twoHosts, func(p *place) {
		p.drain("a", true)
		p.ok(p.second.Detach(p.t.Context(), p.ids["b"], p.epochs["b"]))
		r := p.wants("u1")
		_, err := p.second.Reserve(p.t.Context(), r)
		p.code(reachback.CodeNoHost, err)
		a, err := p.second.Attach(p.t.Context(), p.ids["b"])
		p.ok(err)
		p.epochs["b"] = a.Epoch
		p.goes("u1", "b")
	})},
	{"an unknown host has no channel and no say", func(p *place) {
		ctx := p.t.Context()
		_, err := p.d.Attach(ctx, "nobody")
		p.code(reachback.CodeHostUnknown, err)
		p.code(reachback.CodeHostUnknown, p.d.SetDrain(ctx, "nobody", true))
		p.ok(p.d.Detach(ctx, "nobody", 1))
		p.ok(p.d.Drain(ctx, "nobody", 1, true))
		p.ok(p.d.Health(ctx, "nobody", 1, &broker.Health{}))
		_, err = p.d.HostReport(ctx, "nobody", 1, true, nil)
		p.ok(err)
	}},
}
