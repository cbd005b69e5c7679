package linksim

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func reno() Controller { return &Reno{} }

// TestRenoSawtooth: the window moves between half and all of what the path holds.
// Without a buffer the link is idle for a quarter of the time; with one of a
// bandwidth-delay product it never is, and the queue goes from empty to full.
func TestRenoSawtooth(t *testing.T) {
	b := bottle{
		rate: 50e6, rtt: 40 * time.Millisecond, buffer: 2 * time.Millisecond,
		duration: 70 * time.Second, from: 10 * time.Second, flows: several(1, reno),
	}
	m := b.run(t)
	require.InDelta(t, 0.75, m.utilisation, 0.04)

	b.buffer = 44 * time.Millisecond
	m = b.run(t)
	require.Greater(t, m.utilisation, 0.985)
	require.InDelta(t, 22, m.mean, 5, "the queue of a sawtooth is half full on average")
}

// TestRenoLoss: the window is sqrt(3/2p) full packets on average, RFC 9438 section 5
// with the constants of Reno, for one loss in 1/p packets.
func TestRenoLoss(t *testing.T) {
	for _, every := range []int{100, 1000} {
		p := 1 / float64(every)
		b := bottle{
			rate: 200e6, rtt: 100 * time.Millisecond, buffer: 100 * time.Millisecond, every: every,
			duration: 100 * time.Second, from: 20 * time.Second, feedback: Feedback{Packets: 1}, flows: several(1, reno),
		}
		m := b.run(t)
		window := m.Flows[0].Rate(b.from, b.duration) * b.rtt.Seconds() / 8 / 1250
		t.Logf("%v: %.1f packets instead of %.1f", p, window, math.Sqrt(1.5/p))
		require.InEpsilon(t, math.Sqrt(1.5/p), window, 0.16)
	}
}

// TestPaced: a buffer of three packets does not hold the burst that eight packets
// acknowledged at once let go.
func TestPaced(t *testing.T) {
	for name, c := range map[string]func(paced bool) Controller{
		"reno":  func(paced bool) Controller { return &Reno{Paced: paced} },
		"cubic": func(paced bool) Controller { return &Cubic{Paced: paced} },
	} {
		b := bottle{rate: 10e6, rtt: 40 * ms, buffer: 4 * ms, duration: 30 * time.Second}
		b.flows = several(1, func() Controller { return c(false) })
		require.Less(t, b.run(t).utilisation, 0.3, name)
		b.flows = several(1, func() Controller { return c(true) })
		require.Greater(t, b.run(t).utilisation, 0.65, name)
	}
}
