package urcp

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOrderInAFeedbackDoesNotMatter: the same acknowledgements in another order lead to
// the same state to the last bit.
func TestOrderInAFeedbackDoesNotMatter(t *testing.T) {
	run := func(mixed bool) Snapshot {
		// The loss has its own stream, so that shuffling does not shift it.
		l := newLink(10e6, 20*ms, 100*ms)
		lost := rand.New(rand.NewPCG(5, 6))
		l.noise = func(time.Duration) time.Duration { return time.Duration(lost.IntN(3)) * ms }
		l.mixed = mixed
		c := New(0, Config{MSS: 1250})
		l.run(c, 0, 10*time.Second)
		return c.Snapshot()
	}
	require.Equal(t, run(false), run(true))
}

// TestOrderOfLossesDoesNotMatter: packets lost in a row are one event in whichever order
// a feedback has them, and also where numbers are left out between them.
func TestOrderOfLossesDoesNotMatter(t *testing.T) {
	for _, lost := range [][]uint64{{2, 3, 4, 8, 9}, {9, 8, 4, 3, 2}, {4, 2, 9, 3, 8}} {
		for _, apart := range []uint64{1, 3} {
			c := New(0, Config{MSS: 1250})
			for seq := range uint64(12) {
				c.OnSent(0, Packet{Seq: seq * apart, Bytes: 1250})
			}
			f := Feedback{}
			for _, seq := range lost {
				f.Lost = append(f.Lost, seq*apart)
			}
			c.OnFeedback(40*ms, &f)
			require.Equal(t, 2, c.loss.open.events)
		}
	}
}

// TestClocksDoNotMatter: what the two clocks show at the start changes nothing.
func TestClocksDoNotMatter(t *testing.T) {
	run := func(shift, offset time.Duration) Snapshot {
		l := newLink(10e6, 20*ms, 100*ms)
		l.shift, l.offset = shift, offset
		c := New(shift, Config{MSS: 1250})
		l.run(c, 0, 10*time.Second)
		s := c.Snapshot()
		s.BaseDelay -= offset - shift
		return s
	}
	want := run(0, 0)
	require.Equal(t, want, run(1234567*time.Hour, 0))
	require.Equal(t, want, run(0, 99999*time.Hour))
	require.Equal(t, want, run(time.Second, -77777*time.Hour))
}

// TestScaling: on a path ten times as slow and, in packets, as long, the same number of
// packets stands in the queue, as long as the operating level is counted in packets.
func TestScaling(t *testing.T) {
	run := func(by float64) (util, queued float64) {
		l := newLink(8e6/by, time.Duration(30*by)*ms, 0)
		c := New(0, Config{MSS: 1250})
		warm, length := time.Duration(10*by)*time.Second, time.Duration(40*by)*time.Second
		st := l.run(c, warm, length)
		return float64(st.bytes) * 8 / (length - warm).Seconds() / l.rate,
			st.quantile(0.5).Seconds() * l.rate / 8 / 1250
	}
	util, queued := run(1)
	for _, by := range []float64{2, 4} {
		u, q := run(by)
		require.InDelta(t, util, u, 0.02)
		require.InDelta(t, queued, q, 2)
	}
}

// TestNoiseIsNotCompetition: delays that no load makes never make the controller
// believe in flows that fill the queue.
func TestNoiseIsNotCompetition(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 1))
		for _, noise := range []func(time.Duration) time.Duration{
			func(time.Duration) time.Duration { return time.Duration(rng.IntN(80)) * ms },
			func(time.Duration) time.Duration { return time.Duration(rng.ExpFloat64() * 10e6) },
			func(now time.Duration) time.Duration { return (40*ms - now%(40*ms)) / 2 },
		} {
			l := newLink(10e6, 20*ms, 200*ms)
			l.noise = noise
			c := New(0, Config{MSS: 1250})
			l.run(c, 0, 20*time.Second)
			require.Zero(t, c.Snapshot().Counters.Competitions)
		}
	}
}

// sane checks what holds whatever a peer says.
func sane(t *testing.T, c *Controller, now time.Duration) {
	t.Helper()
	s := c.Snapshot()
	require.GreaterOrEqual(t, s.Window, 2*1250)
	require.LessOrEqual(t, s.Window, 1<<41)
	require.GreaterOrEqual(t, s.Rate, int64(64_000))
	require.GreaterOrEqual(t, s.Inflight, 0)
	require.GreaterOrEqual(t, s.DeliveryRate, int64(0))
	require.GreaterOrEqual(t, c.TargetBitrate(), int64(0))
	for _, v := range []float64{c.window, c.delay.queue, c.delay.base, c.delay.srtt, c.loss.ratio, c.loss.inherent, c.marks.price} {
		require.False(t, math.IsNaN(v) || math.IsInf(v, 0))
	}
	require.GreaterOrEqual(t, s.QueueDelay, time.Duration(0))
	require.LessOrEqual(t, c.sent.n, maxSent)
	require.LessOrEqual(t, len(c.sent.buf), maxSent+1)
	if at := c.NextTimer(); at != Never {
		require.Greater(t, at, now-time.Hour)
	}
}

// FuzzFeedback drives a controller by bytes: packets, and feedback of any kind about
// them and about others.
func FuzzFeedback(f *testing.F) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 8 {
		data := make([]byte, 400)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(drive)
}

// drive is one run of FuzzFeedback.
func drive(t *testing.T, data []byte) {
	t.Helper()
	var (
		c   = New(0, Config{MSS: 1250, ECN: ECN(len(data) % 2)})
		now time.Duration
		seq uint64
	)
	take := func() uint64 {
		if len(data) == 0 {
			return 0
		}
		v := data[0]
		data = data[1:]
		return uint64(v)
	}
	// far is anything from nothing to the ends of the range, both ways.
	far := func() time.Duration {
		v := time.Duration(take() << (take() % 64))
		if take()%2 == 0 {
			return -v
		}
		return v
	}
	for len(data) > 0 {
		now += time.Duration(take()) * ms / 8
		switch take() % 8 {
		case 0:
			now += time.Duration(take()) * 10 * ms
			c.OnTimer(now)
		case 1:
			c.SetMaxRate(int64(far()))
			c.SetMaxRate(0)
		case 2:
			c.OnSent(far(), Packet{Seq: uint64(far()), Bytes: int(far())})
		case 3, 4:
			for range take() % 16 {
				if c.NextSend(now, 1250) <= now {
					seq += 1 + take()%2
					c.OnSent(now, Packet{Seq: seq, Bytes: 1250, AppLimited: take()%4 == 0})
				}
			}
		default:
			var fb Feedback
			for range take() % 20 {
				a := Acked{Seq: seq - take()%32, Timed: take()%4 != 0, Received: now - 20*ms}
				switch take() % 8 {
				case 0:
					a.Received = far()
				case 1:
					a.ErrBound = far()
				case 2:
					a.Marked = true
				}
				fb.Acked = append(fb.Acked, a)
			}
			for range take() % 4 {
				fb.Lost = append(fb.Lost, seq-take()%32)
			}
			fb.RTT = time.Duration(take()) * ms
			if take()%8 == 0 {
				fb.RTT = far()
			}
			at := now
			if take()%16 == 0 {
				at = far()
			}
			c.OnFeedback(at, &fb)
		}
		sane(t, c, now)
	}
}
