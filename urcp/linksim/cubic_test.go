package linksim

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
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
	t.Run("one acknowledgement of many", func(t *testing.T) {
		s, c := start()
		before := c.cwnd
		s.ack(0, 30, rtt)
		require.InDelta(t, before+hystartLimit*c.mss, c.cwnd, 1)
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

// TestCubicReno: below the cubic function's own window it grows by 0.53 packets in a
// round trip, and by one once it is what it was before the loss (RFC 9438 section
// 4.3).
func TestCubicReno(t *testing.T) {
	const rtt = 10 * time.Millisecond
	c := &Cubic{window: window{mss: 1000, max: 1e9, cwnd: 20e3, ssthresh: 14e3}}
	c.rtt.add(rtt)
	c.reduce()
	require.InDelta(t, 14e3, c.cwnd, 1)
	round := func(i int) float64 {
		before := c.cwnd
		for n := before / c.mss; n > 0; n-- {
			c.grow(time.Second+time.Duration(i)*rtt, min(n, 1))
		}
		return (c.cwnd - before) / c.mss
	}
	for i := range 10 {
		require.InDelta(t, cubicAlpha, round(i), 0.03)
	}
	for i := 10; c.cwnd < 20e3; i++ {
		round(i)
	}
	for i := 15; i < 18; i++ {
		require.InDelta(t, 1, round(i), 0.03)
	}
}

// TestCubicPause: a window that is not needed does not move on along the cubic
// function (section 5.8): the first round trip after a pause adds no more than those before.
func TestCubicPause(t *testing.T) {
	const rtt = 100 * time.Millisecond
	c := &Cubic{NoReno: true}
	s := &script{c: c}
	s.fill()
	for s.round(rtt) < 1000 {
	}
	s.ack(1, 1, rtt)
	s.fill()
	for c.inEpisode || !c.running {
		s.round(rtt)
	}
	s.round(rtt)
	before := c.cwnd
	s.round(rtt)
	grown := c.cwnd - before
	for range 200 {
		for n := len(s.out); n > 0; n -= 8 {
			s.ack(0, min(n, 8), rtt)
		}
		s.now += 100 * time.Millisecond
		c.OnSent(s.now, urcp.Packet{Seq: s.next, Bytes: defaultMSS, AppLimited: true})
		s.out = append(s.out, scriptPacket{s.next, s.now})
		s.next++
	}
	before = c.cwnd
	s.fill()
	s.round(rtt)
	require.Positive(t, c.cwnd-before)
	require.Less(t, c.cwnd-before, 2*grown)
}

// TestCubicTimeout: when everything in flight is lost it begins again with one
// packet, and slow start ends at 0.7 of what was.
func TestCubicTimeout(t *testing.T) {
	const rtt = 40 * time.Millisecond
	c := &Cubic{}
	s := &script{c: c}
	s.fill()
	require.Equal(t, 20, s.round(rtt))
	require.Equal(t, 40, s.round(rtt))
	s.ack(len(s.out), 0, rtt)
	require.Equal(t, 1, s.fill())
	require.InDelta(t, 28*defaultMSS, c.ssthresh, 1)
}
