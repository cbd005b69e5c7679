package urcp_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp/internal/scenario"
)

// TestTraces runs the recordings of cellular links, which are not part of the
// project: see scenario.ErrNoTraces.
func TestTraces(t *testing.T) {
	for _, file := range scenario.TraceFiles {
		t.Run(file.Name, func(t *testing.T) {
			all, err := file.Scenarios()
			if errors.Is(err, scenario.ErrNoTraces) {
				t.Skip(err)
			}
			require.NoError(t, err)
			for _, sc := range all {
				t.Run(sc.Name, func(t *testing.T) {
					t.Parallel()
					keeps(t, &sc)
				})
			}
		})
	}
}
