package linksim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
)

func TestReno(t *testing.T) {
	const rtt = 40 * time.Millisecond
	start := func() (*script, *Reno) {
		c := &Reno{}
		s := &script{c: c}
		require.Equal(t, 10, s.fill(), "the first window leaves at once")
		require.Equal(t, urcp.Never, c.NextSend(s.now, defaultMSS))
		return s, c
	}
	t.Run("slow start doubles", func(t *testing.T) {
		s, _ := start()
		require.Equal(t, 20, s.round(rtt))
		require.Equal(t, 40, s.round(rtt))
	})
	t.Run("half, then one more per round trip", func(t *testing.T) {
		s, _ := start()
		s.round(rtt)
		s.round(rtt)
		// The loss of one of 40; what is left of the window must be acknowledged
		// before the rest may go.
		s.ack(1, 1, rtt)
		require.Zero(t, s.fill())
		s.round(rtt)
		require.Equal(t, 20, len(s.out))
		require.Equal(t, 20, s.round(rtt), "the round of the loss adds nothing")
		require.Equal(t, 21, s.round(rtt))
		require.Equal(t, 22, s.round(rtt))
	})
	t.Run("one reduction in an episode", func(t *testing.T) {
		s, c := start()
		s.round(rtt)
		s.round(rtt)
		s.ack(1, 1, rtt)
		s.ack(1, 1, rtt)
		s.ack(3, 1, rtt)
		require.InDelta(t, 20*defaultMSS, c.cwnd, 1)
		s.round(rtt)
		s.fill()
		s.ack(1, 1, rtt)
		require.InDelta(t, 10*defaultMSS, c.cwnd, defaultMSS)
	})
	t.Run("everything lost", func(t *testing.T) {
		s, _ := start()
		s.round(rtt)
		s.ack(len(s.out), 0, rtt)
		require.Equal(t, 1, s.fill())
		require.Equal(t, 2, s.round(rtt))
		require.Equal(t, 4, s.round(rtt))
		require.Equal(t, 8, s.round(rtt))
		require.LessOrEqual(t, s.round(rtt), 11, "slow start ends at half of the 20")
	})
	t.Run("nothing more to send", func(t *testing.T) {
		c := &Reno{}
		for seq := range uint64(100) {
			now := time.Duration(seq) * rtt
			c.OnSent(now, urcp.Packet{Seq: seq, Bytes: defaultMSS, AppLimited: true})
			c.OnFeedback(now+rtt, &urcp.Feedback{Acked: []urcp.Acked{{Seq: seq}}, RTT: rtt})
		}
		require.LessOrEqual(t, c.cwnd, 10.0*defaultMSS, "a window that is not used does not grow")
	})
}
