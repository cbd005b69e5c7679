package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/token"
)

func TestOrchestrateSummonsTheHostAndSignsTheGrant(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		c := call(w.connect(alice(), "desktop"))
		p, err := w.orchestrate(c)
		require.NoError(t, err)
		require.Equal(t, h.id, p.Host)

		require.Len(t, h.summoned(), 1)
		s := h.summoned()[0]
		require.Equal(t, c.ID, s.Call)
		require.Equal(t, c.Ticket, s.Ticket)
		require.Equal(t, gateway, s.Gateway)
		require.Equal(t, p.Session, s.Session)
		require.Equal(t, "alice", s.User)
		require.Equal(t, "desktop", s.Resource)
		require.Equal(t, clientKey, s.ClientKey)
		require.False(t, s.Raw)

		g, err := token.VerifyGrant(w.broker.Keys.set(time.Now()), p.Grant, nonce, time.Now())
		require.NoError(t, err)
		require.Equal(t, h.id, g.Host)
		require.Equal(t, p.Session, g.Session)
		require.Equal(t, clientKey, g.ClientKey)
		require.Equal(t, s.CorrelationID, g.CorrelationID)
		key, err := certificateKey(h.agent.Identity.SessionCertificate().Leaf)
		require.NoError(t, err)
		require.Equal(t, [32]byte(key), g.HostKey)
	})
}
