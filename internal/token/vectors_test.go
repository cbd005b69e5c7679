package token

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/spectest"
)

// The vectors of SPEC.md, section 4, are text, not hex: that is what tokens are.
func TestVectors(t *testing.T) {
	_, block, ok := strings.Cut(spectest.Text(t), "```vectors token\n")
	require.True(t, ok, "SPEC.md has no vectors token")
	block, _, _ = strings.Cut(block, "```")
	got := map[string]string{}
	for line := range strings.Lines(block) {
		name, v, ok := strings.Cut(strings.TrimSpace(line), ": ")
		require.True(t, ok, line)
		got[name] = v
	}
	set, err := json.Marshal(keys)
	require.NoError(t, err)
	raw := framed()
	raw.ClientKey = [32]byte{}
	require.Equal(t, map[string]string{
		"keys":   string(set),
		"framed": signConnection(t, framed()),
		"raw":    signConnection(t, raw),
		"grant":  signGrant(t, grant(), "0123456789abcdef"),
	}, got)
}
