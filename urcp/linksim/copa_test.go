package linksim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
)

// copaAt returns a Copa past its slow start with about so many packets in flight,
// whose smallest round trip is 40 ms.
func copaAt(t *testing.T, packets int, c *Copa) *script {
	s := &script{c: c}
	s.fillUntil(time.Millisecond)
	for len(s.out) < packets {
		s.paced(40 * time.Millisecond)
	}
	s.paced(100 * time.Millisecond)
	s.paced(100 * time.Millisecond)
	require.True(t, c.started)
	return s
}

// paced is one round trip in which packets leave when the pacer lets them.
func (s *script) paced(roundTrip time.Duration) {
	for n := len(s.out); n > 0; n -= 4 {
		until := max(s.now, s.out[min(n, 4)-1].at+roundTrip)
		s.fillUntil(until)
		s.ack(0, min(n, 4), roundTrip)
	}
	s.fill()
}

// TestCopaDirection: the window moves towards the rate 1/(δ·dq) by v/δ packets in a
// round trip, and v doubles after three round trips in one direction and is one
// after a turn (section 2.1 of the paper).
func TestCopaDirection(t *testing.T) {
	c := &Copa{NoSwitching: true}
	s := copaAt(t, 60, c)
	c.velocity, c.same = 1, 0

	// At 42 ms the queue holds back 2 ms: the target is 1000 packets a second, and
	// 60 packets in 42 ms are more.
	var windows, velocities []float64
	for range 6 {
		s.paced(45 * time.Millisecond)
		windows = append(windows, c.cwnd/c.mss)
		velocities = append(velocities, c.velocity)
	}
	for i := 1; i < len(windows); i++ {
		require.Less(t, windows[i], windows[i-1])
	}
	require.GreaterOrEqual(t, velocities[5], 4.0, "three rounds in one direction and more")

	// No queue at all: the window grows, and slowly at first.
	before := c.cwnd / c.mss
	s.paced(40 * time.Millisecond)
	s.paced(40 * time.Millisecond)
	require.Equal(t, 1.0, c.velocity)
	from := c.cwnd / c.mss
	s.paced(40 * time.Millisecond)
	require.InDelta(t, from+1/copaDelta, c.cwnd/c.mss, 0.7)
	for range 6 {
		s.paced(40 * time.Millisecond)
	}
	require.Greater(t, c.cwnd/c.mss, before)
	require.Greater(t, c.velocity, 2.0)
}

// TestCopaEquilibrium: the rate is that at which dq = 1/(δ·λ).
func TestCopaEquilibrium(t *testing.T) {
	for _, delta := range []float64{0.5, 0.1} {
		c := &Copa{Delta: delta, NoSwitching: true}
		s := copaAt(t, 60, c)
		// 50 ms of standing round trip, 10 of them queue: 1/(δ·10 ms) packets a
		// second, times 50 ms, is the window.
		want := 1 / (delta * 0.010) * 0.050
		for range 200 {
			s.paced(50 * time.Millisecond)
		}
		require.InDelta(t, want, c.cwnd/c.mss, 4/delta)
	}
}

// TestCopaModes: the competitive mode is entered when the queue was not nearly
// empty for ten round trips; 1/δ grows by one per round trip and halves after a
// loss, and is what it was once the queue has been empty (section 2.2).
func TestCopaModes(t *testing.T) {
	c := &Copa{}
	s := copaAt(t, 60, c)
	s.paced(40 * time.Millisecond)
	s.paced(40 * time.Millisecond)
	require.Equal(t, urcp.Steady, c.Snapshot().Mode)
	for range 12 {
		s.paced(100 * time.Millisecond)
		s.paced(140 * time.Millisecond)
	}
	require.Equal(t, urcp.Competing, c.Snapshot().Mode)
	require.EqualValues(t, 1, c.Snapshot().Counters.Competitions)
	raised := 1 / c.delta
	require.Greater(t, raised, 2.0)
	for range 8 {
		s.paced(140 * time.Millisecond)
	}
	require.InDelta(t, raised+8, 1/c.delta, 3)
	raised = 1 / c.delta
	s.ack(1, 1, 140*time.Millisecond)
	require.InEpsilon(t, raised/2, 1/c.delta, 0.2)
	s.paced(40 * time.Millisecond)
	s.paced(40 * time.Millisecond)
	require.Equal(t, urcp.Steady, c.Snapshot().Mode)
	require.Equal(t, 0.5, c.delta)

	c = &Copa{NoSwitching: true}
	s = copaAt(t, 60, c)
	for range 20 {
		s.paced(140 * time.Millisecond)
	}
	require.Equal(t, urcp.Steady, c.Snapshot().Mode)
	require.Equal(t, 0.5, c.delta)
}

// TestCopaLossLimit: loss alone changes nothing up to 30 %.
func TestCopaLossLimit(t *testing.T) {
	for _, off := range []bool{false, true} {
		c := &Copa{NoLossLimit: off, MaxWindow: 400 * defaultMSS}
		s := &script{c: c}
		s.fillUntil(time.Millisecond)
		windows := func(lost, n int) float64 {
			for range 400 {
				s.fillUntil(s.now + 4*time.Millisecond)
				if len(s.out) >= lost+n {
					s.ack(lost, n, 40*time.Millisecond)
				}
			}
			return c.cwnd / c.mss
		}
		require.InDelta(t, 400, windows(1, 4), 1, "20 %% loss")
		if got := windows(4, 4); off {
			require.InDelta(t, 400, got, 1, "50 %% loss")
		} else {
			require.Less(t, got, 250.0, "50 %% loss")
		}
	}
}

// TestCopaTimeout: when everything in flight is lost it begins again with two
// packets.
func TestCopaTimeout(t *testing.T) {
	c := &Copa{}
	s := copaAt(t, 60, c)
	s.ack(len(s.out), 0, 40*time.Millisecond)
	require.InDelta(t, 2*c.mss, c.cwnd, 1)
	require.Equal(t, 1.0, c.velocity)
}
