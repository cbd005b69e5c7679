package urcp

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestProbes: what was lost at the end of a window is not known before something arrives
// behind it, so while nothing is heard a packet leaves now and then.
func TestProbes(t *testing.T) {
	c, now := settledController(t)
	next := fill(c, now)
	last, gap := now, time.Duration(0)
	for range 4 {
		at := c.NextSend(now, 1250)
		require.Greater(t, at, now)
		require.Less(t, at, now+10*time.Second)
		require.Greater(t, c.NextSend(at-1, 1250), at-1)
		require.Equal(t, at, c.NextSend(at, 1250))
		c.OnSent(at, Packet{Seq: next, Bytes: 1250})
		next++
		require.Greater(t, at-last, gap, "the next takes longer")
		last, gap, now = at, at-last, at
	}
	c.OnFeedback(now, &Feedback{Acked: []Acked{{Seq: next - 1}}, RTT: 40 * time.Millisecond})
	require.Less(t, c.NextSend(now, 1250), now+gap, "news ends it")
}

// TestProbesEnd: however long nothing is heard, what leaves into a full window is little,
// whether or not the timer's owner calls.
func TestProbesEnd(t *testing.T) {
	for _, timer := range []bool{true, false} {
		c, now := settledController(t)
		next := fill(c, now)
		sent := 0
		for end := now + 5*time.Minute; now < end; now += 50 * ms {
			if timer && c.NextTimer() <= now {
				c.OnTimer(now)
			}
			for c.NextSend(now, 1250) <= now && sent < 1000 {
				c.OnSent(now, Packet{Seq: next, Bytes: 1250})
				next, sent = next+1, sent+1
			}
		}
		require.Less(t, sent, 200)
	}
}

// TestProbesAfterALongRoundTrip: one that cannot be makes no room in a full window.
func TestProbesAfterALongRoundTrip(t *testing.T) {
	c := New(0, Config{RTT: math.MaxInt64})
	next := fill(c, 0)
	for range 10 {
		require.Greater(t, c.NextSend(time.Second, 1250), time.Second)
		require.Greater(t, c.NextTimer(), time.Second)
		c.OnSent(time.Second, Packet{Seq: next, Bytes: 1250})
		next++
		c.OnTimer(c.NextTimer())
	}
}

// TestNoProbeBeforeTheFirstNews: how long to wait is not known then.
func TestNoProbeBeforeTheFirstNews(t *testing.T) {
	c := New(0, Config{})
	fill(c, 0)
	require.Equal(t, Never, c.NextSend(time.Hour, 1250))
}

// TestSlowestSending: a long round trip does not bring the sending to a stop.
func TestSlowestSending(t *testing.T) {
	c := New(0, Config{MSS: 1250, RTT: 10 * time.Minute})
	for seq := range uint64(trainLen + 1) {
		c.OnSent(0, Packet{Seq: seq, Bytes: 1250})
	}
	require.LessOrEqual(t, c.NextSend(0, 1250), (trainLen+1)*time.Duration(1250*1e9/minRate))
}

// TestE10_DelaysDoNotStopSending: a peer that says that its packets wait for an hour on
// the way to it, after they waited on the way back, does not stop the sending for long.
func TestE10_DelaysDoNotStopSending(t *testing.T) {
	c := New(0, Config{MSS: 1250})
	p := newPeer(c, 0)
	said := 20 * ms
	p.received = func(_ int, sent time.Duration) (time.Duration, bool) { return sent + said, true }
	p.rtt = 2 * ms
	p.send(5*time.Second, ms)
	now := p.now
	require.Equal(t, Steady, c.mode)
	p.rtt = 40 * ms
	p.send(300*ms, 2*ms)
	require.NotZero(t, c.delay.longBack())
	said, p.rtt = time.Hour, 0
	p.send(300*ms, 2*ms)
	for seq := p.seq - 20; seq < p.seq; seq++ {
		c.OnFeedback(p.now, &Feedback{Acked: []Acked{{Seq: seq}}})
	}
	p.now = max(p.now, c.pace.next)
	require.Less(t, p.now, now+time.Minute)
	c.OnSent(p.now, Packet{Seq: p.seq, Bytes: 100})
	require.LessOrEqual(t, c.NextSend(p.now, 100), p.now+100*time.Second/minRate)
}

// TestBurstAfterAPause: what was allowed before a pause does not leave at once after it.
func TestBurstAfterAPause(t *testing.T) {
	c := New(0, Config{MSS: 1250})
	p := newPeer(c, 0)
	p.send(5*time.Second, ms)
	for seq := p.seq - 50; seq < p.seq; seq++ {
		c.OnFeedback(p.now, &Feedback{Acked: []Acked{{Seq: seq}}})
	}
	require.Zero(t, c.Snapshot().Inflight)
	now := p.now + 5*time.Second
	burst := 0
	for ; c.NextSend(now, 1250) <= now; burst++ {
		c.OnSent(now, Packet{Seq: p.seq, Bytes: 1250})
		p.seq++
	}
	require.Equal(t, 1, burst)
}
