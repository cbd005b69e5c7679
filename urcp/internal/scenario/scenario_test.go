package scenario

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp/linksim"
)

func all(t *testing.T) []Scenario {
	t.Helper()
	all := All()
	if os.Getenv(TestdataVariable) == "" {
		return all
	}
	for _, file := range TraceFiles {
		traces, err := file.Scenarios()
		require.NoError(t, err)
		all = append(all, traces...)
	}
	return all
}

// Every scenario is one that the simulator takes, under a name of its own.
func TestCatalogue(t *testing.T) {
	names := make(map[string]bool)
	for _, sc := range all(t) {
		require.False(t, names[sc.Name], sc.Name)
		names[sc.Name] = true
		require.NotEmpty(t, sc.Bounds, sc.Name)
		require.NotZero(t, sc.Peak, sc.Name)
		require.True(t, strings.HasSuffix(sc.Shows, "."), sc.Name)
		sc.Rivals = false
		r, err := sc.Run(1, reno, func(s *linksim.Scenario) *linksim.Scenario { return Shorten(s, 2*time.Second) })
		require.NoError(t, err, sc.Name)
		require.NotEmpty(t, r.tested(), sc.Name)
	}
	require.Greater(t, len(names), 80)
}

// The seed changes the runs of the scenarios that say so, and of no others.
func TestSeeded(t *testing.T) {
	if raced {
		t.Skip("the whole catalogue takes too long under the race detector")
	}
	delivered := func(sc *Scenario, seed uint64, d time.Duration) (bytes []int64) {
		r, err := sc.Run(seed, reno, func(s *linksim.Scenario) *linksim.Scenario { return Shorten(s, d) })
		require.NoError(t, err, sc.Name)
		for _, f := range r.Flows {
			bytes = append(bytes, f.DeliveredBytes, f.Duplicates)
		}
		return bytes
	}
	for _, sc := range all(t) {
		sc.Rivals, sc.Clean = false, nil
		differ := false
		// In some the first random event is late.
		for _, d := range []time.Duration{5 * s, 60 * s} {
			differ = differ || !slices.Equal(delivered(&sc, 1, d), delivered(&sc, 2, d))
			if differ || !sc.Seeded {
				break
			}
		}
		require.Equal(t, sc.Seeded, differ, sc.Name)
	}
}

// A controller that fills the queue, and one that leaves the link idle, break the
// bounds: they are not such as anything would keep.
func TestBoundsBreak(t *testing.T) {
	if raced {
		t.Skip("the whole catalogue takes too long under the race detector")
	}
	lazy := func(time.Duration) linksim.Controller { return &linksim.CBR{Rate: 64_000} }
	for _, sc := range all(t) {
		sc.Rivals = false
		var broken [2]bool
		for i, new := range []New{cubic, lazy} {
			r, err := sc.Run(1, new, nil)
			require.NoError(t, err, sc.Name)
			for _, b := range sc.Bounds {
				if !b.Rivals {
					v := b.Of(r)
					broken[i] = broken[i] || !b.Reached(v, v)
				}
			}
		}
		require.True(t, broken[0] || broken[1], sc.Name)
	}
}

// A reference whose own figures no test reproduces proves nothing.
func TestReferencesTried(t *testing.T) {
	for _, ref := range References {
		name := strings.TrimPrefix(strings.ToLower(ref.Name), "new")
		require.FileExists(t, "../../linksim/"+name+"_reference_test.go")
	}
}

func TestTraceFiles(t *testing.T) {
	t.Setenv(TestdataVariable, t.TempDir())
	_, err := TraceFiles[0].Read()
	require.ErrorIs(t, err, ErrNoTraces)
	folder := os.Getenv(TestdataVariable) + "/traces/"
	require.NoError(t, os.Mkdir(folder, 0o755))
	require.NoError(t, os.WriteFile(folder+TraceFiles[0].Name, []byte("1\n2\n"), 0o600))
	_, err = TraceFiles[0].Read()
	require.ErrorContains(t, err, "another one")
}

func TestBound(t *testing.T) {
	m := Measure{Name: "m", Unit: Percent}
	least, most := m.AtLeast(0.5), m.AtMost(0.5)
	require.True(t, least.Keeps(0.5, 0.45))
	require.False(t, least.Keeps(0.49, 0.49))
	require.False(t, least.Keeps(0.5, 0.44))
	require.True(t, most.Keeps(0.5, 0.55))
	require.False(t, most.Keeps(0.51, 0.51))
	require.False(t, most.Keeps(0.5, 0.56))
	require.False(t, m.AtMost(0).Keeps(0, 0.001))
	require.True(t, m.AtLeast(-2).Keeps(-2, -2.2))
	require.False(t, m.AtLeast(-2).Keeps(-2, -2.3))
	least.Held = &Held{Median: 0.3, Worst: 0.1}
	require.True(t, least.Keeps(0.3, 0.1))
	require.False(t, least.Keeps(0.29, 0.1))
	require.False(t, least.Keeps(0.3, 0.09))
	require.False(t, least.Reached(0.3, 0.3))
}

// What is held in the place of a bound is weaker than it, and each names a bound.
func TestUnreached(t *testing.T) {
	held := 0
	for _, sc := range all(t) {
		for _, b := range sc.Bounds {
			if b.Held != nil {
				held++
				require.False(t, b.Reached(b.Held.Median, b.Held.Worst), "%s: %s", sc.Name, b)
			}
		}
	}
	expected := 0
	for _, u := range unreached {
		if os.Getenv(TestdataVariable) != "" || !strings.HasPrefix(u.scenario, "trace/") {
			expected++
		}
	}
	require.Equal(t, expected, held)
}
