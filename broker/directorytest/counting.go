package directorytest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

var onePlace = broker.SeedPool{MaxSessions: 1}

// countingCases are about how long a user session takes up its slot.
var countingCases = []testCase{
	{"a slot that is never joined comes back after 30 s", in(breadth, oneHost, func(p *place) {
		p.goes("u1", "a")
		s := p.reserved(p.wants("u2"))
		p.around(broker.JoinWithin, func() {
			p.refused("u3", reachback.CodeHostsFull)
		}, func() {
			p.goes("u3", "a")
			require.Equal(p.t, broker.SessionEnded, p.state(s))
		})
	})},
	{"a released slot is free at once", in(onePlace, oneHost, func(p *place) {
		s := p.reserved(p.wants("u1"))
		p.refused("u2", reachback.CodeHostsFull)
		p.ok(p.d.Release(p.t.Context(), s.ID))
		p.goes("u2", "a")
		p.ok(p.d.Release(p.t.Context(), s.ID))
		p.ok(p.d.Release(p.t.Context(), "no such session"))
		p.counts("a", 1)
	})},
	{"a session that was joined is not released", in(onePlace, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.ok(p.d.Release(p.t.Context(), s.ID))
		require.Equal(p.t, broker.SessionActive, p.state(s))
	})},
	{"a disconnected user session counts for five minutes", in(onePlace, oneHost, func(p *place) {
		p.leave(p.goes("u1", "a"))
		p.around(broker.DefaultLinger, func() {
			p.refused("u2", reachback.CodeHostsFull)
		}, func() {
			p.goes("u2", "a")
		})
	})},
	{"how long a disconnected user session counts is the pool's to say", in(broker.SeedPool{MaxSessions: 1, Linger: 7200}, oneHost, func(p *place) {
		p.leave(p.goes("u1", "a"))
		p.around(2*time.Hour, func() {
			p.refused("u2", reachback.CodeHostsFull)
		}, func() {
			p.goes("u2", "a")
		})
	})},
	{"who comes back in time has the time anew", in(onePlace, oneHost, func(p *place) {
		p.leave(p.goes("u1", "a"))
		p.wait(4 * time.Minute)
		s := p.goes("u1", "a")
		p.wait(time.Hour)
		p.counts("a", 1)
		p.leave(s)
		p.around(broker.DefaultLinger, func() { p.counts("a", 1) }, func() { p.counts("a", 0) })
	})},
	{"a session goes on while one of its calls does", in(raw, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.ok(p.d.Joined(p.t.Context(), s.ID, "second"))
		p.leave(s)
		require.Equal(p.t, broker.SessionActive, p.state(s))
		p.ok(p.d.Left(p.t.Context(), s.ID, "second"))
		require.Equal(p.t, broker.SessionEnded, p.state(s))
	})},

	{"G12: the slots of a dead host come back after ten minutes, and not twice when it returns", in(breadth, oneHost, func(p *place) {
		one, two := p.goes("u1", "a"), p.goes("u2", "a")
		p.down("a")
		p.around(broker.AbsentFor, func() {
			p.counts("a", 2)
			require.Equal(p.t, broker.SessionActive, p.state(one))
		}, func() {
			p.counts("a", 0)
			require.Equal(p.t, broker.SessionLost, p.state(one))
		})
		p.up("a")
		p.says("a", true, is(one, broker.ReportActive))
		p.says("a", true, is(one, broker.ReportActive))
		require.Equal(p.t, broker.SessionActive, p.state(one))
		p.goes("u3", "a")
		p.refused("u2", reachback.CodeHostsFull)
		p.says("a", false, is(two, broker.ReportEnded))
		p.refused("u2", reachback.CodeHostsFull)
		p.counts("a", 2)
	})},
	{"G12: the users of a dead host are placed elsewhere meanwhile", in(breadth, twoHosts, func(p *place) {
		p.goes("u1", "a")
		p.goes("u2", "b")
		p.goes("u3", "a")
		p.down("a")
		p.goes("u1", "b")
		p.refused("u3", reachback.CodeHostsFull)
		p.wait(broker.AbsentFor)
		p.up("a")
		p.goes("u3", "a")
		p.goes("u1", "b")
		p.counts("a", 1)
		p.counts("b", 2)
	})},
	{"a host that comes back in time keeps what it reports, and the rest is over", in(breadth, oneHost, func(p *place) {
		one, two := p.goes("u1", "a"), p.goes("u2", "a")
		p.down("a")
		p.wait(9 * time.Minute)
		p.up("a")
		p.says("a", true, is(one, broker.ReportActive))
		require.Equal(p.t, broker.SessionActive, p.state(one))
		require.Equal(p.t, broker.SessionEnded, p.state(two))
		p.wait(time.Hour)
		p.goes("u3", "a")
		p.refused("u2", reachback.CodeHostsFull)
	})},
	{"a host that comes and goes is not lost by the time of its first absence", in(breadth, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.down("a")
		p.wait(9 * time.Minute)
		p.up("a")
		p.says("a", true, is(s, broker.ReportActive))
		p.wait(30 * time.Minute)
		p.down("a")
		p.wait(9 * time.Minute)
		require.Equal(p.t, broker.SessionActive, p.state(s))
	})},

	{"a user session that its host calls disconnected counts until the host calls it over", in(onePlace, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.says("a", false, is(s, broker.ReportDisconnected))
		require.Equal(p.t, broker.SessionEnded, p.state(s))
		p.wait(2 * day)
		p.refused("u2", reachback.CodeHostsFull)
		p.says("a", false, is(s, broker.ReportLoggedOff))
		p.goes("u2", "a")
	})},
	{"it makes no difference whether the gateway or the host is first to tell of the end", in(onePlace, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.leave(s)
		p.says("a", false, is(s, broker.ReportDisconnected))
		p.wait(day)
		p.counts("a", 1)
		s = p.goes("u1", "a")
		p.says("a", false, is(s, broker.ReportDisconnected))
		p.leave(s)
		p.wait(day)
		p.counts("a", 1)
		p.says("a", false, is(s, broker.ReportLoggedOff))
		p.counts("a", 0)
	})},
	{"who logs off has no user session at once", in(onePlace, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.says("a", false, is(s, broker.ReportLoggedOff))
		require.Equal(p.t, broker.SessionEnded, p.state(s))
		p.goes("u2", "a")
	})},
	{"who logs off and has left before has no user session at once either", in(onePlace, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.leave(s)
		p.says("a", false, is(s, broker.ReportLoggedOff))
		p.goes("u2", "a")
	})},
	{"a user session that the host kept for its user is over when he logs off from his next connection", in(onePlace, oneHost, func(p *place) {
		p.says("a", false, is(p.goes("u1", "a"), broker.ReportDisconnected))
		p.wait(time.Hour)
		p.says("a", false, is(p.goes("u1", "a"), broker.ReportLoggedOff))
		p.counts("a", 0)
	})},
	{"the host's word for a user session is for its own, not for a new connection", in(onePlace, oneHost, func(p *place) {
		old := p.goes("u1", "a")
		p.leave(old)
		s := p.goes("u1", "a")
		p.says("a", false, is(old, broker.ReportLoggedOff))
		require.Equal(p.t, broker.SessionActive, p.state(s))
		p.counts("a", 1)
	})},
	{"a user session that a full report no longer lists lingers", in(onePlace, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.says("a", false, is(s, broker.ReportDisconnected))
		p.wait(day)
		p.down("a")
		p.up("a")
		p.says("a", true)
		p.around(broker.DefaultLinger, func() { p.counts("a", 1) }, func() { p.counts("a", 0) })
	})},
	{"a user session that a full report lists as disconnected goes on", in(onePlace, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.says("a", false, is(s, broker.ReportDisconnected))
		p.wait(day)
		p.down("a")
		p.up("a")
		p.says("a", true, is(s, broker.ReportDisconnected))
		p.wait(day)
		p.refused("u2", reachback.CodeHostsFull)
	})},
	{"a user session that its host calls ended, and no more, lingers", in(onePlace, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.says("a", false, is(s, broker.ReportDisconnected))
		p.wait(day)
		p.says("a", false, is(s, broker.ReportEnded))
		p.around(broker.DefaultLinger, func() { p.counts("a", 1) }, func() { p.counts("a", 0) })
	})},
	{"a disconnected user session is lost with its host, and found again with it", in(onePlace, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.says("a", false, is(s, broker.ReportDisconnected))
		p.wait(day)
		p.down("a")
		p.around(broker.AbsentFor, func() { p.counts("a", 1) }, func() { p.counts("a", 0) })
		p.wait(45 * time.Minute)
		p.up("a")
		p.says("a", true, is(s, broker.ReportDisconnected))
		p.refused("u2", reachback.CodeHostsFull)
		p.says("a", false, is(s, broker.ReportLoggedOff))
		p.goes("u2", "a")
	})},
	{"a killed session leaves its user session to the host", in(onePlace, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.ok(p.d.Kill(p.t.Context(), s.ID, reachback.CodeKilled))
		p.counts("a", 1)
		p.says("a", false, is(s, broker.ReportDisconnected))
		p.wait(2 * day)
		p.counts("a", 1)
		p.says("a", false, is(s, broker.ReportLoggedOff))
		p.counts("a", 0)
	})},
}
