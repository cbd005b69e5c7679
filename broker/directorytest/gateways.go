package directorytest

import (
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// gatewayRequest shows a new token for gateways.
func (p *place) gatewayRequest(url string) *broker.EnrolRequest {
	p.t.Helper()
	e := p.registration(broker.Registration{Role: broker.RoleGateway})
	e.URL = url
	return e
}

// gateway enrols one.
func (p *place) gateway(url string) *broker.Gateway {
	p.t.Helper()
	g, err := p.d.EnrolGateway(p.t.Context(), p.gatewayRequest(url))
	p.ok(err)
	return g
}

// gatewayStatus is a gateway as lists have it.
func (p *place) gatewayStatus(id string) broker.GatewayStatus {
	p.t.Helper()
	list, err := p.d.Gateways(p.t.Context())
	p.ok(err)
	for _, g := range list {
		if g.ID == id {
			return g
		}
	}
	require.Fail(p.t, "the gateway is not listed", id)
	return broker.GatewayStatus{}
}

var gatewayCases = []testCase{
	{"a gateway enrols with the URL under which hosts reach it", func(p *place) {
		e := p.gatewayRequest("https://gw.example")
		e.Name = "gw"
		g, err := p.d.EnrolGateway(p.t.Context(), e)
		p.ok(err)
		require.NotEmpty(p.t, g.ID)
		require.Equal(p.t, &broker.Gateway{ID: g.ID, Name: "gw", URL: e.URL, Key: e.Key, EnrolledAt: g.EnrolledAt}, g)
		got, err := p.second.Gateway(p.t.Context(), g.ID)
		p.ok(err)
		require.Equal(p.t, g.URL, got.URL)
		require.Equal(p.t, g.Key, got.Key)
		unnamed := p.gateway("https://gw2.example")
		require.Equal(p.t, unnamed.ID, unnamed.Name)
	}},
	{"a gateway's key that is enrolled keeps the gateway and spends nothing, but for another URL", func(p *place) {
		e := p.registration(broker.Registration{Role: broker.RoleGateway, Uses: 2})
		e.URL = "https://gw.example"
		first, err := p.d.EnrolGateway(p.t.Context(), e)
		p.ok(err)
		for range 3 {
			again, err := p.d.EnrolGateway(p.t.Context(), e)
			p.ok(err)
			require.Equal(p.t, first.ID, again.ID)
		}
		e.URL = "https://moved.example"
		moved, err := p.d.EnrolGateway(p.t.Context(), e) // the last use
		p.ok(err)
		require.Equal(p.t, first.ID, moved.ID)
		require.Equal(p.t, e.URL, p.gatewayStatus(first.ID).URL)
		_, err = p.d.EnrolGateway(p.t.Context(), e)
		p.ok(err)
		e.URL = "https://gw.example"
		_, err = p.d.EnrolGateway(p.t.Context(), e)
		p.code(reachback.CodeRegistrationUsedUp, err)
		e.Key = randomKey()
		_, err = p.d.EnrolGateway(p.t.Context(), e)
		p.code(reachback.CodeRegistrationUsedUp, err)
	}},
	{"a gateway's URL is its own until it is revoked", func(p *place) {
		first := p.gateway("https://gw.example")
		e := p.gatewayRequest("https://gw.example")
		_, err := p.d.EnrolGateway(p.t.Context(), e)
		p.code(reachback.CodeGatewayURLTaken, err)
		other := p.registration(broker.Registration{Role: broker.RoleGateway, Uses: 2})
		other.URL = "https://other.example"
		_, err = p.d.EnrolGateway(p.t.Context(), other)
		p.ok(err)
		other.URL = "https://gw.example"
		_, err = p.d.EnrolGateway(p.t.Context(), other)
		p.code(reachback.CodeGatewayURLTaken, err)
		p.ok(p.d.RevokeGateway(p.t.Context(), first.ID))
		next, err := p.d.EnrolGateway(p.t.Context(), e) // the refusal has spent nothing
		p.ok(err)
		require.NotEqual(p.t, first.ID, next.ID)
	}},
	{"who holds a gateway's old key too keeps gateway and URL, under the new key", func(p *place) {
		first := p.gateway("https://gw.example")
		e := p.gatewayRequest("https://gw.example")
		e.OldKey = first.Key
		got, err := p.d.EnrolGateway(p.t.Context(), e)
		p.ok(err)
		require.Equal(p.t, first.ID, got.ID)
		require.Equal(p.t, e.Key, got.Key)
		e.Key, e.OldKey = first.Key, broker.Thumbprint{}
		_, err = p.d.EnrolGateway(p.t.Context(), e)
		p.code(reachback.CodeGatewayURLTaken, err)
	}},
	{"a gateway needs a URL that can be one", func(p *place) {
		for _, url := range []string{"", "gw.example", "https://", "/path", "https://gw.example/?q", "https://user@gw.example"} {
			_, err := p.d.EnrolGateway(p.t.Context(), p.gatewayRequest(url))
			require.Equal(p.t, reachback.CodeBadRequest, reachback.CodeOf(err), "%q", url)
		}
		e := p.gatewayRequest("https://gw.example")
		e.Name = "a b"
		_, err := p.d.EnrolGateway(p.t.Context(), e)
		p.code(reachback.CodeBadRequest, err)
	}},
	{"B8: a gateway's registration token is checked like a host's", func(p *place) {
		e := p.gatewayRequest("https://gw.example")
		wrong := *e
		wrong.Hash[0] ^= 1
		_, err := p.d.EnrolGateway(p.t.Context(), &wrong)
		p.code(reachback.CodeRegistrationInvalid, err)
		p.wait(day)
		_, err = p.d.EnrolGateway(p.t.Context(), e)
		p.code(reachback.CodeRegistrationExpired, err)
	}},
	{"a gateway is up from its channel's beginning to its end, with rising epochs", func(p *place) {
		ctx := p.t.Context()
		g := p.gateway("https://gw.example")
		require.False(p.t, p.gatewayStatus(g.ID).Up)
		one, err := p.d.AttachGateway(ctx, g.ID)
		p.ok(err)
		require.Equal(p.t, g.URL, one.URL)
		two, err := p.second.AttachGateway(ctx, g.ID)
		p.ok(err)
		require.Greater(p.t, two.Epoch, one.Epoch)
		p.ok(p.d.DetachGateway(ctx, g.ID, one.Epoch)) // a ghost
		require.True(p.t, p.gatewayStatus(g.ID).Up)
		require.Equal(p.t, two.Epoch, p.gatewayStatus(g.ID).Epoch)
		p.ok(p.d.DetachGateway(ctx, g.ID, two.Epoch))
		require.False(p.t, p.gatewayStatus(g.ID).Up)
		p.ok(p.d.DetachGateway(ctx, "nobody", 1))
	}},
	{"a gateway's drain is the operator's, and lasts", func(p *place) {
		ctx := p.t.Context()
		g := p.gateway("https://gw.example")
		p.ok(p.d.SetGatewayDrain(ctx, g.ID, true))
		a, err := p.second.AttachGateway(ctx, g.ID)
		p.ok(err)
		require.True(p.t, a.Drain)
		require.True(p.t, p.gatewayStatus(g.ID).Drain)
		p.ok(p.d.SetGatewayDrain(ctx, g.ID, false))
		require.False(p.t, p.gatewayStatus(g.ID).Drain)
	}},
	{"a revoked gateway is so for good, and twice is once", func(p *place) {
		ctx := p.t.Context()
		e := p.gatewayRequest("https://gw.example")
		g, err := p.d.EnrolGateway(ctx, e)
		p.ok(err)
		_, err = p.d.AttachGateway(ctx, g.ID)
		p.ok(err)
		p.ok(p.second.RevokeGateway(ctx, g.ID))
		p.ok(p.d.RevokeGateway(ctx, g.ID))
		kills, err := p.d.Kills(ctx, 0)
		p.ok(err)
		require.Len(p.t, kills, 1)
		s := p.gatewayStatus(g.ID)
		require.True(p.t, s.Revoked)
		require.Equal(p.t, kills[0].Revision, s.Revision)
		require.False(p.t, s.Up)
		_, err = p.d.Gateway(ctx, g.ID)
		p.code(reachback.CodeGatewayRevoked, err)
		_, err = p.d.AttachGateway(ctx, g.ID)
		p.code(reachback.CodeGatewayRevoked, err)
		p.code(reachback.CodeGatewayRevoked, p.d.SetGatewayDrain(ctx, g.ID, true))
		_, err = p.d.EnrolGateway(ctx, e)
		p.code(reachback.CodeGatewayRevoked, err)
	}},
	{"gateways are listed by URL", func(p *place) {
		p.gateway("https://b.example")
		p.gateway("https://a.example")
		list, err := p.d.Gateways(p.t.Context())
		p.ok(err)
		require.Len(p.t, list, 2)
		require.Equal(p.t, "https://a.example", list[0].URL)
	}},
	{"a gateway that is not enrolled is unknown", func(p *place) {
		ctx := p.t.Context()
		_, err := p.d.Gateway(ctx, "nobody")
		p.code(reachback.CodeGatewayUnknown, err)
		_, err = p.d.AttachGateway(ctx, "nobody")
		p.code(reachback.CodeGatewayUnknown, err)
		p.code(reachback.CodeGatewayUnknown, p.d.RevokeGateway(ctx, "nobody"))
		p.code(reachback.CodeGatewayUnknown, p.d.SetGatewayDrain(ctx, "nobody", true))
	}},
}
