package urcp

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A peer acknowledges what is sent to it, 40 ms later, in its own words.
type peer struct {
	c    *Controller
	now  time.Duration
	seq  uint64
	sent []time.Duration
	// received is what the peer says of when the packet of a number, sent at some time,
	// arrived; timed false where it says nothing of that.
	received func(n int, sent time.Duration) (at time.Duration, timed bool)
	// rtt is what it says of the round trip; nothing where zero.
	rtt time.Duration
	// limited says that the sender has no more to send than it does.
	limited bool
}

// send sends one packet each interval, whatever the controller says, for d.
func (p *peer) send(d, each time.Duration) {
	acked := len(p.sent)
	for end := p.now + d; p.now < end; p.now += each {
		p.c.OnSent(p.now, Packet{Seq: p.seq, Bytes: 1250, AppLimited: p.limited})
		p.sent, p.seq = append(p.sent, p.now), p.seq+1
		for ; acked < len(p.sent) && p.sent[acked]+40*ms <= p.now; acked++ {
			a := Acked{Seq: p.seq - uint64(len(p.sent)-acked)}
			a.Received, a.Timed = p.received(acked, p.sent[acked])
			p.c.OnFeedback(p.now, &Feedback{Acked: []Acked{a}, RTT: p.rtt})
		}
	}
}

func newPeer(c *Controller, now time.Duration) *peer {
	return &peer{c: c, now: now, seq: 1 << 30, rtt: 40 * ms,
		received: func(_ int, sent time.Duration) (time.Duration, bool) { return sent + 20*ms, true }}
}

// TestE10_WhatIsSettledStaysSettled: a packet is acknowledged once, and lost once; one that
// was lost may be acknowledged after all, and then has left the flight once.
func TestE10_WhatIsSettledStaysSettled(t *testing.T) {
	c, now := settledController(t)
	inflight := c.Snapshot().Inflight
	for seq := range uint64(4) {
		c.OnSent(now, Packet{Seq: 1<<30 + seq, Bytes: 1250})
	}
	now += 40 * ms
	c.OnFeedback(now, &Feedback{Acked: []Acked{{Seq: 1 << 30}}, Lost: []uint64{1<<30 + 1}})
	before := c.Snapshot()
	require.Equal(t, inflight+2*1250, before.Inflight)
	for range 1000 {
		c.OnFeedback(now, &Feedback{Lost: []uint64{1 << 30, 1<<30 + 1, 5, 1 << 31}})
	}
	after := c.Snapshot()
	require.Equal(t, before.Counters.Ignored+4000, after.Counters.Ignored)
	after.Counters.Ignored = before.Counters.Ignored
	require.Equal(t, before, after)

	c.OnFeedback(now, &Feedback{Acked: []Acked{{Seq: 1<<30 + 1}}})
	after = c.Snapshot()
	require.Equal(t, before.Counters.Late+1, after.Counters.Late)
	require.Equal(t, before.Inflight, after.Inflight)

	c = New(0, Config{MSS: 1250}) // nothing is on its way before them
	for seq := range uint64(3) {
		c.OnSent(0, Packet{Seq: seq, Bytes: 1250})
	}
	c.OnFeedback(40*ms, &Feedback{Acked: []Acked{{Seq: 0}}, Lost: []uint64{1}})
	c.OnFeedback(41*ms, &Feedback{Acked: []Acked{{Seq: 1}}})
	require.EqualValues(t, 1, c.Snapshot().Counters.Late)
}

// TestE10_FasterThanSent: a peer whose clock goes too slowly, or that says that a burst
// came at once, has received no faster than was sent.
func TestE10_FasterThanSent(t *testing.T) {
	t.Run("a slow clock", func(t *testing.T) {
		p := newPeer(New(0, Config{MSS: 1250}), 0)
		p.received = func(_ int, sent time.Duration) (time.Duration, bool) { return sent / 20, true }
		p.send(20*time.Second, ms)
		require.InDelta(t, 10e6, p.c.Snapshot().DeliveryRate, 1e6)
	})
	t.Run("a burst", func(t *testing.T) {
		c := New(0, Config{MSS: 1250})
		for seq := range uint64(10) {
			c.OnSent(time.Duration(seq), Packet{Seq: seq, Bytes: 1250})
		}
		for seq := range uint64(10) {
			c.OnFeedback(40*ms, &Feedback{Acked: []Acked{{Seq: seq, Timed: true, Received: time.Duration(seq) * time.Microsecond}}})
		}
		require.Zero(t, c.Snapshot().DeliveryRate)
	})
	t.Run("the first packets", func(t *testing.T) {
		for _, apart := range []time.Duration{0, 1} {
			p := newPeer(New(0, Config{MSS: 1250}), 0)
			p.received = func(n int, sent time.Duration) (time.Duration, bool) {
				if n < trainLen {
					return time.Duration(n) * apart, true
				}
				return sent, true
			}
			for range trainLen - 1 { // the first four leave together
				p.c.OnSent(0, Packet{Seq: p.seq, Bytes: 1250})
				p.sent, p.seq = append(p.sent, 0), p.seq+1
			}
			p.sent = p.sent[:0]
			for n := range uint64(trainLen - 1) {
				at, _ := p.received(int(n), 0)
				p.c.OnFeedback(40*ms, &Feedback{Acked: []Acked{{Seq: 1<<30 + n, Timed: true, Received: at}}, RTT: 40 * ms})
			}
			p.now = 41 * ms
			p.send(5*time.Second, 10*ms) // 1 Mbit/s
			require.LessOrEqual(t, p.c.link(), 1.2*trainMost*1e6/8)
			require.False(t, math.IsInf(p.c.train.rate, 0))
		}
	})
	t.Run("all at one moment", func(t *testing.T) {
		p := newPeer(New(0, Config{MSS: 1250}), 0)
		p.received = func(int, time.Duration) (time.Duration, bool) { return time.Second, true }
		p.send(10*time.Second, 10*ms)
		require.LessOrEqual(t, p.c.train.tries, trainTries, "packets that leave without pacing")
	})
}

// TestE10_TimesOfThePeer: times that cannot be, or of which the peer itself says that
// they may be off, tell nothing of a queue; a clock that is set back, nothing of the rate.
func TestE10_TimesOfThePeer(t *testing.T) {
	t.Run("at the ends of the range", func(t *testing.T) {
		c := New(0, Config{MSS: 1250})
		for seq, at := range []time.Duration{math.MinInt64, math.MaxInt64, -1 << 61, 1 << 61} {
			c.OnSent(ms, Packet{Seq: uint64(seq), Bytes: 1250})
			c.OnFeedback(40*ms, &Feedback{Acked: []Acked{{Seq: uint64(seq), Received: at, Timed: true}}})
		}
		require.EqualValues(t, 4, c.Snapshot().Counters.Acked)
		require.False(t, c.delay.have)
	})
	t.Run("with an error too large", func(t *testing.T) {
		for _, bound := range []time.Duration{maxErrBound + 1, -1, math.MinInt64} {
			c, now := settledController(t)
			before := c.Snapshot().BaseDelay
			c.OnSent(now, Packet{Seq: 1 << 30, Bytes: 1250})
			c.OnFeedback(now+40*ms, &Feedback{Acked: []Acked{{Seq: 1 << 30, Received: now - 10*ms, Timed: true, ErrBound: bound}}})
			require.Equal(t, before, c.Snapshot().BaseDelay)
		}
	})
	t.Run("a clock that is set back", func(t *testing.T) {
		p := newPeer(New(0, Config{MSS: 1250}), 0)
		p.send(5*time.Second, ms)
		p.received = func(_ int, sent time.Duration) (time.Duration, bool) { return sent - time.Minute, true }
		p.send(5*time.Second, 10*ms)
		require.InDelta(t, 1e6, p.c.Snapshot().DeliveryRate, 0.1e6)
	})
	t.Run("a clock that drifts by one in a hundred", func(t *testing.T) {
		for _, by := range []float64{0.01, -0.01} {
			p := newPeer(New(0, Config{MSS: 1250}), 0)
			p.received = func(_ int, sent time.Duration) (time.Duration, bool) {
				return sent + time.Duration(by*float64(sent)), true
			}
			p.send(2*time.Minute, 10*ms)
			require.LessOrEqual(t, math.Abs(p.c.delay.clock.drift), maxDrift)
		}
	})
	t.Run("none while the queue drains", func(t *testing.T) {
		c, now := settledController(t)
		before := c.Snapshot()
		c.delay.anew()
		c.delay.anchor(now)
		require.Equal(t, before.BaseDelay, c.Snapshot().BaseDelay)
		require.Equal(t, before.BaseRTT, c.Snapshot().BaseRTT)
	})
}

// TestSilenceOfTheSourceIsNoSlowLink: what was delivered while there was little or nothing
// to send says nothing of what would have been.
func TestSilenceOfTheSourceIsNoSlowLink(t *testing.T) {
	for name, pause := range map[string]func(*peer){
		"little to send":  func(p *peer) { p.limited = true; p.send(3*time.Second, 10*ms) },
		"nothing to send": func(p *peer) { p.now += 20 * time.Second; p.send(60*ms, ms) },
	} {
		p := newPeer(New(0, Config{MSS: 1250}), 0)
		p.send(5*time.Second, ms)
		pause(p)
		require.Greater(t, p.c.Snapshot().DeliveryRate, int64(9e6), name)
	}
}

// TestE10_RoundTrips: a round trip is no longer than since the packet left, and no
// shorter than any is.
func TestE10_RoundTrips(t *testing.T) {
	for _, said := range []time.Duration{time.Hour, math.MaxInt64, 1} {
		p := newPeer(New(0, Config{MSS: 1250}), 0)
		p.rtt = said
		p.send(5*time.Second, 10*ms)
		s := p.c.Snapshot()
		require.GreaterOrEqual(t, s.BaseRTT, minRoundTrip, said)
		require.LessOrEqual(t, s.RTT, 41*ms, said)
		require.LessOrEqual(t, p.c.delay.clock.longRTT[0], 0.041, said)
		require.GreaterOrEqual(t, p.c.delay.clock.longRTT[0], minRoundTrip.Seconds(), said)
	}
	require.Equal(t, minRoundTrip, New(0, Config{RTT: 1}).Snapshot().BaseRTT, "of the handshake")
}

// TestTimesOfTheCaller: a clock that shows what it cannot is not followed.
func TestTimesOfTheCaller(t *testing.T) {
	c, now := settledController(t)
	c.OnTimer(math.MaxInt64)
	c.OnFeedback(math.MaxInt64/2, &Feedback{})
	c.OnSent(now, Packet{Seq: 1 << 30, Bytes: 1250})
	require.Less(t, c.NextTimer(), now+time.Minute)
	c.OnFeedback(now+40*ms, &Feedback{Acked: []Acked{{Seq: 1 << 30}}, RTT: 40 * ms})
	require.Less(t, c.NextSend(now+40*ms, 1250), now+time.Second)
}

// TestPacketsThatCannotBe: sizes are within those of datagrams, and numbers rise.
func TestPacketsThatCannotBe(t *testing.T) {
	c := New(0, Config{})
	c.OnSent(0, Packet{Seq: 7, Bytes: 1 << 40})
	require.Equal(t, 1<<16, c.Snapshot().Inflight)
	c.OnSent(0, Packet{Seq: 8, Bytes: -1000})
	for seq := range uint64(9) {
		c.OnSent(0, Packet{Seq: seq, Bytes: 1000})
	}
	require.Equal(t, 1<<16, c.Snapshot().Inflight)
	require.EqualValues(t, 9, c.Snapshot().Counters.Ignored)

	require.Equal(t, 10*1232, New(0, Config{MSS: -5}).Window())
	require.Equal(t, 10*64, New(0, Config{MSS: 1}).Window())
	require.Equal(t, 10*65535, New(0, Config{MSS: 1 << 40}).Window())
}

// TestPacketsWithoutBytes: also packets of which the window feels nothing are no more
// than can be remembered.
func TestPacketsWithoutBytes(t *testing.T) {
	c := New(0, Config{MSS: 1250})
	for seq := range uint64(maxSent) {
		require.NotEqual(t, Never, c.NextSend(time.Hour, 0))
		c.OnSent(time.Hour, Packet{Seq: seq})
		if seq == maxSent-2 {
			break
		}
	}
	require.Equal(t, Never, c.NextSend(2*time.Hour, 0))
}

// TestNothingDelivered: packets without bytes are delivered at a rate of nothing, from which
// the average goes on.
func TestNothingDelivered(t *testing.T) {
	c := New(0, Config{MSS: 1250})
	p := newPeer(c, 0)
	for range 200 {
		p.now += ms
		c.OnSent(p.now, Packet{Seq: p.seq})
		c.OnFeedback(p.now+40*ms, &Feedback{Acked: []Acked{{Seq: p.seq, Received: p.now, Timed: true}}, RTT: 40 * ms})
		p.seq++
	}
	require.True(t, c.delivery.valid)
	require.Zero(t, c.delivery.now)
	p.now += 100 * ms
	p.send(5*time.Second, ms)
	require.InDelta(t, 1.25e6, c.delivery.mean, 0.1e6)
	require.Less(t, c.delivery.part, varied)
}

// TestForgottenPacketsAreNotInFlight: what is pushed out of memory has left the flight.
func TestForgottenPacketsAreNotInFlight(t *testing.T) {
	c := New(0, Config{MSS: 1250})
	for seq := range uint64(maxSent + 1000) {
		c.OnSent(0, Packet{Seq: seq, Bytes: 1000})
	}
	require.Equal(t, maxSent*1000, c.Snapshot().Inflight)
	f := Feedback{}
	for seq := range uint64(maxSent + 1000) {
		f.Acked = append(f.Acked, Acked{Seq: seq})
	}
	c.OnFeedback(40*ms, &f)
	require.Zero(t, c.Snapshot().Inflight)
	require.EqualValues(t, 1000, c.Snapshot().Counters.Ignored)
}

// TestWindowThatIsNone: whatever arithmetic makes of the window, it stays within bounds.
func TestWindowThatIsNone(t *testing.T) {
	for _, w := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 1e300} {
		c := New(0, Config{MSS: 1250})
		c.window = w
		c.SetMaxRate(0)
		require.GreaterOrEqual(t, c.Window(), minWindow*1250)
		require.LessOrEqual(t, c.Window(), maxWindow)
	}
	require.Positive(t, seconds(1e300))
	require.Positive(t, seconds(math.Inf(1)))
}

// TestIdlenessIsNoSilence: where nothing is on its way, nothing can be heard of it.
func TestIdlenessIsNoSilence(t *testing.T) {
	c := New(0, Config{MSS: 1250})
	p := newPeer(c, 0)
	p.send(time.Second, 10*ms)
	for seq := p.seq - 8; seq < p.seq; seq++ {
		c.OnFeedback(p.now, &Feedback{Acked: []Acked{{Seq: seq}}})
	}
	require.Zero(t, c.Snapshot().Inflight)
	window := c.Window()
	c.OnTimer(time.Hour)
	require.Equal(t, window, c.Window())
	require.Zero(t, c.Snapshot().Counters.Silences)
}

// TestE12_CapHoldsWhateverIsDone: a cap lets no train through, forgives nothing to one
// who sends without asking, fills no bucket by being set again, and takes the window with it.
func TestE12_CapHoldsWhateverIsDone(t *testing.T) {
	const limit = 1e6
	at := func(bytes int) time.Duration { return time.Duration(float64(bytes) * 8 / limit * 1e9) }
	c := New(0, Config{MSS: 1250, MaxRate: limit})
	var now time.Duration
	for seq := range uint64(10) {
		now = max(now, c.NextSend(now, 1250))
		c.OnSent(now, Packet{Seq: seq, Bytes: 1250})
		require.GreaterOrEqual(t, now, at(int(seq+1)*1250-2*1250), "the train")
	}
	for seq := range uint64(10) {
		c.OnSent(now, Packet{Seq: 10 + seq, Bytes: 125})
	}
	c.OnFeedback(now, &Feedback{Lost: []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}})
	require.GreaterOrEqual(t, c.NextSend(now, 1250), now+at(2400), "a debt")
	for range 100 {
		c.SetMaxRate(limit)
	}
	require.GreaterOrEqual(t, c.NextSend(now, 1250), now+at(2400), "set again")

	c, _ = settledController(t)
	require.Greater(t, c.Window(), 50_000)
	c.SetMaxRate(100e3)
	require.Less(t, c.Window(), 40_000)
	c.SetMaxRate(-1)
	require.Greater(t, c.Rate(), int64(100e3), "no cap")
}

// TestTargetUnderHeavyLoss: an encoder is never asked for less than half.
func TestTargetUnderHeavyLoss(t *testing.T) {
	c := New(0, Config{})
	whole := c.TargetBitrate()
	c.loss.ratio = 0.9
	require.InDelta(t, whole/2, c.TargetBitrate(), 2)
}

// TestExtremeHasRoom: a window that grows does not make it keep more than there is room
// for, and the smallest is still the smallest.
func TestExtremeHasRoom(t *testing.T) {
	var m windowMin
	now, window, v := time.Duration(0), 32*ms, 0.0
	for range 200 {
		if now > window {
			window *= 2
		}
		now += window / 32
		v++
		m.push(now, window, v)
		require.LessOrEqual(t, m.n, extremeLen)
		for i := 1; i < m.n; i++ {
			require.Less(t, m.at(i-1).v, m.at(i).v)
		}
	}
}

// TestLateIsNoLoss: what came late after all makes up for what counted as lost a round
// before.
func TestLateIsNoLoss(t *testing.T) {
	var l lossMeter
	round := func(lost, late int) float64 {
		l.add(&batch{packets: 10, lost: lost, late: late})
		l.turn(false)
		return l.ratio
	}
	first := round(5, 0)
	require.Positive(t, first)
	for range 3 {
		require.Less(t, round(0, 5), first)
		require.Less(t, round(5, 0), first)
	}
}
