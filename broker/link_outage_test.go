package broker

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// serveRelay puts a relay beside the gateway's link, behind a real server.
func (g *gate) serveRelay(name string) *relay.Relay {
	w := g.w
	cert, err := w.broker.Keys.ServerCertificate(name)
	require.NoError(w.t, err)
	r := &relay.Relay{Orchestrator: g.link, URL: g.link.URL, Logger: w.logger()}
	srv := &http.Server{Handler: r, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, ErrorLog: log.New(io.Discard, "", 0)}
	require.NoError(w.t, relay.ConfigureServer(srv))
	l, err := w.net.Listen(name + ":443")
	require.NoError(w.t, err)
	var serving sync.WaitGroup
	serving.Go(func() { srv.ServeTLS(l, "", "") })
	w.t.Cleanup(func() {
		r.Close()
		srv.Close()
		serving.Wait()
	})
	return r
}

func (w *world) relayDialer() *relay.Dialer { return &relay.Dialer{TLS: w.tls, NetDial: w.net.Dial} }

// echoes has the host answer its calls at the gateways and send back what it reads.
func (h *host) echoes() *host {
	h.answers(func(_ context.Context, s *Summon) error {
		h.lives(SessionReport{Session: s.Session, State: ReportActive})
		go func() { // ends with its leg
			leg, err := h.w.relayDialer().Answer(h.w.t.Context(), s.Gateway, s.Call, s.Ticket, h.agent.Identity.Certificate())
			if err == nil {
				io.Copy(leg, leg)
				leg.Close()
			}
		}()
		return nil
	})
	return h
}

// requireEcho sends text over a session and reads it back.
func requireEcho(t testing.TB, leg *relay.Leg, text string) {
	t.Helper()
	_, err := io.WriteString(leg, text)
	require.NoError(t, err)
	got := make([]byte, len(text))
	_, err = io.ReadFull(leg, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

func TestF1_LiveSessionsNeedNoBroker(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var hosts []*host
		for range 10 {
			hosts = append(hosts, w.up("", "desktops").echoes())
		}
		g := w.upGate(apart)
		r := g.serveRelay("apart.example")
		d := w.relayDialer()
		client, err := d.Call(t.Context(), apart, w.connect(alice(), "desktop"), nonce)
		require.NoError(t, err)
		requireEcho(t, client, "before")
		session := w.sessionOf(alice())

		unused := w.connect(user("bob"), "desktop")
		w.crash()
		// For ten minutes not one byte is lost, and who comes is told why he cannot.
		for i := range 60 {
			requireEcho(t, client, strings.Repeat("typed ", i+1))
			began := time.Now()
			_, err := d.Call(t.Context(), apart, unused, nonce)
			requireCode(t, reachback.CodeBrokerUnreachable, err)
			require.LessOrEqual(t, time.Since(began), time.Second)
			time.Sleep(10 * time.Second)
		}
		require.Equal(t, 1, r.Stats().Joined)
		dials := w.dials()

		w.restart()
		restarted := time.Now()
		back := make(map[time.Duration]int) // how many hosts, by the time that they took
		for w.broker.Stats().Channels < len(hosts) {
			require.Less(t, time.Since(restarted), backoffMost+time.Second)
			before := w.broker.Stats().Channels
			time.Sleep(100 * time.Millisecond)
			back[time.Since(restarted)] += w.broker.Stats().Channels - before
		}
		for at, n := range back {
			require.Less(t, n, len(hosts)/2, "they come one after the other, not at %v", at)
		}
		require.Equal(t, dials+len(hosts), w.dials(), "one attempt each is enough")
		time.Sleep(time.Until(restarted.Add(backoffMost)))
		require.True(t, g.link.Stats().Up)
		requireEcho(t, client, "after")
		_, err = d.Call(t.Context(), apart, unused, nonce)
		require.NoError(t, err, "a call that was refused has spent nothing")

		// Its end comes to the broker that has come since.
		client.Close()
		synctest.Wait()
		time.Sleep(time.Second)
		require.Equal(t, SessionEnded, w.state(session))
	})
}

// sessionOf is the one session of a user.
func (w *world) sessionOf(u *reachback.User) string {
	all, err := w.dir.ListSessions(w.t.Context(), &SessionQuery{User: u.Subject})
	require.NoError(w.t, err)
	require.Len(w.t, all, 1)
	return all[0].ID
}

func TestAGatewayInDrainKeepsItsSessions(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops").echoes()
		g := w.upGate(apart)
		r := g.serveRelay("apart.example")
		d := w.relayDialer()
		client, err := d.Call(t.Context(), apart, w.connect(alice(), "desktop"), nonce)
		require.NoError(t, err)
		require.NoError(t, w.broker.SetGatewayDrain(t.Context(), g.id, true))
		synctest.Wait()
		_, err = d.Call(t.Context(), apart, w.connect(user("bob"), "desktop"), nonce)
		requireCode(t, reachback.CodeDraining, err)
		requireEcho(t, client, "still here")
		require.Equal(t, 1, r.Stats().Joined)
		client.Close()
	})
}

// A kill reaches the legs at a gateway apart, and the session's host.
func TestA6_AKillCutsALiveSessionAtAGatewayApart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops").echoes()
		g := w.upGate(apart)
		g.serveRelay("apart.example")
		client, err := w.relayDialer().Call(t.Context(), apart, w.connect(alice(), "desktop"), nonce)
		require.NoError(t, err)
		requireEcho(t, client, "hello")
		killed := time.Now()
		require.NoError(t, w.node().Kill(t.Context(), w.sessionOf(alice())))
		_, err = client.Read(make([]byte, 1))
		require.Error(t, err)
		require.LessOrEqual(t, time.Since(killed), 2*time.Second)
	})
}

// What waits for a time is not moved by the wall clock: every moment that is
// compared keeps its reading of the monotonic one.
func TestF7_WaitsOfALinkFollowTheMonotonicClock(t *testing.T) {
	monotonic := func(at time.Time) bool { return strings.Contains(at.String(), " m=") }
	r := &redial{}
	r.promised(&restartingMessage{ReconnectInMS: 5000, TryForMS: 5000}, time.Now())
	require.True(t, monotonic(r.notUntil) && monotonic(r.tryUntil))
	l := &Link{}
	c := &linkChannel{}
	l.ready(c)
	l.leave(c)
	require.True(t, monotonic(l.lost))
	f := &fleet{}
	_, err := f.rows(t.Context(), &MemoryDirectory{})
	require.NoError(t, err)
	require.True(t, monotonic(f.read))
}
