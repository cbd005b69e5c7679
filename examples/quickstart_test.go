//go:build unix

package examples_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// One command serves whatever dials its port, on a fresh folder and on that of an
// earlier run, and has its folder to itself.
func TestQuickstart(t *testing.T) {
	dir, target := t.TempDir(), echoServer(t)
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		q := start(t, "quickstart", "-dir", dir, "-listen", freeAddr(t), "-target", target, "-rdp", freeAddr(t))
		ready := q.await("ready", patience)
		for _, field := range []string{"url", "feed"} {
			require.Contains(t, ready.str(field), "https://")
		}
		for _, field := range []string{"ca", "token"} {
			require.FileExists(t, ready.str(field))
		}
		c := dial(t, ready.str("rdp"))
		require.NoError(t, exchange(c, "hello"))
		require.Equal(t, "quickstart", q.event("registered").str("name"))
		require.Equal(t, q.event("connected").str("session"), q.event("session").str("session"))

		second := start(t, "quickstart", "-dir", dir, "-listen", freeAddr(t), "-target", target, "-rdp", freeAddr(t))
		require.Equal(t, 1, second.exit(patience))
		require.Contains(t, second.log(), "another process")
		require.NoError(t, exchange(c, "undisturbed"))

		q.signal(sig)
		require.Zero(t, q.exit(patience), q.log())
		_, err := c.Read(make([]byte, 1))
		require.Error(t, err)
	}
}
