package rdpudp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The peer is asked for some eight acknowledgements in a round trip.
func TestPeerIsAskedForDenseAcknowledgements(t *testing.T) {
	s := sender{t: t}
	require.Equal(t, DelayAckInfo{2, 25}, s.send(0, 1).DelayAckInfo)
	last := DelayAckInfo{}
	seq, now := uint16(100), time.Duration(0)
	for range 500 { // 40 packets in each round trip of 40 ms
		now += 5 * ms
		if p := s.send(now, 5); p.Has(FlagDelayAckInfo) {
			last = p.DelayAckInfo
		}
		if seq += 5; now > 40*ms {
			s.ack(now, seq-40, now-20*ms)
		}
	}
	require.EqualValues(t, 10, last.TimeoutMs)
	require.InDelta(t, 5, last.MaxDelayed, 1)
	p := s.send(now, 1)
	require.False(t, p.Has(FlagDelayAckInfo), "it knows")

	for range 500 { // 400 packets
		now += 5 * ms
		if p := s.send(now, 50); p.Has(FlagDelayAckInfo) {
			last = p.DelayAckInfo
		}
		seq += 50
		s.ack(now, seq-400, now-20*ms)
	}
	require.Equal(t, DelayAckInfo{7, 10}, last, "no more than eight at once")

	// A round trip that is a little longer changes nothing.
	for range 5000 {
		now += 5 * ms
		p := s.send(now, 50)
		require.False(t, p.Has(FlagDelayAckInfo))
		seq += 50
		s.ack(now+8*ms, seq-400, now-20*ms)
	}
}

// What it is asked for is repeated until a packet has arrived that said it.
func TestPeerIsAskedUntilItKnows(t *testing.T) {
	s := sender{t: t}
	s.send(0, 2)
	s.ack(40*ms, 100, 20*ms)
	p := s.send(41*ms, 1)
	require.Equal(t, DelayAckInfo{2, 10}, p.DelayAckInfo)
	s.ack(42*ms, 101, 20*ms)
	p = s.send(43*ms, 1)
	require.Equal(t, DelayAckInfo{2, 10}, p.DelayAckInfo, "101 did not say it")
	s.ack(81*ms, 102, 61*ms)
	p = s.send(82*ms, 1)
	require.False(t, p.Has(FlagDelayAckInfo))
}
