package linksim

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
)

// A script drives a controller by hand: full packets out, feedback in.
type script struct {
	c    Controller
	now  time.Duration
	next uint64
	out  []scriptPacket // in flight, oldest first
	f    urcp.Feedback

	markEvery uint64 // a packet whose number this divides arrives marked; zero for none
}

type scriptPacket struct {
	seq uint64
	at  time.Duration
}

// fill sends what may leave by now and returns how many packets those were.
func (s *script) fill() (n int) {
	for s.c.NextSend(s.now, defaultMSS) <= s.now {
		s.c.OnSent(s.now, urcp.Packet{Seq: s.next, Bytes: defaultMSS})
		s.out = append(s.out, scriptPacket{s.next, s.now})
		s.next++
		n++
	}
	return n
}

// fillUntil sends what may leave until then, each packet when it may.
func (s *script) fillUntil(then time.Duration) (n int) {
	for {
		s.now = max(s.now, min(then, s.c.NextSend(s.now, defaultMSS)))
		if s.c.NextSend(s.now, defaultMSS) > s.now || s.now == then {
			s.now = then
			return n
		}
		n += s.fill()
	}
}

// ack acknowledges the n oldest packets, which had this round trip. Lost packets
// before them are named by how many they are. The receiver's clock is far off.
func (s *script) ack(lost, n int, roundTrip time.Duration) {
	s.f = urcp.Feedback{Acked: s.f.Acked[:0], Lost: s.f.Lost[:0]}
	for _, p := range s.out[:lost] {
		s.f.Lost = append(s.f.Lost, p.seq)
	}
	for _, p := range s.out[lost : lost+n] {
		s.f.Acked = append(s.f.Acked, urcp.Acked{
			Seq: p.seq, Received: p.at + roundTrip/2 - time.Hour, Timed: true,
			Marked: s.markEvery > 0 && p.seq%s.markEvery == 0,
		})
		s.now = max(s.now, p.at+roundTrip)
		s.f.RTT = roundTrip
	}
	s.out = s.out[lost+n:]
	s.c.OnFeedback(s.now, &s.f)
}

// round acknowledges everything in flight in feedbacks of 8, as in one round trip,
// sends as it goes, and returns how many packets are in flight then.
func (s *script) round(roundTrip time.Duration) int {
	for n := len(s.out); n > 0; n -= 8 {
		s.ack(0, min(n, 8), roundTrip)
		s.fill()
	}
	return len(s.out)
}

func TestSentLog(t *testing.T) {
	t.Run("late", func(t *testing.T) {
		var fl sentLog
		for seq := range uint64(10) {
			fl.sent(time.Duration(seq), urcp.Packet{Seq: 3 * seq, Bytes: 100})
		}
		require.Equal(t, 1000, fl.bytes)
		_, ok := fl.lose(3)
		require.True(t, ok)
		_, ok = fl.lose(3)
		require.False(t, ok, "a packet is lost once")
		_, ok = fl.lose(4)
		require.False(t, ok, "a number that was left out is no packet")
		require.Equal(t, 900, fl.bytes)

		p, _, late := fl.acked(&urcp.Acked{Seq: 3})
		require.NotNil(t, p)
		require.True(t, late)
		require.Equal(t, 900, fl.bytes, "a lost packet no longer counts")
		p, _, _ = fl.acked(&urcp.Acked{Seq: 3})
		require.Nil(t, p, "a packet is acknowledged once")
		p, _, _ = fl.acked(&urcp.Acked{Seq: 300})
		require.Nil(t, p, "a packet that was never sent")
	})
	t.Run("round trips", func(t *testing.T) {
		// Three packets arrive 20, 25 and 30 ms after they were sent; the feedback
		// says 45 ms for the newest, so that the way back takes 15.
		var fl sentLog
		f := urcp.Feedback{RTT: 45 * time.Millisecond}
		for seq := range uint64(3) {
			at := time.Duration(seq) * time.Millisecond
			fl.sent(at, urcp.Packet{Seq: seq, Bytes: 100})
			f.Acked = append(f.Acked, urcp.Acked{Seq: seq, Timed: true,
				Received: at + 20*time.Millisecond + time.Duration(seq)*5*time.Millisecond - time.Hour})
		}
		fl.begin(&f)
		for i, want := range []time.Duration{35, 40, 45} {
			_, roundTrip, _ := fl.acked(&f.Acked[i])
			require.Equal(t, want*time.Millisecond, roundTrip)
		}
	})
	t.Run("bounded", func(t *testing.T) {
		var fl sentLog
		for seq := range uint64(maxSent + 1000) {
			fl.sent(0, urcp.Packet{Seq: seq, Bytes: 1})
		}
		require.Len(t, fl.ring, maxSent)
		require.Equal(t, maxSent, fl.bytes, "the oldest are forgotten")
	})
}

func TestExtreme(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, largest := range []bool{false, true} {
		e := extreme{largest: largest}
		var all []timedValue
		for at := int64(0); at < 50_000; at += 1 + rng.Int64N(20) {
			v := rng.Int64N(1000)
			all = append(all, timedValue{at, v})
			e.add(at, 1000, v)
			want := v
			for i := len(all) - 1; i >= 0 && all[i].at >= at-1000; i-- {
				if largest {
					want = max(want, all[i].value)
				} else {
					want = min(want, all[i].value)
				}
			}
			got, ok := e.value()
			require.True(t, ok)
			require.Equal(t, want, got, "at %d", at)
		}
	}

	// Values that rise for ever would be kept one and all.
	var e extreme
	for i := range int64(1_000_000) {
		e.add(i, 500_000, i)
	}
	require.LessOrEqual(t, len(e.buf), 2048)
}

// TestReferenceAllocations holds the references to none per packet, once their
// rings have grown to the window in use.
func TestReferenceAllocations(t *testing.T) {
	for name, c := range map[string]Controller{
		"reno": &Reno{MaxWindow: 50 * defaultMSS}, "cubic": &Cubic{MaxWindow: 50 * defaultMSS},
		"copa": &Copa{MaxWindow: 50 * defaultMSS}, "nada": &NADA{}, "bbr": &BBR{MaxWindow: 50 * defaultMSS},
	} {
		s := script{c: c, out: make([]scriptPacket, 0, 1<<16)}
		step := func() {
			s.fillUntil(s.now + 10*time.Millisecond)
			s.ack(0, min(8, len(s.out)), 40*time.Millisecond)
			if cap(s.out)-len(s.out) < 64 {
				s.out = append(make([]scriptPacket, 0, 1<<16), s.out...)
			}
		}
		for range 2000 {
			step()
		}
		require.Zero(t, testing.AllocsPerRun(1000, step), name)
	}
}

// path carries packets one by one until then, each with an acknowledgement after
// the round trip; every lossEvery-th is lost, none where that is zero.
func (s *script) path(until, roundTrip time.Duration, lossEvery uint64) {
	for {
		send, news := s.c.NextSend(s.now, defaultMSS), urcp.Never
		if len(s.out) > 0 {
			news = s.out[0].at + roundTrip
		}
		s.now = max(s.now, min(send, news, until))
		switch {
		case s.now == until:
			return
		case news <= s.now:
			if lossEvery > 0 && s.out[0].seq%lossEvery == 0 {
				s.ack(1, 0, roundTrip)
			} else {
				s.ack(0, 1, roundTrip)
			}
		default:
			s.c.OnSent(s.now, urcp.Packet{Seq: s.next, Bytes: defaultMSS})
			s.out = append(s.out, scriptPacket{s.next, s.now})
			s.next++
		}
	}
}
