package rdgateway

import (
	"crypto/fips140"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWebSocketUnderFIPS answers a WebSocket's key, which takes SHA-1, where no more
// than validated algorithms are allowed.
func TestWebSocketUnderFIPS(t *testing.T) {
	if !fips140.Enforced() {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWebSocketUnderFIPS$", "-test.v")
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS")
		return
	}
	r := httptest.NewRequest("GET", RawPath, nil)
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	accept, err := acceptKey(httptest.NewRecorder(), r)
	require.NoError(t, err)
	require.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", accept)
}
