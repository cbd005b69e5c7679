package directorytest

import (
	"crypto/rand"
	"net/netip"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// again is another call with the same token.
func again(r *broker.Reservation) *broker.Reservation {
	c := *r
	c.Call = rand.Text()
	return &c
}

func (p *place) wantsRaw(who string) *broker.Reservation {
	r := p.wants(who)
	r.Raw = true
	return r
}

var tokenCases = []testCase{
	{"token ids are drawn once", func(p *place) {
		seen := map[string]bool{}
		for range 100 {
			for _, d := range []broker.Directory{p.d, p.second} {
				id, err := d.NewTokenID(p.t.Context())
				p.ok(err)
				require.False(p.t, seen[id])
				seen[id] = true
			}
		}
	}},
	{"A1: a framed token opens one call, at one broker", in(breadth, oneHost, func(p *place) {
		r := p.wants("u1")
		p.reserved(r)
		_, err := p.reserve(again(r))
		p.code(reachback.CodeTokenReplayed, err)
		_, err = p.second.Reserve(p.t.Context(), again(r))
		p.code(reachback.CodeTokenReplayed, err)
		p.counts("a", 1)
	})},
	{"A1: a token is used up by a refusal too", in(onePlace, oneHost, func(p *place) {
		s := p.reserved(p.wants("u1"))
		r := p.wants("u2")
		_, err := p.reserve(r)
		p.code(reachback.CodeHostsFull, err)
		p.ok(p.d.Release(p.t.Context(), s.ID))
		_, err = p.reserve(again(r))
		p.code(reachback.CodeTokenReplayed, err)
		r = p.wants("u2")
		r.Resource = "nothing"
		_, err = p.reserve(r)
		p.code(reachback.CodeNotAssigned, err)
		r.Resource = desktop
		_, err = p.reserve(again(r))
		p.code(reachback.CodeTokenReplayed, err)
	})},
	{"A1: a call may ask again, for the next host", in(breadth, twoHosts, func(p *place) {
		r := p.wants("u1")
		s := p.reserved(r)
		p.ok(p.d.Release(p.t.Context(), s.ID))
		r.Exclude = []string{s.Host}
		require.NotEqual(p.t, s.Host, p.reserved(r).Host)
	})},
	{"A1: a raw token repeats for a minute, and then no more", in(raw, oneHost, func(p *place) {
		r := p.wantsRaw("u1")
		p.reserved(r)
		p.around(broker.RawRepeats, func() {
			p.reserved(again(r))
		}, func() {
			_, err := p.reserve(again(r))
			p.code(reachback.CodeTokenReplayed, err)
		})
	})},
	{"A1: a raw token repeats from its address only, and for raw calls only", in(raw, oneHost, func(p *place) {
		r := p.wantsRaw("u1")
		p.reserved(r)
		elsewhere, framed := again(r), again(r)
		elsewhere.Address = netip.MustParseAddr("192.0.2.2")
		framed.Raw = false
		for _, r := range []*broker.Reservation{elsewhere, framed} {
			_, err := p.reserve(r)
			p.code(reachback.CodeTokenReplayed, err)
		}
	})},
	{"A1: a framed token does not become a raw one", in(raw, oneHost, func(p *place) {
		r := p.wants("u1")
		p.reserved(r)
		r.Raw = true
		_, err := p.reserve(again(r))
		p.code(reachback.CodeTokenReplayed, err)
	})},
	{"G10: a raw token that repeats leads to the same session, slot and host", in(raw, twoHosts, func(p *place) {
		r := p.wantsRaw("u1")
		first := p.reserved(r)
		p.join(first)
		p.leave(first)
		for _, d := range []broker.Directory{p.d, p.second, p.d} {
			s, err := d.Reserve(p.t.Context(), again(r))
			p.ok(err)
			require.Equal(p.t, first.ID, s.ID)
			require.Equal(p.t, first.Host, s.Host)
		}
		require.Equal(p.t, broker.SessionPending, p.state(first))
		p.counts("a", 1)
		p.counts("b", 0)
	})},
	{"a raw token that repeats goes back even to a host in drain, or at its limit", in(broker.SeedPool{MaxSessions: 1, Raw: true}, twoHosts, func(p *place) {
		r := p.wantsRaw("u1")
		first := p.reserved(r)
		p.drain("a", true)
		require.Equal(p.t, first.ID, p.reserved(again(r)).ID)
	})},
	{"a raw token that repeats finds another host when its own is gone", in(raw, twoHosts, func(p *place) {
		r := p.wantsRaw("u1")
		first := p.reserved(r)
		p.join(first)
		p.down("a")
		s := p.reserved(again(r))
		require.Equal(p.t, "b", p.name(s.Host))
		require.NotEqual(p.t, first.ID, s.ID)
	})},
	{"a repeat joins the host's channel of now", in(raw, oneHost, func(p *place) {
		r := p.wantsRaw("u1")
		require.Equal(p.t, p.epochs["a"], p.reserved(r).Epoch)
		p.up("a")
		require.Equal(p.t, p.epochs["a"], p.reserved(again(r)).Epoch)
	})},
	{"A6: the token of a killed session is refused as killed, at every broker", in(raw, oneHost, func(p *place) {
		for _, r := range []*broker.Reservation{p.wants("u1"), p.wantsRaw("u2")} {
			s := p.reserved(r)
			p.join(s)
			p.ok(p.d.Kill(p.t.Context(), s.ID, reachback.CodeKilled))
			_, err := p.reserve(again(r))
			p.code(reachback.CodeKilled, err)
			_, err = p.second.Reserve(p.t.Context(), again(r))
			p.code(reachback.CodeKilled, err)
		}
	})},
}
