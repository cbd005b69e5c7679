package scenario

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp/linksim"
)

// phased sends at a table of rates, whatever comes back.
type phased struct {
	linksim.CBR
	steps linksim.Steps
}

func (p *phased) NextSend(now time.Duration, bytes int) time.Duration {
	for _, st := range p.steps {
		if st.At <= now {
			p.Rate = st.Rate
		}
	}
	return p.CBR.NextSend(now, bytes)
}

func measured(t *testing.T, sc *linksim.Scenario) *Run {
	t.Helper()
	r, err := run(func(uint64, New) *linksim.Scenario { return sc }, 1, nil, nil)
	require.NoError(t, err)
	return r
}

func steady(rate int64) New {
	return func(time.Duration) linksim.Controller { return &linksim.CBR{Rate: rate} }
}

func TestShares(t *testing.T) {
	r := measured(t, &linksim.Scenario{
		Name: "shares", Duration: 10 * s, Links: []linksim.Link{pipe(10*mbit, 0, 100*ms)},
		Flows: []linksim.Flow{
			tested("flow 1", steady(1*mbit), 0), tested("flow 2", steady(3*mbit), 0), tcp("other", steady(4*mbit), 0),
		},
	})
	require.InDelta(t, 0.8, Utilisation(s, 0).Of(r), 0.002)
	require.InDelta(t, 0.4, Goodput(10*mbit, s, 0).Of(r), 0.002)
	require.InDelta(t, 0.5, Share(s, 0).Of(r), 0.002)
	require.InDelta(t, 0.8, Fairness(s, 0).Of(r), 0.002) // (1+3)²/(2(1+9))
	require.InDelta(t, 1, Fairness(s, 0, 1).Of(r), 0.002)
	require.InDelta(t, 0.5, Least(s, 0).Of(r), 0.002)
	require.InDelta(t, 1.5, Ratio(1, s, 0).Of(r), 0.002)
	require.Zero(t, Loss(0, 0).Of(r))
}

// The second flow sends at a tenth of its share for three seconds, and in full from
// then on; a window of a second is four fifths full 0.8 s later, at the latest in
// the next step of 0.1 s.
func TestArrival(t *testing.T) {
	second := func(now time.Duration) linksim.Controller {
		return &phased{steps: linksim.Steps{{At: 0, Rate: 500 * kbit}, {At: 8 * s, Rate: 5 * mbit}}}
	}
	sc := &linksim.Scenario{
		Name: "arrival", Duration: 15 * s, Links: []linksim.Link{pipe(10*mbit, 0, 100*ms)},
		Flows: []linksim.Flow{tested("flow 1", steady(5*mbit), 0), tested("flow 2", second, 0)},
	}
	sc.Flows[1].Start = 5 * s
	require.InDelta(t, 3.8, Arrival(10*mbit).Of(measured(t, sc)), 0.11)
	sc.Duration = 8 * s
	require.True(t, math.IsInf(Arrival(10*mbit).Of(measured(t, sc)), 1))
}

// At twice the rate for a second a queue of a second builds up, and at half of it it is
// gone two seconds later. Under 100 ms it is after 1.8 s, for packets that leave after 1.9.
func TestRecovery(t *testing.T) {
	way := func(now time.Duration) linksim.Controller {
		return &phased{steps: linksim.Steps{{At: 0, Rate: 5 * mbit}, {At: 5 * s, Rate: 20 * mbit}, {At: 6 * s, Rate: 5 * mbit}}}
	}
	r := measured(t, &linksim.Scenario{
		Name: "recovery", Duration: 15 * s, Links: []linksim.Link{pipe(10*mbit, 0, 2*s)},
		Flows: []linksim.Flow{tested("flow", way, 0)},
	})
	require.InDelta(t, 2.9, Recovery(5*s, 100*ms).Of(r), 0.01)
	require.True(t, math.IsInf(Recovery(14500*ms, 100*ms).Of(r), 1), "half a second is not one")
	require.InDelta(t, 1000, Queue("max", 0, 0).Of(r), 15)
	require.InDelta(t, 0, Full(5*s).Of(r), 0.01)
	require.InDelta(t, 1.6, Full(33*s/10).Of(r), 0.11) // full from 5 s on: 0.9 of a second from 4.9 s
}

func TestMessageDelay(t *testing.T) {
	sc := &linksim.Scenario{
		Name: "messages", Duration: 10 * s, Links: []linksim.Link{pipe(10*mbit, 40*ms, 2*s)},
		Flows: []linksim.Flow{tested("flow", steady(10*mbit), 0)},
	}
	// A frame of 12,500 bytes takes 9 ms to be sent, a millisecond for the last packet's service,
	// and 20 ms to propagate.
	sc.Flows[0].Source = linksim.Frames{FPS: 20, Rate: 2 * mbit}
	require.InDelta(t, 30, MessageDelay(0.95, s, 0).Of(measured(t, sc)), 0.01)
	sc.Links[0].Outages = []linksim.Outage{{From: 5 * s, To: 20 * s}}
	require.True(t, math.IsInf(MessageDelay(0.95, s, 0).Of(measured(t, sc)), 1))
}
