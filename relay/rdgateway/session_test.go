package rdgateway

import (
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// modes are the two ways to have a tunnel.
var modes = []struct {
	name string
	dial func(w *world) *client
}{
	{"WebSocket", (*world).webSocket},
	{"two connections", (*world).twoConnections},
}

// inModes runs f in a world for each mode.
func inModes(t *testing.T, f func(t *testing.T, w *world, c *client)) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) { f(t, w, m.dial(w)) })
		})
	}
}

// opened returns a session.
func (w *world) opened(c *client) *relay.Leg {
	w.t.Helper()
	host := w.answering()
	c.open(w.token(), "desktop")
	return <-host
}

func TestSession(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		host := w.opened(c)
		requireCarries(t, c, host, "a request of X.224")
		requireCarries(t, host, c, "and its answer")
		requireCarries(t, c, host, string(make([]byte, 60_000)))
		go host.Write(make([]byte, 1<<20))
		n, err := io.CopyN(io.Discard, c, 1<<20)
		require.NoError(t, err)
		require.EqualValues(t, 1<<20, n)

		host.Close()
		_, err = c.Read(make([]byte, 1))
		require.Equal(t, closedWith(gracefulDisconnect), err)
		c.requireClosed()
		c.quit()
		synctest.Wait()
		w.requireEnd(t, reachback.CodeClosed)
	})
}
