package hostside

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseLoad(t *testing.T) {
	for s, want := range map[string]float64{
		"0.52 0.58 0.59 1/467 12345\n": 0.52, "12": 12, "": 0, "x 1": 0, "NaN 1": 0, "-1 1": 0, "Inf 1": 0,
	} {
		require.InDelta(t, want, parseLoad(s), 1e-9, "%q", s)
	}
}
