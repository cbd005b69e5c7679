package urcp

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

func newLink(rate float64, oneWay, buffer time.Duration) *link {
	return &link{rate: rate, oneWay: oneWay, buffer: buffer}
}

// TestFullAtLowDelay tries the plain cases, whose bounds the simulator's scenarios have
// in full.
func TestFullAtLowDelay(t *testing.T) {
	for _, x := range []struct {
		name     string
		l        *link
		util     float64
		p50, p95 time.Duration
	}{
		{"10M half BDP", newLink(10e6, 20*ms, 20*ms), 0.97, 8 * ms, 12 * ms},
		{"10M five BDP", newLink(10e6, 20*ms, 200*ms), 0.97, 8 * ms, 12 * ms},
		{"1M 100ms", newLink(1e6, 50*ms, 300*ms), 0.97, 40 * ms, 60 * ms},
		{"100M 20ms", newLink(100e6, 10*ms, 50*ms), 0.97, 4 * ms, 6 * ms},
		{"50M 200ms", newLink(50e6, 100*ms, 100*ms), 0.95, 8 * ms, 30 * ms},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := New(0, Config{MSS: 1250})
			st := x.l.run(c, 5*time.Second, 25*time.Second)
			require.Greater(t, float64(st.bytes)*8/20, x.util*x.l.rate)
			require.Less(t, st.quantile(0.5), x.p50)
			require.Less(t, st.quantile(0.95), x.p95)
			require.Zero(t, st.lost)
			require.Zero(t, c.Snapshot().Counters.Competitions)
		})
	}
}

// TestRandomLossIsNotCongestion: loss that does not depend on the rate costs nothing but
// itself, and shows as inherent.
func TestRandomLossIsNotCongestion(t *testing.T) {
	l := newLink(10e6, 20*ms, 200*ms)
	l.loss = 0.05
	c := New(0, Config{MSS: 1250})
	st := l.run(c, 10*time.Second, 40*time.Second)
	require.Greater(t, float64(st.bytes)*8/30, 0.95*0.95*10e6)
	require.InDelta(t, 0.05, c.Snapshot().Inherent, 0.03)
	require.NotZero(t, c.Snapshot().Counters.LossTests)
}

// TestE12_CapHoldsForEveryPacket: with a cap, no stretch of time holds more than the cap
// and one burst, whatever the window, while a sender sends all that it may.
func TestE12_CapHoldsForEveryPacket(t *testing.T) {
	const limit = 3e6
	rng := rand.New(rand.NewPCG(3, 4))
	c := New(0, Config{MSS: 1250, MaxRate: limit})
	type sent struct {
		at    time.Duration
		bytes int
	}
	var all []sent
	var now time.Duration
	for seq := uint64(0); now < 10*time.Second; seq++ {
		n := 100 + rng.IntN(1150)
		for at := c.NextSend(now, n); at > now; at = c.NextSend(now, n) {
			require.NotEqual(t, Never, at)
			now = at
		}
		c.OnSent(now, Packet{Seq: seq, Bytes: n})
		all = append(all, sent{now, n})
		if seq > 2 {
			c.OnFeedback(now, &Feedback{Acked: []Acked{{Seq: seq - 2, Received: now, Timed: true}}, RTT: 10 * ms})
		}
		if rng.IntN(200) == 0 {
			now += time.Duration(rng.IntN(300)) * ms // a pause must not save up a burst
		}
	}
	const burst = 2*1250 + 1250 // the bucket, and the packet that overdraws it
	for i := range all {
		total := 0
		for _, s := range all[i:min(i+400, len(all))] {
			total += s.bytes
			span := (s.at - all[i].at).Seconds()
			require.LessOrEqual(t, float64(total), limit/8*span+burst)
		}
	}
	require.Greater(t, len(all), 1000)
	require.LessOrEqual(t, c.Rate(), int64(limit))

	c.SetMaxRate(1e6)
	require.LessOrEqual(t, c.Rate(), int64(1e6))
	c.SetMaxRate(0)
	require.Greater(t, c.Rate(), int64(1e6))
}

// settledController is one that has run on a link for a while.
func settledController(t *testing.T) (*Controller, time.Duration) {
	t.Helper()
	c := New(0, Config{MSS: 1250})
	newLink(10e6, 20*ms, 200*ms).run(c, 0, 10*time.Second)
	require.Equal(t, Steady, c.mode)
	return c, 10 * time.Second
}

// TestE10_AbsurdFeedback: what a peer says of packets that were not sent, or says twice,
// changes nothing; times that go back or lie far away never raise the rate.
func TestE10_AbsurdFeedback(t *testing.T) {
	t.Run("never sent", func(t *testing.T) {
		c, now := settledController(t)
		before := c.Snapshot()
		for range 1000 {
			c.OnFeedback(now, &Feedback{
				Acked: []Acked{{Seq: 1 << 40, Received: now, Timed: true}, {Seq: math.MaxUint64}},
				Lost:  []uint64{1 << 41}, RTT: ms,
			})
		}
		after := c.Snapshot()
		require.Equal(t, before.Counters.Ignored+3000, after.Counters.Ignored)
		before.Counters.Ignored = after.Counters.Ignored
		require.Equal(t, before, after)
	})
	t.Run("acknowledged twice", func(t *testing.T) {
		c, now := settledController(t)
		c.OnSent(now, Packet{Seq: 1 << 30, Bytes: 1250})
		f := &Feedback{Acked: []Acked{{Seq: 1 << 30, Received: now, Timed: true}}}
		c.OnFeedback(now+40*ms, f)
		before := c.Snapshot()
		for range 1000 {
			c.OnFeedback(now+40*ms, f)
		}
		after := c.Snapshot()
		require.Equal(t, before.Window, after.Window)
		require.Equal(t, before.Counters.Delivered, after.Counters.Delivered)
	})
	t.Run("no faster than delivered", func(t *testing.T) {
		// The peer acknowledges everything at once, before it can have arrived, and lies
		// about its clock: the rate stays within what was really sent and acknowledged.
		c, now := settledController(t)
		seq := uint64(1 << 30)
		rng := rand.New(rand.NewPCG(1, 1))
		var sent int
		start := now
		for now < start+5*time.Second {
			for range 5 {
				c.OnSent(now, Packet{Seq: seq, Bytes: 1250})
				sent += 1250
				c.OnFeedback(now, &Feedback{Acked: []Acked{{
					Seq: seq, Timed: true,
					Received: time.Duration(rng.Uint64()) >> rng.IntN(60),
				}}, RTT: time.Duration(rng.Int64() >> rng.IntN(60))})
				seq++
			}
			now += 5 * ms // 10 Mbit/s, whatever is allowed
		}
		real := float64(sent) * 8 / (now - start).Seconds()
		require.Less(t, float64(c.Snapshot().DeliveryRate), 1.2*real)
		require.Less(t, c.Window(), 3*1250*100)
	})
	t.Run("time goes back", func(t *testing.T) {
		c, now := settledController(t)
		window := c.Window()
		for i := range uint64(100) {
			c.OnSent(now-time.Second, Packet{Seq: 1<<30 + i, Bytes: 1250})
			c.OnFeedback(now-time.Hour, &Feedback{Acked: []Acked{{Seq: 1<<30 + i, Received: -now, Timed: true}}, RTT: -ms})
			c.OnTimer(0)
		}
		require.LessOrEqual(t, c.Window(), 2*window)
		require.GreaterOrEqual(t, c.NextTimer(), now)
	})
}

// TestMemoryIsBounded: packets of which nothing is ever heard are forgotten in the end.
func TestMemoryIsBounded(t *testing.T) {
	c := New(0, Config{})
	for i := range uint64(100_000) {
		c.OnSent(time.Duration(i), Packet{Seq: i * 7, Bytes: 1200})
	}
	require.Equal(t, maxSent, c.sent.n)
	require.Len(t, c.sent.buf, maxSent+1)
	require.Equal(t, Never, c.NextSend(time.Second, 1200))
}

func TestSilenceHalvesTheWindow(t *testing.T) {
	c, now := settledController(t)
	fill(c, now)
	window := c.Window()
	at := c.NextTimer()
	require.InDelta(t, float64(now+time.Second), float64(at), float64(time.Second))
	c.OnTimer(at - 1)
	require.Equal(t, window, c.Window())
	c.OnTimer(at)
	require.Equal(t, window/2, c.Window())
	require.Greater(t, c.NextTimer(), at+time.Second)
	require.Less(t, c.NextSend(at, 1250), Never, "what nobody has heard of must not close the window")
	for range 100 {
		c.OnTimer(c.NextTimer())
	}
	require.GreaterOrEqual(t, c.Window(), 2*1250)
	require.EqualValues(t, 101, c.Snapshot().Counters.Silences)
}

// fill sends until the window is full.
func fill(c *Controller, now time.Duration) (next uint64) {
	for next = 1 << 30; !c.full(1250); next++ {
		c.OnSent(now, Packet{Seq: next, Bytes: 1250})
	}
	return next
}

// TestEndOfCompetitionWithinATest: where something else than the test shows that it is over,
// the window does not stay as small as the test has made it.
func TestEndOfCompetitionWithinATest(t *testing.T) {
	c, now := settledController(t)
	c.beginCompeting(c.at(now))
	k := &c.compete
	k.joining = false
	full := c.window
	k.test.last = c.at(now) - time.Hour
	require.True(t, c.testedAlone(c.at(now)))
	require.Less(t, c.window, 0.6*full)
	c.window /= 2
	k.lastHi = c.at(now) - time.Hour
	c.hold(c.at(now), &batch{})
	require.Equal(t, Steady, c.mode)
	require.Greater(t, c.window, 0.45*full)
}

// TestApplicationLimited: a source that sends little does not make the window grow, as
// nothing has shown that the path would carry more.
func TestApplicationLimited(t *testing.T) {
	c := New(0, Config{MSS: 1250})
	l := newLink(100e6, 20*ms, 200*ms)
	var next time.Duration
	l.app = func(now time.Duration) bool {
		if now < next {
			return false
		}
		next = now + 10*ms // 1 Mbit/s
		return true
	}
	l.run(c, 0, 20*time.Second)
	require.Less(t, c.Window(), 14*1250)
	require.Less(t, c.TargetBitrate(), c.Rate())
}

// TestMarks: marks lower the rate where a queue alone would not.
func TestMarks(t *testing.T) {
	for _, kind := range []ECN{ECNClassic, ECNL4S} {
		l := newLink(10e6, 20*ms, 200*ms)
		l.marks = 0.2
		c := New(0, Config{MSS: 1250, ECN: kind})
		st := l.run(c, 5*time.Second, 20*time.Second)
		require.Less(t, float64(st.bytes)*8/15, 0.7*l.rate)
		require.NotZero(t, c.Snapshot().Counters.Marked)
	}
}

// BenchmarkOnFeedback8 is eight packets sent and the feedback on them: to stop the timer for
// the former would cost more than both.
func BenchmarkOnFeedback8(b *testing.B) {
	c := New(0, Config{MSS: 1250})
	newLink(100e6, 10*ms, 50*ms).run(c, 0, 5*time.Second)
	now, seq := 5*time.Second, uint64(1<<32)
	f := Feedback{Acked: make([]Acked, 8), RTT: 20 * ms}
	b.ReportAllocs()
	for b.Loop() {
		for i := range 8 {
			c.OnSent(now, Packet{Seq: seq, Bytes: 1250})
			f.Acked[i] = Acked{Seq: seq, Received: now + 10*ms + time.Duration(i)*100*time.Microsecond, Timed: true}
			seq++
			now += 100 * time.Microsecond
		}
		c.OnFeedback(now+20*ms, &f)
	}
}
