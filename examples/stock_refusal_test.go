//go:build unix

package examples_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A stock client that is refused ends soon and with an error, and the operator learns the
// reason, which the client has no words for.
func TestStockClientIsRefused(t *testing.T) {
	t.Parallel()
	needViewer(t)
	seed := writeFile(t, filepath.Join(t.TempDir(), "seed.json"), stockSeed)
	in := install(t, "-seed", seed, "-admin", "127.0.0.1:0")
	in.host("host-shadow", freeAddr(t), "-pool", "shadow", "-probe", "off") // no RDP server there
	in.host("host-weston", echoServer(t), "-pool", "weston", "-probe", "tcp")

	// fails waits for the end of a client that has nothing but the file, and for what the
	// gateway's log says of it.
	refusals := 0
	fails := func(t *testing.T, code, file string, args ...string) {
		t.Helper()
		began := time.Now()
		c := startOn(t, startX(t, "640x480x24"), "xfreerdp", append([]string{file, "/cert:ignore"}, args...)...)
		require.NotZero(t, c.exit(patience), c.log())
		t.Logf("FreeRDP ended after %v with %d", time.Since(began).Round(time.Millisecond), c.cmd.ProcessState.ExitCode())
		eventually(t, "the gateway's log says "+code, func() bool {
			said := in.refusals()
			return len(said) > refusals && !slices.ContainsFunc(said[refusals:], func(line string) bool { return !strings.Contains(line, " code="+code) })
		})
		refusals = len(in.refusals())
	}
	fresh := func(t *testing.T, settings ...string) string {
		t.Helper()
		file := in.stockFile(t, "alice", "weston")
		for i := 0; i < len(settings); i += 2 {
			rewrite(t, file, settings[i], settings[i+1])
		}
		return file
	}

	t.Run("a token that is none", func(t *testing.T) {
		fails(t, "token_invalid", fresh(t, "gatewayaccesstoken", "nonsense"))
	})
	t.Run("the user's token in place of a connection's", func(t *testing.T) {
		fails(t, "token_invalid", fresh(t, "gatewayaccesstoken", strings.TrimSpace(readFile(t, in.path("srv", "alice.token")))))
	})
	t.Run("another resource than the token's", func(t *testing.T) {
		fails(t, "wrong_resource", fresh(t, "full address", "shadow", "alternate full address", "shadow"))
		in.recorded("user=alice", "wrong_resource")
	})
	t.Run("another port than RDP's", func(t *testing.T) {
		fails(t, "wrong_resource", fresh(t, "full address", "weston:22", "alternate full address", "weston:22"), "/gt:http,no-websockets")
	})
	t.Run("nobody there", func(t *testing.T) {
		fails(t, "no_host", in.stockFile(t, "alice", "empty"))
		in.recorded("user=alice", "no_host")
	})
	t.Run("no RDP server on the host", func(t *testing.T) {
		fails(t, "target_unavailable", in.stockFile(t, "alice", "shadow"), "/gt:http,no-websockets")
		in.recorded("user=alice", "target_unavailable")
	})
	t.Run("the pool admits none any more", func(t *testing.T) {
		file := fresh(t)
		writeFile(t, seed, strings.Replace(stockSeed, `"weston", "raw": true`, `"weston"`, 1))
		in.server.signal(syscall.SIGHUP)
		eventually(t, "the seed is read again", func() bool { return strings.Contains(in.server.log(), "seed reloaded") })
		fails(t, "raw_not_allowed", file)
		in.recorded("user=alice", "raw_not_allowed")
		status, answer := in.askStockFile(t, "alice", "weston")
		require.Equal(t, http.StatusForbidden, status, answer)
		require.Contains(t, answer, "raw_not_allowed")
	})
}

// refusals are the lines of the gateway's log that refuse calls.
func (in *installation) refusals() (found []string) {
	for _, line := range lines(in.server.log()) {
		if strings.Contains(line, `msg="call refused"`) && strings.Contains(line, "part=gateway") {
			found = append(found, line)
		}
	}
	return found
}
