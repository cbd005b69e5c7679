package rdpudp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
)

const ms = time.Millisecond

// A receiver drives an Acknowledger by hand.
type receiver struct {
	t *testing.T
	a Acknowledger
}

func (r *receiver) data(at time.Duration, seq uint16) bool {
	return r.a.OnPacket(at, &Packet{Flags: FlagData, Seq: seq})
}

// settled is data of a sender that waits for nothing below low.
func (r *receiver) settled(at time.Duration, seq, low uint16) {
	r.t.Helper()
	require.True(r.t, r.a.OnPacket(at, &Packet{Flags: FlagData | FlagAckOfAcks, Seq: seq, AckOfAcks: low}))
}

// asks is data of a sender that says how to acknowledge.
func (r *receiver) asks(at time.Duration, seq uint16, info DelayAckInfo) {
	r.t.Helper()
	require.True(r.t, r.a.OnPacket(at, &Packet{Flags: FlagData | FlagDelayAckInfo, Seq: seq, DelayAckInfo: info}))
}

// ack returns the acknowledgement that is due.
func (r *receiver) ack(now time.Duration) Ack {
	r.t.Helper()
	require.LessOrEqual(r.t, r.a.NextAck(), now, "nothing is due")
	var p Packet
	require.True(r.t, r.a.Fill(now, &p))
	require.Equal(r.t, FlagAck, p.Flags)
	require.EqualValues(r.t, 12, p.LogWindow)
	p.Ack.Additions = append([]byte{}, p.Ack.Additions...)
	return p.Ack
}

func (r *receiver) vector(now time.Duration) AckVector {
	r.t.Helper()
	require.LessOrEqual(r.t, r.a.NextAck(), now, "nothing is due")
	var p Packet
	require.True(r.t, r.a.Fill(now, &p))
	require.Equal(r.t, FlagAckVector, p.Flags)
	p.AckVector.Elements = append([]byte{}, p.AckVector.Elements...)
	return p.AckVector
}

func (r *receiver) nothing() {
	r.t.Helper()
	require.Equal(r.t, urcp.Never, r.a.NextAck())
	require.False(r.t, r.a.Fill(time.Hour, &Packet{}))
}

// Three packets and the times of their arrival, as the specification has them.
func TestAckOfTheSpecification(t *testing.T) {
	r := receiver{t: t}
	r.data(0x12345578*time.Microsecond, 0x1355)
	r.data(0x12345789*time.Microsecond, 0x1356)
	r.data(0x12345830*time.Microsecond, 0x1357)
	var p Packet
	require.True(t, r.a.Fill(0x12346900*time.Microsecond, &p))
	require.Equal(t, Ack{Seq: 0x1357, Received: 0x8d160c, GapMs: 4, Scale: 2, Additions: []byte{0x29, 0x84}}, p.Ack)
}

func TestAcksWaitForAsManyAsThePeerAllows(t *testing.T) {
	r := receiver{t: t}
	r.a.SetRTT(60 * ms)
	r.nothing()
	for i := range 8 {
		r.data(time.Duration(i)*ms, uint16(100+i))
		require.Equal(t, 30*ms, r.a.NextAck(), "half a round trip after the first")
	}
	r.data(8*ms, 108)
	require.Equal(t, Ack{Seq: 108, Received: 2000, Scale: 2, Additions: []byte{250, 250, 250, 250, 250, 250, 250, 250}}, r.ack(8*ms))
	r.nothing()

	r.asks(40*ms, 109, DelayAckInfo{1, 5})
	require.Equal(t, 45*ms, r.a.NextAck())
	require.Equal(t, Ack{Seq: 109, Received: 10000, GapMs: 5, Additions: []byte{}}, r.ack(45*ms))
	r.data(50*ms, 110)
	r.data(50*ms+300*time.Microsecond, 111)
	require.Equal(t, Ack{Seq: 111, Received: 12575, Scale: 1, Additions: []byte{150}}, r.ack(51*ms))
	r.nothing()
}

// What a peer asks for is kept within what an acknowledgement can hold, and within
// what makes sense.
func TestE3_DelaysThatLie(t *testing.T) {
	r := receiver{t: t}
	r.asks(0, 100, DelayAckInfo{255, 65535})
	require.Equal(t, 500*ms, r.a.NextAck())
	for i := range 14 {
		r.data(time.Duration(i)*time.Microsecond, uint16(101+i))
		require.Equal(t, 500*ms, r.a.NextAck())
	}
	r.data(20*time.Microsecond, 115)
	require.Len(t, r.ack(20*time.Microsecond).Additions, 15)
	r.asks(ms, 116, DelayAckInfo{255, 0})
	require.Equal(t, 2*ms, r.a.NextAck())
	r.asks(2*ms, 117, DelayAckInfo{0, 100})
	require.Equal(t, 2*ms, r.a.NextAck(), "each at once")
}

// While a packet is missing each that comes is answered at once: after what has come
// in order, what came behind the gap.
func TestVectorsWhileOneIsMissing(t *testing.T) {
	r := receiver{t: t}
	r.data(0, 100)
	r.data(ms, 101)
	r.data(4*ms, 103)
	require.Equal(t, Ack{Seq: 101, Received: 250, GapMs: 3, Scale: 2, Additions: []byte{250}}, r.ack(4*ms))
	require.Equal(t, AckVector{Base: 102, Timed: true, Received: 1000, Elements: []byte{0x02}}, r.vector(4*ms))
	r.nothing()
	r.data(5*ms, 104)
	require.Equal(t, AckVector{Base: 102, Timed: true, Received: 1250, GapMs: 1, Elements: []byte{0x06}}, r.vector(6*ms))
	// It comes after all: what is left to tell is that nothing is missing.
	r.data(7*ms, 102)
	require.Equal(t, Ack{Seq: 104, Received: 1250, GapMs: 2, Scale: 2, Additions: []byte{250}}, r.ack(7*ms))
	r.nothing()
	r.data(8*ms, 105)
	require.Equal(t, 33*ms, r.a.NextAck(), "there is time again")
}

// The time of a vector is that of its highest packet, and how long it waited is that
// of the latest. Where these are two there is no saying how long it waited.
func TestVectorsWhoseLatestIsNotTheHighest(t *testing.T) {
	r := receiver{t: t}
	r.data(0, 100)
	r.ack(25 * ms)
	r.data(30*ms, 104)
	r.vector(30 * ms)
	r.data(40*ms, 103)
	require.Equal(t, AckVector{Base: 101, Timed: true, Received: 7500, GapMs: 255, Elements: []byte{0x0c}}, r.vector(40*ms))
}

func TestWhatTheSenderGivesUpIsNotWaitedFor(t *testing.T) {
	r := receiver{t: t}
	r.data(0, 100)
	r.ack(25 * ms)
	r.data(30*ms, 103) // 101 and 102 are missing
	r.vector(30 * ms)
	r.settled(40*ms, 105, 102) // 104 too
	require.Equal(t, AckVector{Base: 102, Timed: true, Received: 10000, Elements: []byte{0x0a}}, r.vector(40*ms))
	r.settled(50*ms, 106, 106)
	require.Equal(t, Ack{Seq: 106, Received: 12500, Scale: 6, Additions: []byte{156}}, r.ack(50*ms))
	r.nothing()
	// A packet that was given up may come. Its data counts, its number does not.
	require.True(t, r.data(60*ms, 101))
	r.nothing()
}

// The first packet is one of those after the number that the sender says it begins with.
func TestFirstPacketsOutOfOrder(t *testing.T) {
	r := receiver{t: t}
	r.settled(0, 102, 100)
	require.Equal(t, AckVector{Base: 100, Timed: true, Elements: []byte{0x04}}, r.vector(0))
	r.settled(ms, 100, 100)
	r.settled(2*ms, 101, 100)
	require.EqualValues(t, 100, r.ack(2*ms).Seq-2)
}

// Also a window whose every second packet is missing is told whole, in several
// vectors of which the last has the time, and not once for each packet.
func TestE3_VectorsOfManyGaps(t *testing.T) {
	r := receiver{t: t}
	acks := 0
	for i := range 2047 {
		now := time.Duration(i) * 100 * time.Microsecond
		require.True(t, r.data(now, uint16(1000+2*i)))
		told := map[uint16]bool{}
		for r.a.NextAck() <= now {
			var p Packet
			require.True(t, r.a.Fill(now, &p))
			acks++
			var q Packet
			require.NoError(t, q.Parse(p.Append(nil)))
			require.LessOrEqual(t, p.Len(), 140)
			if q.Has(FlagAck) {
				continue
			}
			seq := q.AckVector.Base
			first, _ := element(q.AckVector.Elements[0])
			require.Equal(t, seq != 1001, first&1 != 0, "only the first vector begins with one that is missing")
			for _, e := range q.AckVector.Elements {
				mask, n := element(e)
				for b := range n {
					told[seq] = told[seq] || mask>>b&1 != 0
					seq++
				}
			}
			if r.a.NextAck() > now {
				require.True(t, q.AckVector.Timed)
				for j := 1; j <= i; j++ {
					require.True(t, told[uint16(1000+2*j)], "%d of %d", j, i)
					require.False(t, told[uint16(1000+2*j-1)], "%d of %d", j, i)
				}
			} else {
				require.False(t, q.AckVector.Timed)
			}
		}
	}
	require.Less(t, acks, 2047+10)
	require.False(t, r.data(time.Hour, 1000+4096+1), "beyond the window")
	require.True(t, r.data(time.Hour, 1000+4096))

	// One that is half told begins anew where its sender gives up more than that.
	require.EqualValues(t, 1001, r.vector(time.Hour).Base)
	r.settled(time.Hour, 1000+4095, 4005)
	require.EqualValues(t, 4005, r.vector(time.Hour).Base)
	// And after the end of all gaps the next one is told of at once.
	r.settled(time.Hour, 5097, 5097)
	r.ack(time.Hour)
	r.data(time.Hour, 5099)
	require.EqualValues(t, 5098, r.vector(time.Hour).Base)
}

// What stands in a vector beyond the highest packet is nothing, also where the window
// is so full that it begins anew there.
func TestVectorOfAFullWindow(t *testing.T) {
	r := receiver{t: t}
	r.a.LogWindow = 6
	r.data(0, 100)
	for _, seq := range []uint16{102, 103, 104, 160, 162} {
		r.data(ms, seq)
	}
	var p Packet
	for !p.Has(FlagAckVector) {
		p = Packet{}
		require.True(t, r.a.Fill(ms, &p))
	}
	require.EqualValues(t, 6, p.LogWindow)
	var told []uint16
	seq := p.AckVector.Base
	for _, e := range p.AckVector.Elements {
		mask, n := element(e)
		for i := range n {
			if mask>>i&1 != 0 {
				told = append(told, seq+uint16(i))
			}
		}
		seq += uint16(n)
	}
	require.Equal(t, []uint16{102, 103, 104, 160, 162}, told)
}

// Nothing is left of packets that the window has passed.
func TestWindowIsUsedAgain(t *testing.T) {
	r := receiver{t: t}
	drain := func(now time.Duration) {
		for r.a.NextAck() <= now {
			require.True(t, r.a.Fill(now, &Packet{}))
		}
	}
	r.data(0, 100)
	for seq := uint16(102); seq <= 500; seq += 2 {
		r.data(0, seq)
	}
	r.settled(0, 501, 490)
	r.settled(0, 502, 502)
	drain(0)
	for seq := uint16(503); seq < 4096+104; seq++ {
		r.data(0, seq)
	}
	drain(time.Second)
	r.data(time.Second, 4096+400)
	require.Equal(t, AckVector{Base: 4096 + 104, Timed: true, Received: 250_000, Elements: []byte{0x80 | 63, 0x80 | 63, 0x80 | 63, 0x80 | 63, 0x80 | 44, 0xc1}}, r.vector(time.Second))
}

func TestAcksThatComeLate(t *testing.T) {
	r := receiver{t: t}
	r.data(0, 100)
	r.data(10*time.Second, 101)
	require.Equal(t, Ack{Seq: 101, Received: 2_500_000, GapMs: 255, Additions: []byte{}}, r.ack(10*time.Second+300*ms), "no scale has room for ten seconds")
}

// No window is larger than what the header can tell.
func TestLargestWindow(t *testing.T) {
	a := Acknowledger{LogWindow: 200}
	var p Packet
	a.Fill(0, &p)
	require.EqualValues(t, 15, p.LogWindow)
}

// A clock may begin before its epoch.
func TestWireTime(t *testing.T) {
	for _, tt := range []struct {
		at   time.Duration
		want uint32
	}{
		{0, 0}, {3999, 0}, {4000, 1}, {1<<24*4*time.Microsecond - 1, 1<<24 - 1}, {1 << 24 * 4 * time.Microsecond, 0},
		{-1, 1<<24 - 1}, {-4000, 1<<24 - 1}, {-4001, 1<<24 - 2},
	} {
		require.Equal(t, tt.want, wireTime(tt.at), tt.at)
	}
}

// Numbers far from what came before are old, or beyond the window. Neither moves it.
func TestE3_NumbersThatLie(t *testing.T) {
	r := receiver{t: t}
	r.data(0, 100)
	r.ack(25 * ms)
	require.False(t, r.data(26*ms, 100+4097))
	require.False(t, r.data(26*ms, 100+0x7fff))
	require.True(t, r.data(26*ms, 0xfff0))
	require.True(t, r.data(26*ms, 100))
	r.nothing()
	for _, low := range []uint16{100, 99, 103, 5000, 0x8000, 0xffff} {
		r.settled(27*ms, 100, low)
		r.nothing()
	}
	// It goes on as if nothing had come.
	r.data(30*ms, 101)
	require.EqualValues(t, 101, r.ack(60*ms).Seq)
}

// The first packet decides where the window begins, unless it says what cannot be.
func TestE3_FirstPacketsThatLie(t *testing.T) {
	for _, low := range []uint16{101, 0x7000, 0x9000, 200} {
		r := receiver{t: t}
		r.settled(0, 100, low)
		require.EqualValues(t, 100, r.ack(25*ms).Seq)
		r.nothing()
	}
}

// A sender whose packets are lost by the thousand goes on far beyond the window, and
// says so.
func TestWindowFollowsItsSender(t *testing.T) {
	r := receiver{t: t}
	r.data(0, 100)
	r.ack(25 * ms)
	r.data(26*ms, 102)
	r.vector(26 * ms)
	r.settled(30*ms, 20_000, 19_999)
	require.EqualValues(t, 19_999, r.vector(30*ms).Base)
	r.settled(31*ms, 20_001, 20_000)
	require.EqualValues(t, 20_001, r.ack(31*ms).Seq)
	for i := range uint16(5000) { // nothing of what was there before is left
		r.data(31*ms, 20_002+i)
		require.True(t, r.a.NextAck() != urcp.Never)
		r.a.Fill(31*ms, &Packet{})
		require.False(t, r.a.arrived.missing())
	}
}

func TestAcknowledgerTakesNoMemory(t *testing.T) {
	var a Acknowledger
	seq, now := uint16(100), time.Duration(0)
	b := make([]byte, 0, MaxDatagram)
	step := func() {
		for range 100 {
			seq++
			if now += 100 * time.Microsecond; seq%9 == 0 {
				continue
			}
			a.OnPacket(now, &Packet{Flags: FlagData | FlagAckOfAcks, Seq: seq, AckOfAcks: seq - 20})
			for a.NextAck() <= now {
				var p Packet
				a.Fill(now, &p)
				b = p.Append(b[:0])
			}
		}
	}
	step()
	require.Zero(t, testing.AllocsPerRun(100, step))
}

// The time of the first packet that was missing is not kept when many later ones came
// before it. A vector tells of it.
func TestTimesThatAreForgotten(t *testing.T) {
	r := receiver{t: t}
	r.settled(0, 1064, 1000)
	require.EqualValues(t, 1000, r.vector(0).Base)
	r.data(ms, 1000)
	require.Equal(t, AckVector{Base: 1001, Timed: true, GapMs: 255, Elements: []byte{0x80 | 63, 0xc1}}, r.vector(ms))
	r.nothing()
}
