package linksim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Sixty seconds of 100 Mbit/s are to take less than five.
func BenchmarkMinuteOf100Mbit(b *testing.B) {
	for b.Loop() {
		_, err := Run(&Scenario{
			Name: "speed", Duration: time.Minute,
			Links: []Link{{Name: "link", Rate: 100e6, Delay: 10 * ms, Queue: Queue{Bytes: Buffer(100e6, 50*ms)}}},
			Flows: []Flow{{Name: "flow", New: func(time.Duration) Controller { return &Cubic{} }, Path: []int{0}}},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// Once the queues have grown to what they need, packets cost no memory but for the
// records of the result.
func TestAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("it counts allocations of whole runs")
	}
	allocs := func(d time.Duration) float64 {
		return testing.AllocsPerRun(1, func() {
			sc := everything(t)
			sc.Duration = d
			_, err := Run(sc)
			require.NoError(t, err)
		})
	}
	short, long := allocs(20*time.Second), allocs(200*time.Second)
	// Some 60,000 packets more: records double a few times, and nothing else.
	require.Less(t, long-short, 200.0)
}
