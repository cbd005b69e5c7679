package linksim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
)

// TestBBRStartup: the rate grows by the gain in each round trip until the delivery
// rate has stopped to grow for three of them; what was too much then drains.
func TestBBRStartup(t *testing.T) {
	const rtt = 40 * time.Millisecond
	// On a path without an end the window, which grows by what is acknowledged,
	// doubles, and the rate with it.
	c := &BBR{}
	s := &script{c: c}
	s.path(2*rtt, rtt, 0)
	before := c.bw()
	s.path(8*rtt, rtt, 0)
	require.InEpsilon(t, 64, c.bw()/before, 0.25)
	require.Equal(t, bbrStartup, c.mode)

	c = &BBR{}
	s = &script{c: c}
	for range 20 {
		// A bottleneck of 10 packets per round trip.
		s.fillUntil(s.now + rtt)
		s.ack(0, min(10, len(s.out)), rtt)
	}
	require.True(t, c.full)
	require.Equal(t, bbrProbeBandwidth, c.mode)
	require.InEpsilon(t, 10*defaultMSS/rtt.Seconds(), c.bw(), 0.35)
}

// TestBBRProbeRTT: ten seconds without a smaller round trip, and the flow holds four
// packets in flight for 200 ms.
func TestBBRProbeRTT(t *testing.T) {
	c := &BBR{MaxWindow: 100 * defaultMSS}
	s := &script{c: c}
	s.path(time.Second, 40*time.Millisecond, 0)
	s.path(9*time.Second, 41*time.Millisecond, 0)
	require.NotEqual(t, bbrProbeShortest, c.mode)
	var from, to time.Duration
	for s.now < 12*time.Second {
		s.path(s.now+time.Millisecond, 41*time.Millisecond, 0)
		if c.mode == bbrProbeShortest {
			if from == 0 {
				from = s.now
			}
			to = s.now
			require.LessOrEqual(t, c.cwnd, 4.0*defaultMSS)
		}
	}
	require.InDelta(t, 0.25, (to - from).Seconds(), 0.05, "200 ms, and a round trip until the flight is small")
	require.Equal(t, bbrProbeBandwidth, c.mode)
	require.Equal(t, 41*time.Millisecond, c.shortest)
	require.Greater(t, c.cwnd, 50.0*defaultMSS, "the window is what it was")
}

// TestBBRApplicationLimited: what a flow gets that sends less than it might says
// nothing about the bandwidth, unless it is more than was known.
func TestBBRApplicationLimited(t *testing.T) {
	const rtt = 40 * time.Millisecond
	c := &BBR{MaxWindow: 100 * defaultMSS}
	s := &script{c: c}
	s.path(2*time.Second, rtt, 0)
	before := c.bw()
	s.ack(0, len(s.out), rtt)
	for range 50 {
		s.now += rtt
		c.OnSent(s.now, urcp.Packet{Seq: s.next, Bytes: defaultMSS, AppLimited: true})
		s.out = append(s.out, scriptPacket{s.next, s.now})
		s.next++
		s.ack(0, 1, rtt)
	}
	require.InEpsilon(t, before, c.bw(), 0.05)
}

// TestBBRRecovery: for a round trip after a loss a flow sends what is acknowledged
// and no more, and then goes on as before.
func TestBBRRecovery(t *testing.T) {
	const rtt = 40 * time.Millisecond
	c := &BBR{MaxWindow: 100 * defaultMSS}
	s := &script{c: c}
	s.path(2*time.Second, rtt, 0)
	s.fillUntil(s.now + rtt/2)
	before, flight := c.cwnd, len(s.out)
	s.ack(flight/2, 2, rtt)
	require.InDelta(t, float64(len(s.out)+2)*c.mss, c.cwnd, 1)
	s.path(s.now+3*rtt, rtt, 0)
	require.InEpsilon(t, before, c.cwnd, 0.1)
}
