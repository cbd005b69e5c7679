package linksim

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestNADAUpdate holds the gradual update to the rate at which it stands still:
// PRIO·XREF·RMAX divided by the congestion signal (RFC 8698 section 4.3, equation
// 5), whose terms are the queueing delay, and ten milliseconds times the square of
// the loss in percent and two times that of the marks (section 4.2, equation 2).
func TestNADAUpdate(t *testing.T) {
	const rtt = 100 * time.Millisecond
	for _, tt := range []struct {
		name     string
		queueing time.Duration
		loss     uint64 // one in so many
		mark     uint64
		want     float64
	}{
		{"15 ms", 15 * time.Millisecond, 0, 0, 1.0e6},
		{"30 ms", 30 * time.Millisecond, 0, 0, 0.5e6},
		{"the highest rate", 0, 0, 0, 1.5e6},
		{"the lowest rate", 300 * time.Millisecond, 0, 0, 150e3},
		{"1 percent and 10 ms", 10 * time.Millisecond, 100, 0, 750e3},
		{"5 percent marked and 10 ms", 10 * time.Millisecond, 0, 20, 250e3},
		// Loss says that the queue is another's: 150 ms count as 50·e^(-1).
		{"warped", 150 * time.Millisecond, 200, 0, 15e6 / (50*math.Exp(-1) + 2.5)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &NADA{}
			s := &script{c: c, markEvery: tt.mark}
			s.path(10*time.Second, rtt, 0)
			require.Equal(t, 1.5e6, c.Rate(), "an empty path")
			s.path(100*time.Second, rtt+2*tt.queueing, tt.loss) // one half of it is on the way there
			sum := 0.0
			for range 100 {
				s.path(s.now+time.Second, rtt+2*tt.queueing, tt.loss)
				sum += c.Rate()
			}
			require.InEpsilon(t, tt.want, sum/100, 0.12)
		})
	}
}

// TestNADARampUp: without queue and loss the rate is a bounded factor above what
// arrives (equations 3 and 4): here γ is 50/(100+100+120).
func TestNADARampUp(t *testing.T) {
	c := &NADA{MaxRate: 100e6}
	s := &script{c: c}
	s.path(time.Second, 100*time.Millisecond, 0)
	for c.Rate() < 50e6 {
		before := c.Rate()
		s.path(s.now+500*time.Millisecond, 100*time.Millisecond, 0)
		require.Greater(t, c.Rate(), before)
		require.Less(t, c.Rate(), before*math.Pow(1+50.0/320, 5))
	}
	require.Less(t, s.now, 60*time.Second)
}

// TestNADAWarp: a long queue counts for little until seven loss intervals after the
// last loss, and in full after eight.
func TestNADAWarp(t *testing.T) {
	c := &NADA{gaps: 20}
	for i := range c.intervals {
		c.intervals[i] = 10
	}
	warped := 0.050 * math.Exp(-1)
	for _, tt := range []struct{ packets, want float64 }{
		{0, warped}, {69, warped}, {75, (warped + 0.150) / 2}, {80, 0.150}, {1000, 0.150},
	} {
		c.intervals[0] = tt.packets
		require.InDelta(t, tt.want, c.warped(0.150), 1e-9, "%v packets", tt.packets)
	}
	c.intervals[0] = 0
	require.Equal(t, 0.040, c.warped(0.040), "a short queue counts in full")
	require.Equal(t, 0.150, (&NADA{}).warped(0.150), "and any without losses")
}
