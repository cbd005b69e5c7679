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
			bytes = append(bytes, f.DeliveredBytes)
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
					broken[i] = broken[i] || !b.Nearly(b.Of(r))
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
	require.True(t, least.Holds(0.5))
	require.False(t, least.Holds(0.49))
	require.True(t, least.Nearly(0.45))
	require.False(t, least.Nearly(0.44))
	require.True(t, most.Holds(0.5))
	require.False(t, most.Holds(0.51))
	require.True(t, most.Nearly(0.55))
	require.False(t, most.Nearly(0.56))
	require.False(t, m.AtMost(0).Nearly(0.001))
	below := m.AtLeast(-2)
	require.True(t, below.Nearly(-2.2))
	require.False(t, below.Nearly(-2.3))
}
