package directorytest

import (
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// reportCases are about what hosts say of sessions.
var reportCases = []testCase{
	{"G4: sessions that were not made for the host change nothing and are counted", in(breadth, twoHosts, func(p *place) {
		p.drain("a", true)
		s := p.goes("u1", "b")
		p.drain("a", false)
		for _, state := range []string{broker.ReportActive, broker.ReportEnded, broker.ReportDisconnected, broker.ReportLoggedOff} {
			a := p.says("a", false, is(s, state), broker.SessionReport{Session: "invented", State: state})
			require.Equal(p.t, 2, a.Unknown)
			require.Empty(p.t, a.Changed)
			require.Empty(p.t, a.Kills)
		}
		p.counts("a", 0)
		p.counts("b", 1)
		require.Equal(p.t, broker.SessionActive, p.state(s))
		p.goes("u1", "b")
	})},
	{"B10: one host's full report says nothing of another's sessions", in(breadth, twoHosts, func(p *place) {
		one, two := p.goes("u1", "a"), p.goes("u2", "b")
		p.down("a")
		p.up("a")
		p.says("a", true)
		require.Equal(p.t, broker.SessionEnded, p.state(one))
		require.Equal(p.t, broker.SessionActive, p.state(two))
	})},
	{"a full report ends what it leaves out, and tells whose state that has changed", in(breadth, oneHost, func(p *place) {
		one, two := p.goes("u1", "a"), p.goes("u2", "a")
		p.down("a")
		p.up("a")
		a := p.says("a", true, is(one, broker.ReportActive))
		require.Len(p.t, a.Changed, 1)
		require.Equal(p.t, two.ID, a.Changed[0].ID)
		require.Equal(p.t, broker.SessionEnded, a.Changed[0].State)
		require.Equal(p.t, two.CorrelationID, a.Changed[0].CorrelationID)
		require.Equal(p.t, broker.SessionActive, p.state(one))
	})},
	{"a full report does not end what the same channel was just summoned for", in(breadth, oneHost, func(p *place) {
		s, waiting := p.goes("u1", "a"), p.reserved(p.wants("u2"))
		require.Empty(p.t, p.says("a", true).Changed)
		require.Equal(p.t, broker.SessionActive, p.state(s))
		require.Equal(p.t, broker.SessionPending, p.state(waiting))
	})},
	{"changes say nothing of what they leave out", in(breadth, oneHost, func(p *place) {
		one, two := p.goes("u1", "a"), p.goes("u2", "a")
		p.down("a")
		p.up("a")
		a := p.says("a", false, is(one, broker.ReportEnded))
		require.Len(p.t, a.Changed, 1)
		require.Equal(p.t, one.ID, a.Changed[0].ID)
		require.Equal(p.t, broker.SessionActive, p.state(two))
		require.Empty(p.t, p.says("a", false, is(one, broker.ReportEnded)).Changed, "a second time changes nothing")
	})},
	{"the host's word makes a session active, before the gateway's and after its end", in(breadth, oneHost, func(p *place) {
		s := p.reserved(p.wants("u1"))
		a := p.says("a", false, is(s, broker.ReportActive))
		require.Len(p.t, a.Changed, 1)
		require.Equal(p.t, broker.SessionActive, a.Changed[0].State)
		p.wait(broker.JoinWithin)
		require.Equal(p.t, broker.SessionActive, p.state(s))
		p.says("a", false, is(s, broker.ReportEnded))
		p.says("a", false, is(s, broker.ReportActive))
		require.Equal(p.t, broker.SessionActive, p.state(s))
		p.wait(day)
		p.counts("a", 1)
	})},
	{"a killed session that its host calls active is to be ended there", in(breadth, oneHost, func(p *place) {
		one, two := p.goes("u1", "a"), p.goes("u2", "a")
		p.ok(p.d.Kill(p.t.Context(), one.ID, reachback.CodeKilled))
		p.down("a")
		p.up("a")
		a := p.says("a", true, is(one, broker.ReportActive), is(two, broker.ReportActive))
		require.Len(p.t, a.Kills, 1)
		require.Equal(p.t, one.ID, a.Kills[0].Session)
		require.Equal(p.t, p.ids["a"], a.Kills[0].On)
		require.Equal(p.t, reachback.CodeKilled, a.Kills[0].Code)
		require.Equal(p.t, broker.SessionKilled, p.state(one))
		require.Empty(p.t, p.says("a", false, is(one, broker.ReportEnded)).Kills)
	})},
	{"a state of a later version is ignored", in(breadth, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		a := p.says("a", false, is(s, "dreaming"))
		require.Zero(p.t, a.Unknown)
		require.Empty(p.t, a.Changed)
		require.Equal(p.t, broker.SessionActive, p.state(s))
	})},
	{"sessions of an absent host are lost, and active again when it reports them", in(breadth, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.down("a")
		p.wait(broker.AbsentFor)
		require.Equal(p.t, broker.SessionLost, p.state(s))
		p.up("a")
		a := p.says("a", true, is(s, broker.ReportActive))
		require.Len(p.t, a.Changed, 1)
		require.Zero(p.t, a.Unknown)
		p.counts("a", 1)
	})},
}
