package rdpudp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Acknowledgements of what was not sent, or of what is long settled, say nothing.
func TestE3_AcknowledgementsThatLie(t *testing.T) {
	s := sender{t: t}
	require.Nil(t, s.ack(0, 100, 0), "nothing was sent")
	s.send(0, 100)
	s.ack(40*ms, 149, 20*ms)
	for _, seq := range []uint16{200, 201, 5000, 0x8000, 0xffff, 99, 0} {
		require.Nil(t, s.ack(41*ms, seq, 20*ms))
		require.Nil(t, s.vector(41*ms, seq, 20*ms, 0xff))
	}
	require.Nil(t, s.vector(41*ms, 150, 20*ms, 0xbe, 0x02), "one of them was sent, another not")
	require.EqualValues(t, 1+14+1, s.o.Stats().Ignored)
	require.Equal(t, 50, s.o.InFlight())
	require.Zero(t, s.o.Stats().Lost)
	require.Nil(t, s.vector(41*ms, 150, 20*ms), "a vector of nothing")
	require.Nil(t, s.vector(41*ms, 150, 20*ms, 0x80, 0xc0), "runs of nothing")

	// A list that reaches to before the first packet.
	one := sender{t: t}
	one.send(0, 2)
	require.Len(t, one.ack(ms, 101, 0, make([]byte, 15)...).Acked, 2)

	// One that reaches to below zero.
	one = sender{t: t, o: Outstanding{First: 1}}
	one.send(0, 100)
	one.ack(ms, 100, 0)
	one.send(ms, 100)
	one.ack(2*ms, 200, 0)
	one.send(2*ms, 50)
	require.Nil(t, one.ack(3*ms, 2, 0, make([]byte, 15)...))
	require.Equal(t, 50, one.o.InFlight())
}

// What is said of packets that are long forgotten is not taken for newer ones in their
// place.
func TestE3_AcknowledgementsOfWhatIsForgotten(t *testing.T) {
	s := sender{t: t}
	for i := range 50 {
		s.send(time.Duration(i)*ms, 10)
		if i < 49 {
			s.ack(time.Duration(i)*ms, uint16(100+10*i+9), 0)
		}
	}
	require.Equal(t, 10, s.o.InFlight()) // 590 to 599; the ring has 344 to 599
	require.Len(t, s.o.ring, 256)
	require.Nil(t, s.ack(50*ms, 345, 0, make([]byte, 15)...))
	require.Nil(t, s.ack(50*ms, 340, 0))
	require.Nil(t, s.vector(50*ms, 334, 0, 0x7f))
	require.Equal(t, 10, s.o.InFlight())

	// So lately lost, and forgotten nevertheless: the peer says nothing of what was
	// before.
	s = sender{t: t}
	s.o.SetRTT(0, time.Hour)
	s.send(0, 20)
	require.NotEmpty(t, s.vector(0, 104, 0, 0x41, 0xc9).Lost)
	for i := range uint16(30) {
		s.send(0, 20)
		require.Len(t, s.vector(0, 120+20*i, 0, 0xd4).Acked, 20)
	}
	s.send(0, 10)
	require.Len(t, s.o.ring, 256)
	require.Equal(t, []uint64{720, 721, 722, 723, 724, 725, 726, 727, 728, 729}, numbers(s.ack(0, 729, 0)))
}

// Times of the peer that jump about are times, and nothing breaks by them.
func TestE3_TimesThatLie(t *testing.T) {
	s := sender{t: t}
	s.send(0, 6)
	require.True(t, s.ack(10*ms, 100, 10*time.Second).Acked[0].Timed)
	require.Equal(t, 5*time.Second+timeUnit/2, s.ack(20*ms, 101, 5*time.Second).Acked[0].Received)
	require.False(t, s.ack(30*ms, 102, 38*time.Second).Acked[0].Timed, "33 seconds ahead")
	require.True(t, s.ack(40*ms, 103, 38*time.Second+10*ms).Acked[0].Timed, "it was set")
}

// An hour of silence is longer than what travels of a time can tell.
func TestTimesAfterALongSilence(t *testing.T) {
	s := sender{t: t}
	s.send(0, 2)
	s.ack(40*ms, 100, 20*ms)
	a := s.ack(time.Hour, 101, time.Hour-20*ms).Acked[0]
	require.True(t, a.Timed)
	require.Equal(t, time.Hour-20*ms+timeUnit/2, a.Received)
}
