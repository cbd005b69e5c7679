//go:build unix

package examples_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

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

		// The file for stock clients opens the desktop, again and again.
		file := ready.str("file")
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		in := &installation{url: ready.str("url"), ca: ready.str("ca")}
		for range 2 {
			token := tokenOf(t, file)
			raw, refusal := dialBare(t, in, token)
			require.Nil(t, refusal)
			require.NoError(t, exchange(raw, "hello"))
			raw.Close()
			eventually(t, "the file has another token", func() bool { return tokenOf(t, file) != token })
		}

		second := start(t, "quickstart", "-dir", dir, "-listen", freeAddr(t), "-target", target, "-rdp", freeAddr(t))
		require.Equal(t, 1, second.exit(patience))
		require.Contains(t, second.log(), "another process")
		require.NoError(t, exchange(c, "undisturbed"))

		q.signal(sig)
		require.Zero(t, q.exit(patience), q.log())
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err)
	}
}

// A folder whose setup admits no stock clients stays as it is: there is no file for them.
func TestQuickstart_OnAnotherSetup(t *testing.T) {
	in := install(t)
	in.server.signal(syscall.SIGTERM)
	require.Zero(t, in.server.exit(patience))
	q := start(t, "quickstart", "-dir", in.path("srv"), "-listen", in.addr, "-target", echoServer(t), "-rdp", freeAddr(t))
	ready := q.await("ready", patience)
	require.Empty(t, ready.str("file"))
	require.NoFileExists(t, in.path("srv", "desktop.rdp"))
	require.Eventually(t, func() bool { return strings.Contains(q.log(), "no file for stock clients") }, patience, 10*time.Millisecond) // it comes by another pipe than the event
	require.NoError(t, exchange(dial(t, ready.str("rdp")), "hello"))
}
