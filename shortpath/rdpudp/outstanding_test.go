package rdpudp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
)

// A sender drives an Outstanding by hand.
type sender struct {
	t testing.TB
	o Outstanding
}

// send sends n packets at once and returns the last.
func (s *sender) send(at time.Duration, n int) Packet {
	s.t.Helper()
	var p Packet
	for range n {
		p = Packet{}
		_, ok := s.o.Send(at, &p)
		require.True(s.t, ok)
	}
	return p
}

// ack is a cumulative acknowledgement whose packet came at the time received.
func (s *sender) ack(now time.Duration, seq uint16, received time.Duration, additions ...byte) *urcp.Feedback {
	return s.o.OnPacket(now, &Packet{Flags: FlagAck, LogWindow: 12, Ack: Ack{Seq: seq, Received: wireTime(received), Additions: additions}})
}

func (s *sender) vector(now time.Duration, base uint16, received time.Duration, elements ...byte) *urcp.Feedback {
	return s.o.OnPacket(now, &Packet{Flags: FlagAckVector, LogWindow: 12,
		AckVector: AckVector{Base: base, Timed: true, Received: wireTime(received), Elements: elements}})
}

func numbers(f *urcp.Feedback) (acked []uint64) {
	if f != nil {
		for _, a := range f.Acked {
			acked = append(acked, a.Seq)
		}
	}
	return acked
}

// The times of a list are cut off by its scale, one after the other.
func TestTimesOfAnAck(t *testing.T) {
	s := sender{t: t}
	s.send(0, 6)
	f := s.o.OnPacket(50*ms, &Packet{Flags: FlagAck, LogWindow: 12,
		Ack: Ack{Seq: 104, Received: 1000, GapMs: 3, Scale: 4, Additions: []byte{10, 0, 255}}})
	const us = time.Microsecond
	require.Equal(t, &urcp.Feedback{RTT: 47 * ms, Acked: []urcp.Acked{
		{Seq: 100},
		{Seq: 101, Timed: true, Received: 4002*us - 265*16*us - 24*us, ErrBound: 26 * us},
		{Seq: 102, Timed: true, Received: 4002*us - 10*16*us - 16*us, ErrBound: 18 * us},
		{Seq: 103, Timed: true, Received: 4002*us - 10*16*us - 8*us, ErrBound: 10 * us},
		{Seq: 104, Timed: true, Received: 4002 * us, ErrBound: 2 * us},
	}, Lost: []uint64{}}, &urcp.Feedback{RTT: f.RTT, Acked: f.Acked, Lost: append([]uint64{}, f.Lost...)})
	require.Equal(t, 1, s.o.InFlight())

	// A time that may be wrong by more than two milliseconds is none.
	s.send(60*ms, 2)
	f = s.o.OnPacket(100*ms, &Packet{Flags: FlagAck, LogWindow: 12,
		Ack: Ack{Seq: 107, Received: 20_000, Scale: 11, Additions: []byte{1, 1}}})
	require.Len(t, f.Acked, 3)
	require.Equal(t, []bool{false, true, true}, []bool{f.Acked[0].Timed, f.Acked[1].Timed, f.Acked[2].Timed})
}

// Acknowledgements can be lost. A later one says that packets came, and not when.
func TestAckOfMoreThanItLists(t *testing.T) {
	s := sender{t: t}
	s.send(0, 10)
	f := s.ack(40*ms, 109, 20*ms, 5)
	require.Len(t, f.Acked, 10)
	for i, a := range f.Acked {
		require.EqualValues(t, 100+i, a.Seq)
		require.Equal(t, i >= 8, a.Timed)
	}
	require.Nil(t, s.ack(41*ms, 109, 20*ms, 5), "nothing new")
}

// A gap of 255 milliseconds is one that is not known, and one that is longer than the
// packet's life a lie. Neither makes a round trip.
func TestRoundTripsThatAreNone(t *testing.T) {
	s := sender{t: t}
	s.send(0, 4)
	answer := func(seq uint16, gap uint8) *urcp.Feedback {
		return s.o.OnPacket(300*ms, &Packet{Flags: FlagAck, LogWindow: 12, Ack: Ack{Seq: seq, Received: 1, GapMs: gap}})
	}
	require.Zero(t, answer(100, 255).RTT)
	require.Zero(t, s.o.RTT())
	require.Equal(t, 50*ms, answer(101, 250).RTT)
	require.Equal(t, 50*ms, s.o.RTT())
	s.send(300*ms, 1)
	require.Zero(t, answer(104, 1).RTT)
	require.Equal(t, 50*ms, s.o.RTT())
}

// The third packet after one that is missing tells that it is lost, and everything
// before it with it.
func TestLossByLaterPackets(t *testing.T) {
	s := sender{t: t}
	s.send(0, 8)
	f := s.vector(40*ms, 100, 20*ms, 0x0c) // 102 and 103
	require.Equal(t, []uint64{102, 103}, numbers(f))
	require.Equal(t, []uint64{100}, f.Lost, "three after it came, and two after the next")
	require.True(t, f.Acked[1].Timed)
	require.False(t, f.Acked[0].Timed, "a vector has one time")
	f = s.vector(41*ms, 100, 20*ms, 0x5c) // and 104, 106
	require.Equal(t, []uint64{104, 106}, numbers(f))
	require.Equal(t, []uint64{101}, f.Lost)
	require.Equal(t, 3, s.o.InFlight(), "105, 106, 107")
	require.Equal(t, OutstandingStats{Sent: 8, Lost: 2}, s.o.Stats())
}

// Without three later packets, time tells: a little more than a round trip after the
// packet was sent, if a later one was acknowledged.
func TestLossByTime(t *testing.T) {
	s := sender{t: t}
	s.send(0, 1)
	s.ack(40*ms, 100, 20*ms)
	s.send(50*ms, 1)
	s.send(52*ms, 1)
	require.Empty(t, s.vector(92*ms, 101, 72*ms, 0x02).Lost)
	require.Equal(t, 96*ms, s.o.NextTimer())
	require.Nil(t, s.o.OnTimer(95*ms))
	require.Equal(t, []uint64{101}, s.o.OnTimer(96*ms).Lost)
	require.Equal(t, urcp.Never, s.o.NextTimer())
	require.Zero(t, s.o.Stats().Timeouts)
}

// As long as no round trip is known, time tells nothing of a packet that is overtaken.
func TestLossWithoutARoundTrip(t *testing.T) {
	s := sender{t: t}
	s.send(0, 3)
	f := s.o.OnPacket(400*ms, &Packet{Flags: FlagAckVector, LogWindow: 12, AckVector: AckVector{Base: 100, Elements: []byte{0x06}}})
	require.Equal(t, []uint64{101, 102}, numbers(f))
	require.Empty(t, f.Lost)
	require.Equal(t, time.Second, s.o.NextTimer())
}

// Without any news the retransmission timeout tells, each time after twice as long.
func TestLossByTimeout(t *testing.T) {
	s := sender{t: t}
	s.send(0, 2)
	s.send(10*ms, 1)
	require.Equal(t, time.Second+0, s.o.NextTimer(), "nothing is known of the path")
	require.Equal(t, []uint64{100, 101}, s.o.OnTimer(time.Second).Lost)
	require.Equal(t, 2*time.Second+10*ms, s.o.NextTimer())
	require.Equal(t, []uint64{102}, s.o.OnTimer(2*time.Second+10*ms).Lost)
	s.send(3*time.Second, 1)
	require.Equal(t, 7*time.Second, s.o.NextTimer())
	s.ack(3*time.Second+40*ms, 103, 0)
	s.send(4*time.Second, 1)
	// 300 ms at the least, and what the peer may hold its acknowledgement back.
	require.Equal(t, 4*time.Second+325*ms, s.o.NextTimer())
	require.EqualValues(t, 2, s.o.Stats().Timeouts)
	at := 5 * time.Second
	require.Equal(t, []uint64{104}, s.o.OnTimer(at).Lost)
	for range 100 {
		s.send(at, 1)
		require.Greater(t, s.o.NextTimer(), at)
		require.LessOrEqual(t, s.o.NextTimer(), at+16*time.Second)
		at = s.o.NextTimer()
		require.NotNil(t, s.o.OnTimer(at))
	}
}

// The first packets say with which number everything begins, and those after a loss
// what need not be waited for, until an acknowledgement shows that it was understood.
func TestLowerBoundIsToldUntilItIsUnderstood(t *testing.T) {
	s := sender{t: t}
	for range 3 {
		p := s.send(0, 1)
		require.True(t, p.Has(FlagAckOfAcks|FlagDelayAckInfo|FlagData))
		require.EqualValues(t, 100, p.AckOfAcks)
	}
	s.ack(40*ms, 101, 20*ms)
	p := s.send(50*ms, 4) // 103 to 106
	require.False(t, p.Has(FlagAckOfAcks))
	require.Equal(t, DelayAckInfo{2, 10}, p.DelayAckInfo, "now that the round trip is known")
	f := s.vector(90*ms, 102, 70*ms, 0x1e) // 103 to 106
	require.Equal(t, []uint64{102}, f.Lost)
	p = s.send(91*ms, 1) // 107
	require.EqualValues(t, 107, p.AckOfAcks)
	s.vector(92*ms, 102, 70*ms, 0x1e)
	p = s.send(93*ms, 1)
	require.True(t, p.Has(FlagAckOfAcks), "the peer still waits for 102")
	s.ack(130*ms, 107, 110*ms)
	p = s.send(131*ms, 1)
	require.False(t, p.Has(FlagAckOfAcks))
}

func TestVectorWithAHigherBaseUnderstandsToo(t *testing.T) {
	s := sender{t: t}
	s.send(0, 5)
	s.vector(40*ms, 100, 20*ms, 0x1e)
	require.True(t, s.o.settle)
	s.send(41*ms, 3)
	require.Equal(t, []uint64{105, 107}, numbers(s.vector(81*ms, 106, 61*ms, 0x02)))
	require.False(t, s.o.settle)
}

// A packet that was taken for lost may have been late. It is acknowledged after all,
// and packets may be late by as much from then on.
func TestLateAfterAll(t *testing.T) {
	s := sender{t: t}
	s.send(0, 10)
	require.Equal(t, []uint64{100, 101}, s.vector(40*ms, 100, 20*ms, 0x1c).Lost)
	// It came before the peer could know that it was given up.
	require.Equal(t, []uint64{100}, numbers(s.vector(45*ms, 100, 21*ms, 0x1d)))
	require.Equal(t, []uint64{101, 105}, numbers(s.ack(50*ms, 105, 25*ms)))
	require.EqualValues(t, 2, s.o.Stats().Late)

	f := s.vector(60*ms, 106, 30*ms, 0x08)
	require.Empty(t, f.Lost, "three later ones are no proof any more")
	s.send(100*ms, 10)
	f = s.vector(140*ms, 106, 130*ms, 0x78)
	require.NotEmpty(t, f.Lost)
	// Half a minute later they are again.
	s.ack(150*ms, 119, 135*ms)
	s.send(30*time.Second, 10)
	require.Equal(t, []uint64{120}, s.vector(30*time.Second+40*ms, 120, 0, 0x0e).Lost)
	// It is lost for good once the peer can know.
	s.send(30*time.Second+41*ms, 1)
	require.Empty(t, numbers(s.ack(30*time.Second+200*ms, 123, 0)))
}

// What was given up has arrived after all only where the peer could not know yet that it
// need not wait for it. What was taken for the round trip does not matter for that.
func TestGivenUpAndNotLate(t *testing.T) {
	const lostAt = 100 * ms
	for _, tt := range []struct {
		name   string
		rtt    time.Duration // as of the handshake
		answer func(s *sender) *urcp.Feedback
		want   []uint64
	}{
		{"named with the next on a shorter way", 100 * ms, func(s *sender) *urcp.Feedback {
			s.send(101*ms, 1) // 113
			return s.ack(121*ms, 113, 111*ms, make([]byte, 10)...)
		}, []uint64{104, 105, 106, 107, 108, 109, 110, 111, 112, 113}},
		{"below the base of a vector with later ones", 100 * ms, func(s *sender) *urcp.Feedback {
			s.send(101*ms, 2)
			return s.vector(121*ms, 113, 111*ms, 0x02)
		}, []uint64{104, 105, 106, 107, 108, 109, 110, 111, 112, 114}},
		{"below the base of one with earlier ones", 100 * ms, func(s *sender) *urcp.Feedback {
			s.send(101*ms, 2)
			return s.vector(121*ms, 111, 111*ms, 0x02)
		}, []uint64{100, 104, 105, 106, 107, 108, 109, 110, 112}},
		{"below the base of a vector that goes on", 100 * ms, func(s *sender) *urcp.Feedback {
			s.send(101*ms, 2)
			return s.o.OnPacket(121*ms, &Packet{Flags: FlagAckVector, LogWindow: 12, AckVector: AckVector{Base: 111, Elements: []byte{0x02}}})
		}, []uint64{104, 105, 106, 107, 108, 109, 110, 112}},
		{"named with earlier ones after a handshake that took long", time.Second, func(s *sender) *urcp.Feedback {
			s.send(101*ms, 2)
			return s.ack(201*ms, 105, 0)
		}, []uint64{104, 105}},
		{"named with one of just before", time.Second, func(s *sender) *urcp.Feedback {
			s.send(101*ms, 2)
			return s.ack(140*ms, 112, 0)
		}, []uint64{104, 105, 106, 107, 108, 109, 110, 111, 112}},
		{"named with earlier ones at once", 100 * ms, func(s *sender) *urcp.Feedback {
			s.send(101*ms, 2)
			return s.ack(121*ms, 105, 0)
		}, []uint64{100, 104, 105}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := sender{t: t}
			s.o.SetRTT(0, tt.rtt)
			s.send(0, 10)
			s.send(95*ms, 3)
			require.Equal(t, []uint64{100}, s.vector(lostAt, 100, 50*ms, 0x0e).Lost)
			require.Equal(t, tt.want, numbers(tt.answer(&s)))
		})
	}
}

// Two losses within a round trip, and both were none.
func TestLateTwice(t *testing.T) {
	s := sender{t: t}
	s.o.SetRTT(0, 40*ms)
	s.send(0, 10)
	require.Equal(t, []uint64{100}, s.vector(40*ms, 100, 20*ms, 0x0a).Lost)
	require.Equal(t, []uint64{102}, s.vector(41*ms, 100, 20*ms, 0x3a).Lost)
	require.Equal(t, []uint64{100, 102}, numbers(s.ack(60*ms, 105, 20*ms)))
}

// An acknowledgement that was held back for nobody knows how long says nothing of what
// the peer could know.
func TestGivenUpAndHeldBack(t *testing.T) {
	for gap, want := range map[uint8][]uint64{0: {100, 101, 102}, 255: nil} {
		s := sender{t: t}
		s.o.SetRTT(0, time.Second)
		s.send(0, 10)
		require.Equal(t, []uint64{100, 101, 102}, s.vector(500*ms, 100, 250*ms, 0x38).Lost)
		s.send(501*ms, 1)
		f := s.o.OnPacket(700*ms, &Packet{Flags: FlagAck, LogWindow: 12, Ack: Ack{Seq: 105, GapMs: gap}})
		require.Equal(t, want, numbers(f))
	}
}

func TestReorderingHasBounds(t *testing.T) {
	var r reordering
	require.EqualValues(t, 3, r.distance(0))
	require.Equal(t, 46*ms, r.patience(0, 40*ms))
	r.seen(0, 1<<40, time.Hour, 40*ms)
	require.EqualValues(t, 4097, r.distance(0))
	require.Equal(t, 86*ms, r.patience(0, 40*ms))
	r.seen(15*time.Second, 10, 50*ms, 40*ms)
	require.EqualValues(t, 4097, r.distance(15*time.Second), "for ten seconds and up to ten more")
	require.EqualValues(t, 11, r.distance(25*time.Second))
	require.Equal(t, 56*ms, r.patience(25*time.Second, 40*ms))
	require.EqualValues(t, 3, r.distance(35*time.Second))
}

// A list with times says what came, however long ago it was given up.
func TestAllThatWasHeldBackArrivesAfterAll(t *testing.T) {
	s := sender{t: t}
	s.send(0, 8)
	require.Len(t, s.o.OnTimer(time.Second).Lost, 8)
	f := s.ack(3*time.Second, 107, 2*time.Second, 1, 1, 1, 1, 1, 1, 1)
	require.Len(t, f.Acked, 8)
	require.Equal(t, 3*time.Second, f.RTT)
	require.EqualValues(t, 8, s.o.Stats().Late)
}

// A vector that goes on where another ended says nothing of what is before it. One that
// stands for itself begins with the first that is missing.
func TestVectorsThatGoOn(t *testing.T) {
	s := sender{t: t}
	s.send(0, 30)
	part := func(base uint16, timed bool, elements ...byte) []uint64 {
		return numbers(s.o.OnPacket(10*ms, &Packet{Flags: FlagAckVector, LogWindow: 12,
			AckVector: AckVector{Base: base, Timed: timed, Elements: elements}}))
	}
	require.Equal(t, []uint64{110}, part(110, true, 0x01), "begins with one that came")
	require.Equal(t, []uint64{100, 101, 103}, part(102, false, 0x02), "all before the first that is missing")
	require.Equal(t, []uint64{112}, part(109, true, 0x08), "goes on where the last ended")
}

func TestPeersWindow(t *testing.T) {
	s := sender{t: t}
	require.Equal(t, 4095, s.o.Room())
	s.send(0, 10)
	s.o.OnPacket(0, &Packet{Flags: FlagAck, LogWindow: 3, Ack: Ack{Seq: 101}})
	require.Equal(t, 0, s.o.Room())
	p := Packet{}
	_, ok := s.o.Send(0, &p)
	require.False(t, ok)
	require.Equal(t, Packet{}, p)
	s.o.OnPacket(0, &Packet{Flags: FlagData, LogWindow: 15})
	require.Equal(t, 32767-8, s.o.Room())
	s.send(0, 32767-8)
	require.Equal(t, 0, s.o.Room())
	require.LessOrEqual(t, len(s.o.ring), maxRing)
	require.Len(t, s.ack(ms, uint16(102+32766), 0).Acked, 32767)
	require.Equal(t, 0, s.o.InFlight())
	s.o.OnPacket(0, &Packet{Flags: FlagData, LogWindow: 20})
	require.Equal(t, 32767, s.o.Room(), "more could not be told apart")
	// A window of no packet is one that would never open.
	s.o.OnPacket(0, &Packet{Flags: FlagData, LogWindow: 0})
	require.Equal(t, 1, s.o.Room())
}

func TestUnwrap(t *testing.T) {
	for _, tt := range []struct {
		ref  uint64
		low  uint16
		want uint64
	}{
		{100, 101, 101}, {0x1fff0, 5, 0x20005}, {0x20005, 0xfff0, 0x1fff0}, {0x18000, 0, 0x10000},
		{0x18001, 0, 0x20000}, {0x28002, 2, 0x20002}, {0x28002, 1, 0x30001}, {5, 0xfff0, 0xfff0},
	} {
		require.Equal(t, tt.want, unwrap(tt.ref, tt.low), "%#x near %#x", tt.low, tt.ref)
	}
}

func TestOutstandingTakesNoMemory(t *testing.T) {
	o, now := Outstanding{}, time.Duration(0)
	seq := uint16(100)
	additions := make([]byte, 7)
	step := func() {
		for range 100 {
			now += ms
			for range 8 {
				o.Send(now, &Packet{})
			}
			seq += 8
			if seq/8%10 == 0 {
				o.OnPacket(now+40*ms, &Packet{Flags: FlagAckVector, LogWindow: 12, AckVector: AckVector{Base: seq - 4, Timed: true, Elements: []byte{0x0e}}})
			} else {
				o.OnPacket(now+40*ms, &Packet{Flags: FlagAck, LogWindow: 12, Ack: Ack{Seq: seq - 1, Additions: additions}})
			}
		}
	}
	step()
	require.Zero(t, testing.AllocsPerRun(100, step))
	require.Positive(t, o.Stats().Lost)
}

// BenchmarkFeedback is an acknowledgement of eight packets, from the bytes to the
// feedback, and their sending.
func BenchmarkFeedback(b *testing.B) {
	var o Outstanding
	seq, now := uint16(99), time.Duration(0)
	buf, additions := make([]byte, 0, 100), make([]byte, 7)
	b.ReportAllocs()
	for b.Loop() {
		now += ms
		for range 8 {
			o.Send(now, &Packet{})
		}
		seq += 8
		p := Packet{Flags: FlagAck, LogWindow: 12, Ack: Ack{Seq: seq, Received: wireTime(now), Additions: additions}}
		buf = p.Append(buf[:0])
		if p.Parse(buf) != nil || o.OnPacket(now+20*ms, &p) == nil {
			b.Fatal("an acknowledgement is not understood")
		}
	}
}
