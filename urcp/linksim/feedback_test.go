package linksim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
)

// spy keeps what its controller is told.
type spy struct {
	CBR
	acked []urcp.Acked
	lost  []uint64
	rtts  []time.Duration
	at    []time.Duration
	sizes []int
	sent  []urcp.Packet
	when  []time.Duration
}

func (s *spy) OnSent(now time.Duration, p urcp.Packet) {
	s.sent = append(s.sent, p)
	s.when = append(s.when, now)
	s.CBR.OnSent(now, p)
}

func (s *spy) OnFeedback(now time.Duration, f *urcp.Feedback) {
	s.acked = append(s.acked, f.Acked...)
	s.lost = append(s.lost, f.Lost...)
	s.rtts = append(s.rtts, f.RTT)
	s.at = append(s.at, now)
	s.sizes = append(s.sizes, len(f.Acked))
}

// At 10 Mbit/s a packet comes every millisecond: the eighth fills an
// acknowledgement, which says of the newest packet that it took 1 ms to serve and 40
// there and back.
func TestAckOfEight(t *testing.T) {
	var c spy
	c.Rate = 10e6
	run(t, &Scenario{
		Name: "eight", Duration: 100 * ms,
		Links: []Link{{Name: "link", Rate: 10e6, Delay: 20 * ms}},
		Flows: []Flow{{Name: "flow", Path: []int{0}, New: func(time.Duration) Controller { return &c }}},
	})
	require.Equal(t, 28*ms, c.acked[7].Received)
	require.Equal(t, 48*ms, c.at[0])
	require.Equal(t, 8, c.sizes[0])
	require.Equal(t, 41*ms, c.rtts[0])
	for i, a := range c.acked {
		require.EqualValues(t, i, a.Seq)
		require.True(t, a.Timed)
		require.Equal(t, time.Duration(21+i)*ms, a.Received)
	}
	require.Empty(t, c.lost)
}

// At a packet every 8 ms the quarter of the round trip of 40 ms comes first: the
// acknowledgement leaves 10 ms after the first packet that it holds. The time for
// which the newest was held back is not in the round trip.
func TestAckAfterDelay(t *testing.T) {
	var c spy
	c.Rate = 1250e3
	run(t, &Scenario{
		Name: "delay", Duration: 200 * ms,
		Links: []Link{{Name: "link", Rate: 10e6, Delay: 20 * ms}},
		Flows: []Flow{{Name: "flow", Path: []int{0}, New: func(time.Duration) Controller { return &c }}},
	})
	require.Equal(t, 21*ms+10*ms+20*ms, c.at[0])
	require.Equal(t, 2, c.sizes[0])
	require.Equal(t, 41*ms, c.rtts[0])
	require.Equal(t, 37*ms+10*ms+20*ms, c.at[1])
}

// A packet is lost when three later ones have arrived, or when nothing is heard of it
// for the timeout.
func TestLossDetection(t *testing.T) {
	var c spy
	c.Rate = 10e6
	r := run(t, &Scenario{
		Name: "loss", Duration: 2 * time.Second,
		// The bucket lets ten packets by, and then one of a thousand.
		Links: []Link{{Name: "link", Policer: &Policer{Rate: 10e3, Bytes: 12500}, Delay: 20 * ms}},
		Flows: []Flow{{Name: "flow", Path: []int{0}, New: func(time.Duration) Controller { return &c }}},
	})
	f := r.Flow("flow")
	require.NotZero(t, f.Dropped)
	require.Zero(t, f.Spurious)
	require.EqualValues(t, 10, c.lost[0])
	for i := 1; i < len(c.lost); i++ {
		require.Equal(t, c.lost[i-1]+1, c.lost[i]-gap(c.acked, c.lost[i-1], c.lost[i]))
	}

	// A lone gap: the fifth of a burst is dropped by nothing but a link that skips it.
	var d spy
	d.Rate = 10e6
	r = run(t, &Scenario{
		Name: "reorder", Duration: 300 * ms,
		Links: []Link{{Name: "link", Delay: 20 * ms, Elements: []Element{Reorder{P: .1, By: 2 * ms}}}},
		Flows: []Flow{{Name: "flow", Path: []int{0}, New: func(time.Duration) Controller { return &d }}},
	})
	// Two milliseconds are two packets: not enough to be taken for a loss.
	require.Empty(t, d.lost)
	require.Zero(t, r.Flow("flow").Declared)
	require.NotEqual(t, d.acked[len(d.acked)-1].Seq+1, uint64(0))
	require.True(t, outOfOrder(d.acked))
}

// gap counts the numbers acknowledged between two.
func gap(acked []urcp.Acked, from, to uint64) uint64 {
	n := uint64(0)
	for _, a := range acked {
		if a.Seq > from && a.Seq < to {
			n++
		}
	}
	return n
}

func outOfOrder(acked []urcp.Acked) bool {
	for i := 1; i < len(acked); i++ {
		if acked[i].Seq < acked[i-1].Seq {
			return true
		}
	}
	return false
}

// A packet that comes after it was given up is acknowledged all the same, and counted
// as a spurious loss.
func TestSpuriousLoss(t *testing.T) {
	var c spy
	c.Rate = 10e6
	r := run(t, &Scenario{
		Name: "spurious", Duration: time.Second,
		Links: []Link{{Name: "link", Delay: 20 * ms, Elements: []Element{Reorder{P: .02, By: 15 * ms}}}},
		Flows: []Flow{{Name: "flow", Path: []int{0}, New: func(time.Duration) Controller { return &c }, Stop: 500 * ms}},
	})
	f := r.Flow("flow")
	require.NotEmpty(t, c.lost)
	require.EqualValues(t, len(c.lost), f.Spurious)
	require.EqualValues(t, f.Sent, len(c.acked))
	require.Zero(t, f.Dropped)
}

// An ideal acknowledgement repeats what lost ones said.
func TestIdealSurvivesAckLoss(t *testing.T) {
	var c spy
	c.Rate = 10e6
	r := run(t, &Scenario{
		Name: "ackloss", Duration: 2 * time.Second,
		Links: []Link{
			{Name: "there", Delay: 20 * ms},
			{Name: "back", Delay: 20 * ms, Elements: []Element{Loss{P: .3}}},
		},
		Flows: []Flow{{
			Name: "flow", Path: []int{0}, Back: []int{1}, Stop: time.Second,
			New: func(time.Duration) Controller { return &c },
		}},
	})
	f := r.Flow("flow")
	require.Equal(t, 40*ms, f.BaseRTT)
	require.NotZero(t, r.Link("back").Dropped.Element)
	require.Zero(t, f.Dropped)
	require.Zero(t, f.Declared)
	require.Greater(t, len(c.acked), 990)
}

// Greedy flows are never application-limited; a source that makes one packet at a
// time always is, and one held back by its controller is not.
func TestAppLimited(t *testing.T) {
	for name, tc := range map[string]struct {
		source  Source
		rate    int64
		limited bool
	}{
		"greedy": {nil, 1e6, false},
		"frames": {Frames{Rate: 1e5}, 1e6, true},
		"held":   {Frames{Rate: 1e6}, 1e5, false},
	} {
		t.Run(name, func(t *testing.T) {
			var c spy
			c.Rate = tc.rate
			r := run(t, &Scenario{
				Name: "limited", Duration: time.Second,
				Flows: []Flow{{
					Name: "flow", Delay: ms, Source: tc.source,
					New: func(time.Duration) Controller { return &c },
				}},
			})
			for _, p := range c.sent[len(c.sent)/2:] {
				require.Equal(t, tc.limited, p.AppLimited)
			}
			require.Equal(t, tc.limited, r.Flows[0].AppLimited > r.Flows[0].Sent/2)
		})
	}
}

// A sender whose clock ticks wakes at ticks only.
func TestSenderTicks(t *testing.T) {
	var c spy
	c.Rate = 1e6
	run(t, &Scenario{
		Name: "ticks", Duration: time.Second,
		Flows: []Flow{{
			Name: "flow", Delay: ms, Sender: Clock{Granularity: 15 * ms},
			New: func(time.Duration) Controller { return &c },
		}},
	})
	require.NotEmpty(t, c.when)
	for _, at := range c.when {
		require.Zero(t, at%(15*ms))
	}
}
