package urcp_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
	"github.com/reachback/reachback/urcp/internal/scenario"
	"github.com/reachback/reachback/urcp/linksim"
)

// seedsOf is how many seeds a scenario is run with.
func seedsOf(sc *scenario.Scenario) int {
	if sc.Seeded && !raced {
		return 10
	}
	return 1
}

// shortened is how long a scenario lasts under the race detector, which slows the
// simulator down more than tenfold.
const shortened = 15 * time.Second

func newController(sc *scenario.Scenario) scenario.New {
	return func(now time.Duration) linksim.Controller {
		return urcp.New(now, urcp.Config{MSS: 1250, ECN: sc.ECN})
	}
}

// TestScenarios holds the controller to the bounds of the whole catalogue. Where the
// seed matters the median of ten seeds keeps the bound, and none misses it by more
// than a tenth.
func TestScenarios(t *testing.T) {
	for _, sc := range scenario.All() {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			keeps(t, &sc)
		})
	}
}

// keeps runs a scenario with all its seeds and checks its bounds.
func keeps(t *testing.T, sc *scenario.Scenario) {
	t.Helper()
	change := func(s *linksim.Scenario) *linksim.Scenario { return s }
	if raced {
		change = func(s *linksim.Scenario) *linksim.Scenario { return scenario.Shorten(s, shortened) }
		sc.Rivals = false
	}
	figures := make([][]float64, len(sc.Bounds))
	for seed := range seedsOf(sc) {
		r, err := sc.Run(uint64(seed+1), newController(sc), change)
		require.NoError(t, err)
		for i, b := range sc.Bounds {
			if raced && !b.Quick {
				continue
			}
			figures[i] = append(figures[i], b.Of(r))
		}
	}
	for i, b := range sc.Bounds {
		if raced && !b.Quick {
			continue
		}
		median, worst := summary(figures[i], b)
		t.Logf("%s: %s, worst %s", b, b.Unit.Format(median), b.Unit.Format(worst))
		if !b.Keeps(median, worst) {
			t.Errorf("%s: the median is %s, the worst %s", b, b.Unit.Format(median), b.Unit.Format(worst))
		} else if b.Held != nil && b.Reached(median, worst) {
			t.Logf("%s: is reached, and need no longer be held weaker", b)
		}
	}
}

// summary is the median of figures, the worse of the middle two, and the one that
// is furthest on the wrong side of the bound.
func summary(figures []float64, b scenario.Bound) (median, worst float64) {
	figures = slices.Sorted(slices.Values(figures))
	if !b.Most {
		slices.Reverse(figures)
	}
	return figures[len(figures)/2], figures[len(figures)-1]
}
