package broker

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/relay"
)

// open opens the gateway's control channel up to its 101, to be spoken by hand.
func (g *gate) open() *carrier.Conn {
	d := &carrier.Dialer{TLS: g.w.tls, NetDial: g.dial}
	c, err := d.Upgrade(g.w.t.Context(), server, carrier.PathControl, nil, g.link.Identity.Certificate(), reachback.CodeBrokerUnreachable)
	require.NoError(g.w.t, err)
	g.w.t.Cleanup(func() { c.Abort() })
	c.SetReadDeadline(time.Now().Add(time.Minute)) // no test listens for longer
	return c
}

func TestG6_AGatewayIsKnownByItsOwnURLAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		other := w.upGate("https://other.example")
		g := w.gate(apart)
		for _, url := range []string{"https://evil.example", "https://other.example", gateway, apart + "/x", apart + ":8443"} {
			g.link.URL = url
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			requireCode(t, reachback.CodeGatewayUnknown, g.link.Run(ctx), url)
			cancel()
		}
		require.True(t, other.link.Stats().Up)

		// A genuine channel, over which it asks in another one's name.
		c := g.open()
		say(t, c, fmt.Sprintf(`{"type":"hello","versions":[1],"role":"gateway","url":%q}`, apart))
		require.IsType(t, &welcomeMessage{}, hear(t, c))
		require.IsType(t, &trustMessage{}, hear(t, c))
		token := w.connect(alice(), "desktop")
		ask := func(url string) message {
			b, err := appendMessage(nil, &orchestrateMessage{
				header: header{ID: 1}, Call: randomID(16), Ticket: randomID(32), Gateway: url, Token: token, Nonce: nonce,
				Remote: "192.0.2.1:5", WithinMS: 15000,
			})
			require.NoError(t, err)
			_, err = c.Write(b)
			require.NoError(t, err)
			return hear(t, c)
		}
		for _, url := range []string{"", "https://evil.example", "https://other.example", gateway, apart + "/x"} {
			require.Equal(t, reachback.CodeGatewayUnknown, ask(url).(*refuseMessage).Code, url)
		}
		require.Empty(t, h.summoned())
		require.IsType(t, &permitMessage{}, ask(apart))
		require.Equal(t, apart, h.summoned()[0].Gateway)
	})
}

func TestG6_AnotherURLTakesAnUnspentToken(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id, err := NewIdentity()
		require.NoError(t, err)
		link := &Link{Server: server, URL: "https://APART.example:443/", Identity: id, TLS: w.tls, NetDial: w.dial}
		token := w.gateToken()
		first, err := link.Enrol(t.Context(), EnrolOptions{Token: token, Name: "gw1"})
		require.NoError(t, err)
		again, err := link.Enrol(t.Context(), EnrolOptions{Token: token})
		require.NoError(t, err, "its answer may have got lost")
		require.Equal(t, first.Gateway, again.Gateway)

		link.URL = "https://elsewhere.example"
		_, err = link.Enrol(t.Context(), EnrolOptions{Token: token})
		requireCode(t, reachback.CodeRegistrationUsedUp, err)
		_, err = link.Enrol(t.Context(), EnrolOptions{Token: w.gateToken()})
		require.NoError(t, err)
		row, err := w.dir.Gateway(t.Context(), first.Gateway)
		require.NoError(t, err)
		require.Equal(t, "https://elsewhere.example", row.URL)

		thief, err := NewIdentity()
		require.NoError(t, err)
		link = &Link{Server: server, URL: "https://elsewhere.example", Identity: thief, TLS: w.tls, NetDial: w.dial}
		_, err = link.Enrol(t.Context(), EnrolOptions{Token: w.gateToken()})
		requireCode(t, reachback.CodeGatewayURLTaken, err)
		got, err := link.Enrol(t.Context(), EnrolOptions{Token: w.gateToken(), Old: id})
		require.NoError(t, err, "unless the old key agrees")
		require.Equal(t, first.Gateway, got.Gateway)
		for _, url := range []string{"", "http://a.example", "https://", "https://u@a.example", "https://a.example?x", "https://a.example#x", "ftp://a.example", "https://a.example:"} {
			link.URL = url
			_, err = link.Enrol(t.Context(), EnrolOptions{Token: w.gateToken()})
			requireCode(t, reachback.CodeBadRequest, err, url)
		}
	})
}

func TestB3_ACertificateOfOneRoleIsNoneOfTheOther(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h, g := w.enrol("pc1", "desktops"), w.gate(apart)
		asHost := w.host(g.link.Identity)
		requireCode(t, reachback.CodeWrongRole, asHost.agent.Run(t.Context(), asHost))
		asGateway := &Link{Server: server, URL: apart, Identity: h.agent.Identity, TLS: w.tls, NetDial: w.dial}
		requireCode(t, reachback.CodeWrongRole, asGateway.Run(t.Context()))

		// Programs that do not look at their own certificate.
		for _, tt := range []struct {
			name string
			conn *carrier.Conn
			text string
		}{
			{"a host as a gateway", h.open(), `{"type":"hello","versions":[1],"role":"gateway","url":"https://apart.example"}`},
			{"a gateway as a host", g.open(), `{"type":"hello","versions":[1],"role":"host"}`},
			{"a gateway that says nothing of it", g.open(), `{"type":"hello","versions":[1]}`},
			{"a gateway as a broker", g.open(), `{"type":"hello","versions":[1],"role":"broker"}`},
		} {
			tt.conn.SetReadDeadline(time.Now().Add(time.Minute))
			say(t, tt.conn, tt.text)
			require.Equal(t, reachback.CodeWrongRole, hear(t, tt.conn).(*closeMessage).Code, tt.name)
		}
		require.Zero(t, w.broker.Stats().Gateways)
		require.Zero(t, w.broker.Stats().Channels)
	})
}

func TestB8_ATokenOfOneRoleMakesNothingOfTheOther(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.newcomer()
		requireCode(t, reachback.CodeWrongRole, h.enrol(w.gateToken(), ""))
		link := &Link{Server: server, URL: apart, Identity: h.agent.Identity, TLS: w.tls, NetDial: w.dial}
		hosts := w.token("desktops", time.Hour, 1)
		_, err := link.Enrol(t.Context(), EnrolOptions{Token: hosts})
		requireCode(t, reachback.CodeWrongRole, err)
		require.Nil(t, h.agent.Identity.Certificate())
		require.NoError(t, h.enrol(hosts, ""), "and spends nothing")
	})
}

func TestB8_AWithdrawnTokenIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		token, r, err := w.broker.NewRegistrationToken(t.Context(), TokenOptions{Pool: "desktops", Uses: 5})
		require.NoError(t, err)
		require.NoError(t, w.newcomer().enrol(token, ""))
		require.NoError(t, w.broker.CheckRegistrationToken(t.Context(), token))
		require.NoError(t, w.dir.DeleteRegistration(t.Context(), r.ID))
		requireCode(t, reachback.CodeRegistrationInvalid, w.newcomer().enrol(token, ""))
		requireCode(t, reachback.CodeRegistrationInvalid, w.broker.CheckRegistrationToken(t.Context(), token))
	})
}

// A gateway that somebody has taken over says things of sessions that are not its
// own.
func TestAGatewayChangesNoSessionOfAnother(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		good, bad := w.upGate(apart), w.upGate("https://bad.example")
		c := call(w.connect(alice(), "desktop"))
		p, err := good.ask(c)
		require.NoError(t, err)
		pending := call(w.connect(user("bob"), "desktop"))
		bobs, err := good.ask(pending)
		require.NoError(t, err)
		good.link.Report(relay.Event{Kind: relay.EventJoined, Call: c.ID, Session: p.Session, Host: p.Host})
		synctest.Wait()
		require.Equal(t, SessionActive, w.state(p.Session))

		for _, e := range []relay.Event{
			{Kind: relay.EventEnded, Call: c.ID, Session: p.Session, Host: "another"},
			{Kind: relay.EventEnded, Call: c.ID, Session: p.Session},
			{Kind: relay.EventEnded, Call: "made-up", Session: p.Session, Host: h.id},
			{Kind: relay.EventFailed, Call: pending.ID, Session: bobs.Session, Host: "another"},
			{Kind: relay.EventJoined, Call: pending.ID, Session: bobs.Session},
			{Kind: relay.EventEnded, Call: "x", Session: "never made", Host: h.id},
			{Kind: "exploded", Call: "x", Session: p.Session, Host: h.id},
		} {
			bad.link.Report(e)
		}
		synctest.Wait()
		require.Zero(t, bad.link.Stats().Events, "all were taken")
		require.Equal(t, SessionActive, w.state(p.Session))
		require.Equal(t, SessionPending, w.state(bobs.Session))
		require.EqualValues(t, 4, w.broker.Stats().ForeignEvents)

		// Nor does it bring back one that is over, and so fill a host.
		good.link.Report(relay.Event{Kind: relay.EventEnded, Call: c.ID, Session: p.Session, Host: p.Host})
		synctest.Wait()
		bad.link.Report(relay.Event{Kind: relay.EventJoined, Call: "made-up", Session: p.Session, Host: h.id})
		synctest.Wait()
		require.Equal(t, SessionEnded, w.state(p.Session))
	})
}

// What a gateway asks for is bounded before anything is done with it.
func TestAGatewaysQuestionsAreBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		g := w.upGate(apart)
		token := w.connect(alice(), "desktop")
		for name, spoil := range map[string]func(*relay.Call){
			"no call":                 func(c *relay.Call) { c.ID = "" },
			"a long call":             func(c *relay.Call) { c.ID = randomID(33) },
			"a call with a break":     func(c *relay.Call) { c.ID = "a\nb" },
			"no ticket":               func(c *relay.Call) { c.Ticket = "" },
			"a long ticket":           func(c *relay.Call) { c.Ticket = relay.Ticket(randomID(33)) },
			"a long nonce":            func(c *relay.Call) { c.Nonce = randomID(33) },
			"a long token":            func(c *relay.Call) { c.Token = strings.Repeat("x", 13<<10) },
			"no address":              func(c *relay.Call) { c.Remote = rawCall("", "[::]:0").Remote; c.Token = "" },
			"raw with a framed token": func(c *relay.Call) { c.Raw = true },
		} {
			c := call(token)
			spoil(c)
			_, err := g.ask(c)
			requireCode(t, reachback.CodeBadRequest, err, name)
		}
		require.Empty(t, h.summoned())

		w.broker.mu.Lock()
		end := w.broker.gateways[g.id]
		w.broker.mu.Unlock()
		for range maxAsking {
			end.asking <- struct{}{}
		}
		_, err := g.ask(call(token))
		requireCode(t, reachback.CodeTooManyWaiting, err)
		<-end.asking
		_, err = g.ask(call(token))
		require.NoError(t, err)
		for len(end.asking) > 0 {
			<-end.asking
		}
	})
}

// More messages than the limit wait, and cost the gateway no channel.
func TestAGatewayIsSlowedAndNotCut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g := w.gate(apart)
		c := g.open()
		say(t, c, fmt.Sprintf(`{"type":"hello","versions":[1],"role":"gateway","url":%q}`, apart))
		require.IsType(t, &welcomeMessage{}, hear(t, c))
		require.IsType(t, &trustMessage{}, hear(t, c))
		began := time.Now()
		for range gatewayBurst + 2*gatewayPerSecond {
			say(t, c, `{"type":"drain","on":true}`)
		}
		say(t, c, `{"type":"orchestrate","id":7}`)
		require.Equal(t, reachback.CodeGatewayUnknown, hear(t, c).(*refuseMessage).Code)
		require.InDelta(t, 2, time.Since(began).Seconds(), 0.1)
	})
}
