package rdpudp

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
)

// split cuts fuzzed bytes into datagrams, each after a byte for its length and one for
// the time that goes by before it, in units of ms.
func split(b []byte, each func(wait time.Duration, datagram []byte)) {
	for len(b) >= 2 {
		n := min(int(b[0]), len(b)-2)
		each(time.Duration(b[1])*ms, bytes.Clone(b[2:2+n]))
		b = b[2+n:]
	}
}

func join(datagrams ...[]byte) (b []byte) {
	for _, d := range datagrams {
		b = append(append(b, byte(len(d)), 5), d...)
	}
	return b
}

// Whatever a peer says, nothing is acknowledged that was not sent, nothing is
// acknowledged or lost twice, and nothing grows.
func FuzzOutstanding(f *testing.F) {
	packet := func(p Packet) []byte { return p.Append(nil) }
	f.Add(join(
		packet(Packet{Flags: FlagAck, LogWindow: 12, Ack: Ack{Seq: 101, Additions: []byte{1}}}),
		packet(Packet{Flags: FlagAckVector, LogWindow: 12, AckVector: AckVector{Base: 102, Timed: true, Elements: []byte{0x7e}}}),
		packet(Packet{Flags: FlagAckVector, LogWindow: 2, AckVector: AckVector{Base: 105, Elements: []byte{0x81, 0xc5, 0x44}}}),
		packet(Packet{Flags: FlagAck, LogWindow: 12, Ack: Ack{Seq: 120, Received: 0xffffff, Scale: 15, Additions: []byte{255, 255}}})))
	f.Fuzz(func(t *testing.T, b []byte) {
		var o Outstanding
		var now time.Duration
		acked, lost := map[uint64]bool{}, map[uint64]bool{}
		next := uint64(defaultFirst)
		check := func(fb *urcp.Feedback) {
			if fb == nil {
				return
			}
			require.GreaterOrEqual(t, fb.RTT, time.Duration(0))
			for _, a := range fb.Acked {
				require.False(t, acked[a.Seq])
				acked[a.Seq] = true
				require.True(t, a.Seq >= defaultFirst && a.Seq < next)
				require.LessOrEqual(t, a.ErrBound, maxErrBound*int64Bool(a.Timed)+time.Hour*int64Bool(!a.Timed))
			}
			for _, seq := range fb.Lost {
				require.False(t, acked[seq] || lost[seq])
				lost[seq] = true
				require.True(t, seq >= defaultFirst && seq < next)
			}
		}
		split(b, func(wait time.Duration, datagram []byte) {
			now += wait
			for range min(o.Room(), 9) {
				var p Packet
				seq, ok := o.Send(now, &p)
				require.True(t, ok)
				require.Equal(t, next, seq)
				next++
			}
			var p Packet
			if p.Parse(datagram) == nil {
				check(o.OnPacket(now, &p))
			}
			require.LessOrEqual(t, o.InFlight(), maxOutstanding)
			require.LessOrEqual(t, len(o.ring), maxRing)
			if at := o.NextTimer(); at <= now {
				check(o.OnTimer(now))
				require.Greater(t, o.NextTimer(), now)
			}
		})
	})
}

func int64Bool(b bool) time.Duration {
	if b {
		return 1
	}
	return 0
}

// Whatever comes, what is due is there, can be read, and says of no packet that it has
// arrived which has not.
func FuzzAcknowledger(f *testing.F) {
	packet := func(p Packet) []byte { return p.Append(nil) }
	f.Add(uint8(6), join(
		packet(Packet{Flags: FlagData | FlagAckOfAcks | FlagDelayAckInfo, DelayAckInfo: DelayAckInfo{1, 5}, AckOfAcks: 100, Seq: 101}),
		packet(Packet{Flags: FlagData, Seq: 104}), packet(Packet{Flags: FlagData, Seq: 163}),
		packet(Packet{Flags: FlagData | FlagAckOfAcks, AckOfAcks: 163, Seq: 165}), packet(Packet{Flags: FlagAckOfAcks, AckOfAcks: 166})))
	f.Fuzz(func(t *testing.T, window uint8, b []byte) {
		a := Acknowledger{LogWindow: window}
		var now time.Duration
		came := map[uint16]bool{}
		acks := 0
		split(b, func(wait time.Duration, datagram []byte) {
			now += wait
			var p Packet
			if p.Parse(datagram) != nil {
				return
			}
			if a.OnPacket(now, &p) && p.Has(FlagData) {
				came[p.Seq] = true
			}
			for n := 0; a.NextAck() <= now; n++ {
				require.Less(t, n, 40, "the largest window in the shortest vectors")
				var q, parsed Packet
				require.True(t, a.Fill(now, &q))
				acks++
				require.NoError(t, parsed.Parse(q.Append(nil)))
				if parsed.Has(FlagAck) {
					require.True(t, came[parsed.Ack.Seq])
					for i := range parsed.Ack.Additions {
						require.True(t, came[parsed.Ack.Seq-uint16(i)-1])
					}
					continue
				}
				seq := parsed.AckVector.Base
				for _, e := range parsed.AckVector.Elements {
					mask, n := element(e)
					for i := range n {
						require.True(t, mask>>i&1 == 0 || came[seq])
						seq++
					}
				}
			}
		})
		require.LessOrEqual(t, len(a.arrived.bits), 1<<maxLogWindow/64)
	})
}
