package broker

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// node starts another broker on the world's directory and keys, as another machine
// of the installation would be.
func (w *world) node() *Broker {
	b := &Broker{Keys: w.broker.Keys, Directory: w.dir, Gateways: []string{gateway}, Logger: w.logger()}
	w.t.Cleanup(func() { b.Close() })
	b.start()
	return b
}

// within waits until a thing is so, for 2 s at most.
func (w *world) within2s(so func() bool, what string) {
	w.t.Helper()
	for began := time.Now(); !so(); {
		require.LessOrEqual(w.t, time.Since(began), 2*time.Second, what)
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
	}
}

func TestA6_AKillIsInForceOnEveryNodeWithinTwoSeconds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "open")
		g := w.upGate(apart) // at the world's broker
		other := w.node()
		time.Sleep(700 * time.Millisecond) // out of step
		c := rawCall(w.connectRaw(alice(), "stock"), "192.0.2.1:1")
		p, err := g.ask(c)
		require.NoError(t, err)
		kills := make(chan relay.Kill, 8)
		go g.link.Watch(t.Context(), func(k relay.Kill) { kills <- k })
		atOther := make(chan relay.Kill, 8)
		go other.Watch(t.Context(), func(k relay.Kill) { atOther <- k })

		require.NoError(t, other.Kill(t.Context(), p.Session))
		w.within2s(func() bool { return len(kills) == 1 && len(atOther) == 1 && h.ended(p.Session) == reachback.CodeKilled }, "kill")
		require.Equal(t, p.Session, (<-kills).Session)
		for name, ask := range map[string]func(*relay.Call) (*relay.Permit, error){
			"gateway apart": g.ask,
			"this node":     w.orchestrate,
			"other node":    func(c *relay.Call) (*relay.Permit, error) { return other.Orchestrate(t.Context(), c) },
		} {
			again := *c
			again.ID, again.Gateway = randomID(16), gateway
			_, err := ask(&again)
			requireCode(t, reachback.CodeKilled, err, name)
		}

		// It outlives the channel, and who watches late hears of it once.
		g.conn().Cut()
		time.Sleep(2 * backoffBase)
		synctest.Wait()
		require.True(t, g.link.Stats().Up)
		late := make(chan relay.Kill, 8)
		go g.link.Watch(t.Context(), func(k relay.Kill) { late <- k })
		synctest.Wait()
		require.Len(t, late, 1)
		require.Empty(t, kills, "nobody is told twice")
	})
}

func TestRevokedHostsKeysAndDrainReachAGatewayWithinTwoSeconds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		g := w.upGate(apart)
		other := w.node()
		time.Sleep(300 * time.Millisecond)

		require.NoError(t, other.RevokeHost(t.Context(), h.id))
		w.within2s(func() bool { return g.link.Trust().Revoked(h.id) }, "revocation")

		require.NoError(t, w.broker.Keys.Rotate(t.Context()))
		w.within2s(func() bool { return len(g.link.Trust().Keys.Keys) == 2 }, "keys")

		w.up("pc2", "desktops")
		listed := func() bool {
			c, err := w.broker.Connect(t.Context(), alice(), "desktop", clientKey)
			require.NoError(t, err)
			return slices.Contains(c.Gateways, apart)
		}
		token := w.connect(alice(), "desktop")
		require.NoError(t, other.SetGatewayDrain(t.Context(), g.id, true))
		w.within2s(func() bool { return g.link.Stats().Draining && !listed() }, "drain")
		_, err := g.ask(call(token))
		requireCode(t, reachback.CodeDraining, err)
		require.NotNil(t, g.link.Trust().Keys, "what is live goes on")
		require.NoError(t, other.SetGatewayDrain(t.Context(), g.id, false))
		w.within2s(func() bool { return !g.link.Stats().Draining && listed() }, "drain off")
		_, err = g.ask(call(token))
		require.NoError(t, err)
	})
}

func TestARevokedGatewayIsDoneWith(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, tt := range []struct {
			name string
			by   *Broker
		}{{"here", w.broker}, {"through another node", w.node()}} {
			g := w.upGate("https://" + tt.name[:4] + ".example")
			require.NoError(t, tt.by.RevokeGateway(t.Context(), g.id))
			w.within2s(func() bool {
				select {
				case <-g.done:
					return true
				default:
					return false
				}
			}, tt.name)
			requireCode(t, reachback.CodeGatewayRevoked, g.err, tt.name)
			requireCode(t, reachback.CodeGatewayRevoked, g.link.Run(t.Context()), tt.name)
			_, err := g.link.Enrol(t.Context(), EnrolOptions{Token: w.gateToken()})
			requireCode(t, reachback.CodeGatewayRevoked, err, tt.name)
			c, err := w.broker.Connect(t.Context(), alice(), "desktop", clientKey)
			require.NoError(t, err)
			require.Equal(t, []string{gateway}, c.Gateways)
			unknown := call(c.Token)
			unknown.Gateway = g.link.URL
			_, err = w.orchestrate(unknown)
			requireCode(t, reachback.CodeGatewayUnknown, err, tt.name)
		}
		requireCode(t, reachback.CodeGatewayUnknown, w.broker.RevokeGateway(t.Context(), "nobody"))
	})
}

// Before it knows every kill a gateway takes no calls, however many there are.
func TestAGatewayHearsAllKillsFirst(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const n = 2*maxKillsInMessage + 1
		token := w.token("desktops", time.Hour, n)
		id, hash, _ := parseRegistrationToken(token)
		for i := range n {
			e, err := w.dir.Enrol(t.Context(), &EnrolRequest{Registration: id, Hash: hash, Key: Thumbprint{1, byte(i), byte(i >> 8)}})
			require.NoError(t, err)
			require.NoError(t, w.dir.RevokeHost(t.Context(), e.ID))
		}
		g := w.gate(apart)
		g.link.Ready = func(*Welcome) { require.Equal(t, n, g.link.Stats().Kills) }
		g.run()
		synctest.Wait()
		require.True(t, g.link.Stats().Up)

		// One that does not say that it has heard is told nothing more, and given up.
		deaf := w.gate("https://deaf.example")
		c := deaf.open()
		say(t, c, `{"type":"hello","versions":[1],"role":"gateway","url":"https://deaf.example"}`)
		require.IsType(t, &welcomeMessage{}, hear(t, c))
		require.Len(t, hear(t, c).(*killsMessage).Kills, maxKillsInMessage)
		began := time.Now()
		require.Equal(t, reachback.CodeHeartbeatLost, hear(t, c).(*closeMessage).Code)
		require.Equal(t, heardWithin, time.Since(began))
	})
}

func TestLinkRenewsItsCertificate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g := w.gate(apart)
		first := w.certified(g.link.Identity, RoleGateway, IdentityLife*2/3-time.Minute)
		g.run()
		synctest.Wait()
		require.Same(t, first, g.link.Identity.Certificate(), "not before its time")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		second := g.link.Identity.Certificate()
		require.NotEqual(t, first.Leaf.SerialNumber, second.Leaf.SerialNumber)
		require.Equal(t, g.id, g.link.Identity.Gateway())
		require.Empty(t, g.link.Identity.Host())
		require.EqualValues(t, 1, g.link.Stats().Channels, "on the same channel")
		g.stop()
		w.certified(g.link.Identity, RoleGateway, IdentityLife+time.Second)
		requireCode(t, reachback.CodeCertificateExpired, g.link.Run(t.Context()))
	})
}

// A gateway that was started anew takes the place of what is left of the old one.
func TestTheNewestChannelOfAGatewayCounts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops")
		g := w.upGate(apart)
		g.conn().Freeze()
		twin := &gate{w: w, id: g.id}
		twin.link = &Link{Server: server, URL: apart, Identity: g.link.Identity, TLS: w.tls, NetDial: twin.dial, Logger: w.logger()}
		twin.run()
		synctest.Wait()
		require.True(t, twin.link.Stats().Up)
		require.Equal(t, 1, w.broker.Stats().Gateways)
		_, err := twin.ask(call(w.connect(alice(), "desktop")))
		require.NoError(t, err)
		g.stop()
		synctest.Wait()
		c, err := w.broker.Connect(t.Context(), alice(), "desktop", clientKey)
		require.NoError(t, err)
		require.Contains(t, c.Gateways, apart, "the end of the old channel changes nothing")
	})
}
