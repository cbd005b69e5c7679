package linksim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
)

// udp2Run sends 2 Mbit/s for so long through elements, there and back.
func udp2Run(t *testing.T, d time.Duration, there, back []Element, clock Clock) (*spy, *Result) {
	t.Helper()
	var c spy
	c.Rate = 2e6
	r := run(t, &Scenario{
		Name: "udp2", Duration: d, Seed: 3,
		Links: []Link{
			{Name: "there", Delay: 20 * ms, Elements: there},
			{Name: "back", Delay: 20 * ms, Elements: back},
		},
		Flows: []Flow{{
			Name: "flow", Path: []int{0}, Back: []int{1}, Stop: d - 3*time.Second, Receiver: clock,
			New:      func(time.Duration) Controller { return &c },
			Feedback: Feedback{Kind: RDPUDP2},
		}},
	})
	return &c, r
}

// Every packet is acknowledged, and the times are right within their bounds: without
// loss a packet arrives 20 ms after it was sent.
func TestUDP2Times(t *testing.T) {
	c, r := udp2Run(t, 20*time.Second, nil, nil, Clock{})
	require.Len(t, c.acked, int(r.Flows[0].Sent))
	require.Empty(t, c.lost)
	timed := 0
	for i, a := range c.acked {
		require.EqualValues(t, udp2First+i, a.Seq)
		if !a.Timed {
			continue
		}
		timed++
		require.LessOrEqual(t, (a.Received - c.when[i] - 20*ms).Abs(), a.ErrBound)
		require.LessOrEqual(t, a.ErrBound, 2*ms)
	}
	require.Greater(t, timed, len(c.acked)*9/10)
	for _, rtt := range c.rtts {
		// Held-back time is told in whole milliseconds, cut off.
		require.InDelta(t, float64(40500*time.Microsecond), float64(rtt), float64(510*time.Microsecond))
	}
	// The datagrams are counted as they are: IP, UDP, a prefix, a header, and an Ack.
	f := r.Flows[0]
	require.Less(t, f.Feedbacks, f.Sent*6/10)
	require.GreaterOrEqual(t, f.FeedbackBytes, f.Feedbacks*(28+1+2+7))
	require.LessOrEqual(t, f.FeedbackBytes, f.Feedbacks*(28+1+2+7+15))
}

// What the sender believes of each packet is what became of it, in the end.
func TestUDP2Loss(t *testing.T) {
	c, r := udp2Run(t, 60*time.Second, []Element{Loss{P: .05}}, []Element{Loss{P: .2}}, Clock{})
	f := r.Flows[0]
	require.NotZero(t, f.Dropped)
	require.EqualValues(t, f.Dropped, f.Declared-f.Spurious)
	require.EqualValues(t, f.Sent, len(c.acked)+int(f.Dropped))
	require.NotZero(t, r.Link("back").Dropped.Element)
}

// Numbers wrap after 65,536 packets, and times after 67 seconds.
func TestUDP2Wraps(t *testing.T) {
	clock := Clock{Offset: time.Hour, PPM: 100}
	c, r := udp2Run(t, 400*time.Second, nil, nil, clock)
	require.Greater(t, r.Flows[0].Sent, int64(1<<16))
	require.Len(t, c.acked, int(r.Flows[0].Sent))
	// Nobody knows how often the peer's 24 bits had wrapped before.
	const span = (1 << 24) * 4 * time.Microsecond
	offset := (c.acked[0].Received - clock.read(c.when[0]+20*ms)).Round(span)
	for i, a := range c.acked {
		if a.Timed {
			want := clock.read(c.when[i]+20*ms) + offset
			require.LessOrEqual(t, (a.Received - want).Abs(), a.ErrBound)
		}
	}
}

// Copies of packets and of acknowledgements change nothing that the sender is told.
func TestUDP2Duplicates(t *testing.T) {
	c, r := udp2Run(t, 30*time.Second,
		[]Element{Duplicate{P: .1, After: ms}}, []Element{Duplicate{P: .3, After: 7 * ms}}, Clock{})
	require.Len(t, c.acked, int(r.Flows[0].Sent))
	require.NotZero(t, r.Flows[0].Duplicates)
	require.Empty(t, c.lost)
}

// A receiver's window that is full holds the sender, whatever its controller wants.
func TestUDP2Window(t *testing.T) {
	var c spy
	c.Rate = 1e9
	r := run(t, &Scenario{
		Name: "window", Duration: 2 * time.Second,
		Links: []Link{{Name: "link", Delay: 300 * ms}},
		Flows: []Flow{{
			Name: "flow", Path: []int{0}, New: func(time.Duration) Controller { return &c },
			Feedback: Feedback{Kind: RDPUDP2},
		}},
	})
	// 4095 packets until the first word of the receiver's, and 32,767 in each of the
	// three round trips that it can answer.
	require.LessOrEqual(t, r.Flows[0].Sent, int64(4095+3*32767))
	require.GreaterOrEqual(t, r.Flows[0].Sent, int64(4095+32767))
	require.Empty(t, c.lost)
}

// A real controller does about as well with the feedback of the protocol as with the
// ideal one.
func TestUDP2Controller(t *testing.T) {
	for _, kind := range []FeedbackKind{Ideal, RDPUDP2} {
		r := run(t, &Scenario{
			Name: "controller", Duration: 30 * time.Second,
			Links: []Link{{Name: "link", Rate: 10e6, Delay: 20 * ms, Queue: Queue{Bytes: Buffer(10e6, 40*ms)}}},
			Flows: []Flow{{
				Name: "flow", Path: []int{0}, Feedback: Feedback{Kind: kind},
				New: func(now time.Duration) Controller { return urcp.New(now, urcp.Config{MSS: 1250}) },
			}},
		})
		f, l := r.Flows[0], r.Links[0]
		require.Greater(t, l.Utilisation(5*time.Second, 30*time.Second), .95)
		require.Less(t, l.Queue(5*time.Second, 30*time.Second).P95, 20*ms)
		require.NotNil(t, f.Snapshot)
		require.Greater(t, f.InMode[urcp.Steady], 20*time.Second)
		require.Zero(t, f.Spurious)
	}
}
