package broker

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

// An operator who ends all of a host's sessions at once does not end its channel: the
// disconnects wait for the writer, however many.
func TestManyKillsAtOnceCostAHostNoChannel(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "open")
		var live []string
		for i := range 3 * queueLength {
			_, p := w.joined(user(fmt.Sprint("user", i)), "stock")
			live = append(live, p.Session)
		}
		epoch := h.epoch()
		for _, s := range live { // as another broker would, between two looks of this one
			require.NoError(t, w.dir.Kill(t.Context(), s, reachback.CodeKilled))
		}
		w.broker.nudge()
		synctest.Wait()
		require.Zero(t, w.broker.Stats().Overflows)
		require.Equal(t, epoch, h.epoch())
		for _, s := range live {
			require.Equal(t, reachback.CodeKilled, h.ended(s))
		}

		var reports []SessionReport // it did not hear of them, and says so
		for _, s := range live {
			reports = append(reports, SessionReport{Session: s, State: ReportActive})
		}
		h.lives(reports...)
		h.agent.mu.Lock()
		c := h.agent.current
		h.agent.mu.Unlock()
		require.NoError(t, c.send(&sessionsMessage{Sessions: reports}))
		synctest.Wait()
		require.Zero(t, w.broker.Stats().Overflows)
		require.Equal(t, epoch, h.epoch())
	})
}
