package linksim

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDelays(t *testing.T) {
	var v []time.Duration
	for i := range 100 {
		v = append(v, time.Duration(100-i)*ms)
	}
	require.Equal(t, Delays{50 * ms, 95 * ms, 99 * ms, 100 * ms, 50500 * time.Microsecond}, delays(v))
	require.Equal(t, Delays{ms, ms, ms, ms, ms}, delays([]time.Duration{ms}))
	require.Zero(t, delays(nil))
}

// Quantiles are those of the sorted values, whatever their order.
func TestPick(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 300; n++ {
		v := make([]time.Duration, n)
		for i := range v {
			switch n % 4 {
			case 0:
				v[i] = time.Duration(rng.IntN(10)) // many that are equal
			case 1:
				v[i] = time.Duration(i)
			case 2:
				v[i] = time.Duration(-i)
			default:
				v[i] = time.Duration(rng.IntN(1e9))
			}
		}
		sorted := slices.Sorted(slices.Values(v))
		at := func(q float64) time.Duration { return sorted[max(0, int(math.Ceil(q*float64(n)))-1)] }
		d := delays(v)
		require.Equal(t, Delays{at(.5), at(.95), at(.99), sorted[n-1], d.Mean}, d)
	}
}

// Ten packets at once take 1 ms each: for each millisecond of the first ten the one in
// service has waited 0 to 9 ms, and nothing waits afterwards.
func TestQueueOverTime(t *testing.T) {
	r := run(t, &Scenario{
		Name: "weights", Duration: time.Second,
		Links: []Link{{Name: "link", Rate: 10e6}},
		Flows: []Flow{{Name: "flow", New: bursts(10), Path: []int{0}}},
	})
	l := r.Link("link")
	require.Equal(t, 4*ms, l.Queue(0, time.Second).P50)
	require.Equal(t, 9*ms, l.Queue(0, time.Second).P95)
	over := l.QueueOverTime(0, 10*ms+1)
	require.Equal(t, 4*ms, over.P50)
	require.Equal(t, 9*ms, over.P95)
	require.InDelta(t, float64(4500*time.Microsecond), float64(over.Mean), 1000)
	over = l.QueueOverTime(0, time.Second)
	require.Zero(t, over.P99)
	require.Equal(t, 9*ms, over.Max)

	// Before a packet comes nothing waits: 19 ms of waiting for 19 ms, in 100.
	r = run(t, &Scenario{
		Name: "gap", Duration: time.Second,
		Links: []Link{{Name: "link", Service: trace(t, "10\n40\n")}},
		Flows: []Flow{{Name: "flow", New: bursts(1), Path: []int{0}, Start: 21 * ms}},
	})
	over = r.Links[0].QueueOverTime(0, 100*ms)
	require.Equal(t, 19*ms, over.P95)
	require.Zero(t, over.P50)
	require.InDelta(t, float64(3610*time.Microsecond), float64(over.Mean), 1000)
}

func TestJainOfRates(t *testing.T) {
	require.InDelta(t, 1, jain([]float64{3, 3, 3}), 1e-12)
	require.InDelta(t, .25, jain([]float64{5, 0, 0, 0}), 1e-12)
	require.InDelta(t, .9, jain([]float64{1, 2}), 1e-12)
}

func TestShares(t *testing.T) {
	r := run(t, &Scenario{
		Name: "shares", Duration: 20 * time.Second,
		Flows: []Flow{
			{Name: "one", New: cbr(1e6), Delay: ms},
			{Name: "two", New: cbr(2e6), Delay: ms},
			{Name: "late", New: cbr(9e6), Delay: ms, Start: 10 * time.Second},
		},
	})
	// The late one counts only in windows in which it runs the whole time.
	require.InDelta(t, .9, r.Jain(time.Second, time.Second, 9*time.Second), .01)
	require.InDelta(t, .9, r.Jain(time.Second, 11*time.Second, 19*time.Second, "one", "two"), .01)
	require.InDelta(t, 144./3/86, r.Jain(time.Second, 11*time.Second, 19*time.Second), .01)
	require.InDelta(t, 2./3, r.MinShare(time.Second, 9*time.Second, "one", "two"), .01)
	require.InDelta(t, .25, r.MinShare(11*time.Second, 19*time.Second), .01)
	require.InDelta(t, .75, r.Share("late", 11*time.Second, 19*time.Second), .01)
	require.InDelta(t, .1, r.Share("one", 11*time.Second, 19*time.Second, "one", "late"), .01)
}

// The flow gets a third of what is fair for 4 seconds, and all of it then.
func TestConverged(t *testing.T) {
	r := run(t, &Scenario{
		Name: "converged", Duration: 20 * time.Second,
		Links: []Link{{Name: "link", Service: Steps{{0, 1e6}, {6 * time.Second, 3e6}, {10 * time.Second, 1e6}}, Queue: Queue{Packets: 2}}},
		Flows: []Flow{{Name: "flow", New: cbr(3e6), Path: []int{0}, Start: 2 * time.Second}},
	})
	f := r.Flow("flow")
	after, ok := f.Converged(3e6, .2, 3*time.Second)
	require.True(t, ok)
	// A window of a second is within a fifth with 0.3 s at a third of the rate.
	require.InDelta(t, 3.7, after.Seconds(), .1)
	_, ok = f.Converged(3e6, .2, 5*time.Second)
	require.False(t, ok)
	require.InDelta(t, 1./2, f.RateCoV(time.Second, 4*time.Second, 8*time.Second), .01)
	require.Less(t, f.RateCoV(time.Second, 11*time.Second, 19*time.Second), .01)
}

// A burst of 30 packets is served in 30 ms: 10 ms of queue are left after 20.
func TestRecovered(t *testing.T) {
	r := run(t, &Scenario{
		Name: "recovered", Duration: time.Second,
		Links: []Link{{Name: "link", Rate: 10e6}},
		Flows: []Flow{{Name: "flow", New: bursts(30), Path: []int{0}, Start: 100 * ms}},
	})
	after, ok := r.Links[0].Recovered(105*ms, 10*ms, 500*ms)
	require.True(t, ok)
	// The last packet that waited longer leaves 30 ms after the burst.
	require.InDelta(t, .025, after.Seconds(), .0001)
	_, ok = r.Links[0].Recovered(105*ms, 10*ms, 900*ms)
	require.False(t, ok)
}

// With gaps of 10 and 30 ms the wait exceeds 20 ms for 10 of 40, and 28 for 2.
func TestWait(t *testing.T) {
	sc := &Scenario{
		Name: "wait", Duration: time.Second,
		Links: []Link{{Name: "link", Service: trace(t, "10\n40\n")}},
	}
	w := run(t, sc).Links[0].Wait(0, 400*ms)
	require.Equal(t, 10*ms, w.P50.Round(time.Microsecond))
	require.Equal(t, 28*ms, w.P95.Round(time.Microsecond))
	require.InDelta(t, float64(12500*time.Microsecond), float64(w.Mean), 1000)
	sc.Links[0] = Link{Name: "link", Service: Steps{{0, 1e6}, {10 * ms, 0}, {40 * ms, 1e6}}}
	w = run(t, sc).Links[0].Wait(0, 40*ms)
	require.Equal(t, 30*ms, w.Max)
	require.Equal(t, 28*ms, w.P95)
	require.Equal(t, 10*ms, w.P50)
}

// The 95th percentile of the wait on recorded links, in milliseconds, reckoned apart
// from the gaps between the lines of the same files.
func TestWaitOnRecordings(t *testing.T) {
	dir := os.Getenv("REACHBACK_TESTDATA")
	if dir == "" {
		t.Skip("REACHBACK_TESTDATA does not name a directory with traces")
	}
	for name, want := range map[string]float64{
		"TMobile-LTE-short.down": 63, "Verizon-LTE-short.down": 31, "Verizon-LTE-short.up": 20.7,
	} {
		f, err := os.Open(filepath.Join(dir, "traces", name))
		require.NoError(t, err)
		tr, err := ReadTrace(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		r := run(t, &Scenario{
			Name: name, Duration: tr.Period(),
			Links: []Link{{Name: "link", Service: tr}},
		})
		w := r.Links[0].Wait(0, tr.Period())
		require.InDelta(t, want, w.P95.Seconds()*1000, .5, name)
	}
}

func TestStartupLoss(t *testing.T) {
	r := run(t, &Scenario{
		Name: "startup", Duration: 20 * time.Second, Settle: 10 * time.Second,
		Links: []Link{{Name: "link", Service: Steps{{0, 1e6}, {11 * time.Second, 2e6}}, Queue: Queue{Packets: 1}}},
		Flows: []Flow{{Name: "flow", New: cbr(2e6), Path: []int{0}}},
	})
	f := r.Flow("flow")
	require.InDelta(t, .5, f.StartupLoss(), .01)
	require.InDelta(t, .05, f.SteadyLoss(), .01)
	require.InDelta(t, .5, f.Loss(2*time.Second, 8*time.Second), .01)
	require.Zero(t, f.Loss(12*time.Second, 20*time.Second))
}
