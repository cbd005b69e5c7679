package linksim

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCubicFunction holds the window to figure 1 of RFC 9438: 0.7 of it after a
// loss, concave up to the old window, which it meets K seconds later, convex after.
func TestCubicFunction(t *testing.T) {
	const rtt = 100 * time.Millisecond
	for _, reno := range []bool{false, true} {
		c := &Cubic{NoReno: !reno}
		s := &script{c: c}
		s.fill()
		for s.round(rtt) < 1000 {
		}
		before := c.cwnd / c.mss
		s.ack(1, 1, rtt)
		require.InEpsilon(t, 0.7*before, c.cwnd/c.mss, 1e-9)
		s.fill()
		for c.inEpisode || !c.running {
			s.round(rtt)
		}
		start := c.start
		k := math.Cbrt(before * 0.3 / 0.4) // equation 2
		for _, at := range []float64{0.25, 0.5, 1, 1.5, 2} {
			for (s.now - start).Seconds() < at*k {
				s.round(rtt)
			}
			seconds := (s.now - start).Seconds()
			want := 0.4*math.Pow(seconds-k, 3) + before // equation 1
			require.InEpsilon(t, want, c.cwnd/c.mss, 0.04, "%v of K", at)
		}
	}
}

// TestCubicFastConvergence: a flow whose window no longer reaches the last one gives
// way (RFC 9438 section 4.7).
func TestCubicFastConvergence(t *testing.T) {
	c := &Cubic{window: window{mss: 1000, max: 1e9, cwnd: 100e3, ssthresh: 50e3}}
	c.reduce()
	require.InDelta(t, 100, c.wMax, 1e-9)
	c.cwnd = 80e3
	c.reduce()
	require.InDelta(t, 80*0.85, c.wMax, 1e-9)
	c.cwnd = 90e3
	c.reduce()
	require.InDelta(t, 90, c.wMax, 1e-9)
}

// TestHyStart: slow start ends when the round trips of a round are longer by an
// eighth, 4 to 16 ms (RFC 9406 section 4.2), after five rounds in which the window
// grew by a quarter of what it would have.
func TestHyStart(t *testing.T) {
	const rtt = 80 * time.Millisecond
	start := func() (*script, *Cubic) {
		c := &Cubic{}
		s := &script{c: c}
		s.fill()
		s.round(rtt)
		require.Equal(t, 40, s.round(rtt))
		return s, c
	}
	t.Run("longer", func(t *testing.T) {
		s, c := start()
		s.round(rtt + 11*time.Millisecond)
		require.True(t, c.slowStart())
		grown := c.cwnd
		for range 4 {
			s.round(rtt + 11*time.Millisecond)
			require.InEpsilon(t, 1.25, c.cwnd/grown, 0.05)
			require.True(t, c.slowStart())
			grown = c.cwnd
		}
		s.round(rtt + 11*time.Millisecond)
		s.round(rtt + 11*time.Millisecond)
		require.False(t, c.slowStart())
	})
	t.Run("not much longer", func(t *testing.T) {
		s, _ := start()
		require.Equal(t, 80, s.round(rtt+9*time.Millisecond))
		require.Equal(t, 160, s.round(rtt+9*time.Millisecond))
	})
	t.Run("a false alarm", func(t *testing.T) {
		s, c := start()
		s.round(rtt + 11*time.Millisecond)
		s.round(rtt)
		grown := c.cwnd
		s.round(rtt)
		require.InEpsilon(t, 2, c.cwnd/grown, 0.1)
	})
	t.Run("off", func(t *testing.T) {
		c := &Cubic{NoHyStart: true}
		s := &script{c: c}
		s.fill()
		for i := range 6 {
			require.Equal(t, 20<<i, s.round(rtt+time.Duration(i)*50*time.Millisecond))
		}
	})
}
