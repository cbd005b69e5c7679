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

// Packets and payloads are used again, also those of packets that were dropped or
// copied, and timers that no longer count go away.
func TestMemoryIsBounded(t *testing.T) {
	sc := everything(t)
	sc.Duration = 100 * time.Second
	s := newSim(sc)
	require.NoError(t, s.run())
	require.Greater(t, s.result.Flows[1].Sent, int64(4000))
	require.Less(t, len(s.packets), 500)
	require.Less(t, len(s.events.heap), 100)
	u := s.flows[1].receiver.reporter.(*udp2)
	require.Less(t, len(u.slots), 500)
}
