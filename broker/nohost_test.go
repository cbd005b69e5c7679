package broker

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

// Where hosts would do but for their RDP servers, the user is told that, and gets in
// by himself when one is there.
func TestAnRDPServerThatIsDownIsNotNoHost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var health atomic.Pointer[Health]
		upWith := func(name, pool string) *host {
			h := w.enrol(name, pool)
			h.agent.Health = func(context.Context) Health { return *health.Load() }
			h.run()
			synctest.Wait()
			return h
		}
		tell := func(h Health) {
			health.Store(&h)
			time.Sleep(HealthEvery)
			synctest.Wait()
		}
		refused := func(resource string) error {
			_, err := w.orchestrate(call(w.connect(alice(), resource)))
			return err
		}
		requireCode(t, reachback.CodeNoHost, refused("desktop"))
		health.Store(&Health{Problem: "the RDP server refuses connections"})
		pc := upWith("pc1", "desktops")
		requireCode(t, reachback.CodeTargetUnavailable, refused("desktop"))
		require.Empty(t, pc.summoned(), "nobody is placed there to find out")

		tell(Health{Target: true, Problem: "the disk is full"})
		requireCode(t, reachback.CodeNoHost, refused("desktop"))
		tell(Health{Fit: true, Target: true})
		require.NoError(t, refused("desktop"))

		// Of another user's host he hears nothing.
		upWith("own1", "own")
		_, err := w.orchestrate(call(w.connect(user("bob"), "mine")))
		require.NoError(t, err)
		tell(Health{})
		requireCode(t, reachback.CodeNoHost, refused("mine"))

		pc.stop()
		synctest.Wait()
		requireCode(t, reachback.CodeNoHost, refused("desktop"))
	})
}
