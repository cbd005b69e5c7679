package rdgateway

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
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
	{"WebSocket, TLS 1.2", func(w *world) *client {
		w.version = tls.VersionTLS12 // records stay with crypto/tls
		return w.webSocket()
	}},
	{"two connections, TLS 1.2", func(w *world) *client {
		w.version = tls.VersionTLS12
		return w.twoConnections()
	}},
}

// inModes runs f in a world for each mode.
func inModes(t *testing.T, f func(t *testing.T, w *world, c *client)) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) { f(t, w, m.dial(w)) })
		})
	}
}

// opened returns a session that is joined.
func (w *world) opened(c *client) *relay.Leg {
	w.t.Helper()
	host := w.opening(c)
	synctest.Wait() // both ends know it before the relay has counted it
	return host
}

// opening returns a session as soon as both ends know of it.
func (w *world) opening(c *client) *relay.Leg {
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
		want := make([]byte, 1<<20)
		rand.Read(want)
		go host.Write(want)
		got := make([]byte, len(want))
		_, err := io.ReadFull(c, got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))

		host.Close()
		_, err = c.Read(make([]byte, 1))
		require.Equal(t, closedWith(gracefulDisconnect), err)
		c.requireClosed()
		c.quit()
		synctest.Wait()
		w.requireEnd(t, reachback.CodeClosed)
	})
}
