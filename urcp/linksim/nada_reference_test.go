package linksim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func nada() Controller { return &NADA{} }

// TestNADAQueue: alone, a flow settles where the queueing delay is 10 ms times its
// highest rate over the capacity: x_offset of RFC 8698 section 4.3 is zero there.
func TestNADAQueue(t *testing.T) {
	for _, rate := range []int64{300e3, 600e3, 1e6, 1.4e6} {
		b := bottle{
			rate: rate, rtt: 100 * ms, buffer: 300 * ms, duration: 90 * time.Second, from: 40 * time.Second,
			flows: several(1, nada),
		}
		m := b.run(t)
		service := 1250 * 8e3 / float64(rate)
		require.Greater(t, m.utilisation, 0.99)
		require.InEpsilon(t, 10*1.5e6/float64(rate), m.p50-service, 0.03)
		require.InEpsilon(t, 10*1.5e6/float64(rate), m.p95-service, 0.1)
		require.Zero(t, m.loss)
	}
}

// TestNADAShares: flows with the same highest rate come to equal shares, whichever
// was there first, since each stands still at the same delay only with the same
// rate.
func TestNADAShares(t *testing.T) {
	b := bottle{
		rate: 3e6, rtt: 100 * ms, buffer: 300 * ms, duration: 150 * time.Second, from: 90 * time.Second,
		stagger: 20 * time.Second, flows: several(3, nada),
	}
	m := b.run(t)
	require.Greater(t, m.jain, 0.98)
	require.Greater(t, m.utilisation, 0.97)
}

// TestNADAVariable is RFC 8867 section 5.1: the rate follows the capacity up to its
// highest, 1.5 Mbit/s, and down, with one bounded spike of the delay. Packets are
// small, because one of 1250 bytes takes 13 ms longer at 600 kbit/s than at 2.5
// Mbit/s, and more than 10 ms count as a queue for the ramp-up.
func TestNADAVariable(t *testing.T) {
	b := bottle{rate: 1e6, rtt: 100 * ms, buffer: 300 * ms, packetBytes: 600, flows: several(1, nada)}
	b.service, b.duration = variable()
	m := b.run(t)
	f, l := m.Flows[0], m.Links[0]
	for _, tt := range []struct {
		from, to time.Duration
		rate     float64
	}{{15, 40, 1e6}, {43, 60, 1.5e6}, {68, 80, 0.6e6}, {84, 100, 1e6}} {
		require.InEpsilon(t, tt.rate, f.Rate(tt.from*time.Second, tt.to*time.Second), 0.03, "from %d s", tt.from)
		require.Less(t, l.Queue(tt.from*time.Second, tt.to*time.Second).P95, 50*ms, "from %d s", tt.from)
	}
	after, ok := l.Recovered(60*time.Second, 50*ms, 2*time.Second)
	require.True(t, ok)
	require.Less(t, after, 2500*ms)
}
