package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

func TestRevokedHostLosesChannelAndSessions(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		_, p := w.joined(alice(), "desktop")
		kills := make(chan relay.Kill, 8)
		go w.broker.Watch(t.Context(), func(k relay.Kill) { kills <- k })
		require.NoError(t, w.broker.RevokeHost(t.Context(), h.id))
		<-h.done
		requireCode(t, reachback.CodeHostRevoked, h.err)
		require.Equal(t, h.id, (<-kills).Host)
		require.True(t, w.broker.Trust().Revoked(h.id))
		require.Equal(t, SessionEnded, w.state(p.Session))
		require.Zero(t, w.desktops(h.id))
		require.NoError(t, w.broker.RevokeHost(t.Context(), h.id), "twice is once")
		requireCode(t, reachback.CodeHostUnknown, w.broker.RevokeHost(t.Context(), "nobody"))
	})
}

func TestKillReachesHostGatewayAndToken(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "open")
		c := rawCall(w.connectRaw(alice(), "stock"), "192.0.2.1:1")
		p, err := w.orchestrate(c)
		require.NoError(t, err)
		kills := make(chan relay.Kill, 8)
		go w.broker.Watch(t.Context(), func(k relay.Kill) { kills <- k })
		require.NoError(t, w.broker.Kill(t.Context(), p.Session))
		synctest.Wait()
		require.Equal(t, p.Session, (<-kills).Session)
		require.Equal(t, reachback.CodeKilled, h.ended(p.Session))

		again := *c
		again.ID = randomID(16)
		_, err = w.orchestrate(&again)
		requireCode(t, reachback.CodeKilled, err)

		// Who comes later hears of it too: watchers, and the host in its welcome.
		late := make(chan relay.Kill, 8)
		go w.broker.Watch(t.Context(), func(k relay.Kill) { late <- k })
		require.Equal(t, p.Session, (<-late).Session)
		h.mu.Lock()
		clear(h.disconnected)
		h.mu.Unlock()
		w.lastConn().Cut()
		time.Sleep(backoffBase)
		synctest.Wait()
		require.Equal(t, reachback.CodeKilled, h.ended(p.Session))
		requireCode(t, reachback.CodeNotFound, w.broker.Kill(t.Context(), "no such session"))

		framed := call(w.connect(user("bob"), "stock"))
		p, err = w.orchestrate(framed)
		require.NoError(t, err)
		require.NoError(t, w.broker.Kill(t.Context(), p.Session))
		_, err = w.orchestrate(call(framed.Token))
		requireCode(t, reachback.CodeKilled, err, "and not merely replayed")
	})
}
