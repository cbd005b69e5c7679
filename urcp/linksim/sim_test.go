package linksim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

func cbr(rate int64) func(time.Duration) Controller {
	return func(time.Duration) Controller { return &CBR{Rate: rate} }
}

func run(t *testing.T, sc *Scenario) *Result {
	t.Helper()
	r, err := Run(sc)
	require.NoError(t, err)
	return r
}

// all copies what a series holds.
func all[T record](s *series[T]) []T {
	var v []T
	for r := range s.within(0, maxDuration) {
		v = append(v, *r)
	}
	return v
}

// A 1250-byte packet takes exactly 1 ms at 10 Mbit/s, and 20 ms to propagate.
func TestOnePacket(t *testing.T) {
	r := run(t, &Scenario{
		Name: "one", Duration: time.Second,
		Links: []Link{{Name: "link", Rate: 10e6, Delay: 20 * ms}},
		Flows: []Flow{{Name: "flow", New: cbr(1), Path: []int{0}}},
	})
	f := r.Flow("flow")
	require.EqualValues(t, 1, f.Delivered)
	require.Equal(t, 21*ms, f.OneWay(0, time.Second).Max)
	require.Zero(t, f.Queue(0, time.Second).Max)
	require.Equal(t, 40*ms, f.BaseRTT)
	require.EqualValues(t, 1, f.Feedbacks)
}

// Twice the link's rate: the queue holds what its bytes say, and no byte more.
func TestOverflow(t *testing.T) {
	r := run(t, &Scenario{
		Name: "overflow", Duration: time.Second,
		Links: []Link{{Name: "link", Rate: 10e6, Queue: Queue{Bytes: 12499}, Delay: 20 * ms}},
		Flows: []Flow{{Name: "flow", New: cbr(20e6), Path: []int{0}}},
	})
	l := r.Link("link")
	require.Equal(t, 9*1250, l.PeakQueue)
	require.EqualValues(t, 999, l.Served) // and one whose service ends with the scenario
	require.InDelta(t, 1.0, l.Utilisation(100*ms, 900*ms), 1e-9)
	// Room comes when a service ends. Where the next packet comes half a service later, it
	// waits for the other half and for the eight before it; at once, for nine.
	q := l.Queue(500*ms, time.Second)
	require.Equal(t, 8500*time.Microsecond, q.P50)
	require.LessOrEqual(t, q.Max, 9*ms)
}
