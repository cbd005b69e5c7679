package relay

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/carrier"
)

// TestRelayUnderFIPS has calls carried in the two FIPS 140-3 modes of Go's. Where only
// validated modes of the ciphers are allowed, the records are left to crypto/tls.
//
// Of the other tests those in virtual time cannot run so: Go draws its randomness from
// the jitter of the clock then, which has none there.
func TestRelayUnderFIPS(t *testing.T) {
	if !fips140.Enabled() {
		for _, mode := range []string{"on", "only"} {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^(TestRelayUnderFIPS|ExampleRelay)$", "-test.v")
			cmd.Env = append(os.Environ(), "GODEBUG=fips140="+mode)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s: %s", mode, out)
			require.Contains(t, string(out), "--- PASS: ExampleRelay")
		}
		return
	}
	near, far := loopback(t)()
	c, p := wiredLeg(t, near, far)
	require.Equal(t, !fips140.Enforced(), canTakeOver(c.(*carrier.Conn)))
	if fips140.Enforced() {
		requireCarries(t, c, p, "left to crypto/tls")
		return
	}
	leg, err := takeOver(c.(*carrier.Conn), spliceTimeout)
	require.NoError(t, err)
	requireCarries(t, leg, p, "taken over")
}
