package broker

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

// A call can only be given to a host whose channel is here. For one that is at
// another broker, or at one that has just died, it fails soon and says why.
func TestAHostAtAnotherBrokerIsNotConnectedHere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		hosts := []*host{w.up("pc1", "desktops"), w.up("pc2", "desktops"), w.up("pc3", "desktops")}
		other := w.node()
		began := time.Now()
		c, err := other.Connect(t.Context(), alice(), "desktop", clientKey)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		_, err = other.Orchestrate(ctx, call(c.Token))
		requireCode(t, reachback.CodeHostNotConnected, err)
		require.LessOrEqual(t, time.Since(began), 2*time.Second)
		for _, h := range hosts {
			require.Zero(t, w.desktops(h.id), "a slot is not held for it")
			require.Empty(t, h.summoned())
		}
		_, err = w.orchestrate(call(w.connect(alice(), "desktop")))
		require.NoError(t, err, "where the hosts are it goes on")
	})
}
