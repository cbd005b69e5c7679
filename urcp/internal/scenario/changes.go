package scenario

import (
	"time"

	"github.com/reachback/reachback/urcp/linksim"
)

// changes are links that are not the same all the time.
func changes() []Scenario {
	stepped := func(rtt, buffer time.Duration, deepest int64, steps ...linksim.Step) linksim.Link {
		return linksim.Link{
			Name: "bottleneck", Service: linksim.Steps(steps), Delay: rtt / 2,
			Queue: linksim.Queue{Bytes: linksim.Buffer(deepest, buffer)},
		}
	}
	routed := func(before, after time.Duration) linksim.Link {
		l := pipe(10*mbit, 2*before, 200*ms)
		l.Routes = []linksim.Route{{At: 20 * s, Delay: after}}
		return l
	}
	idle := func(seed uint64, new New) *linksim.Scenario {
		sc := single(70*s, pipe(10*mbit, 40*ms, 200*ms))(seed, new)
		sc.Flows[0].Pauses = []linksim.Interval{{From: 20 * s, To: 50 * s}}
		return sc
	}
	return []Scenario{{
		Name: "changes/2.5M to 0.6M",
		Shows: "A sudden loss of three quarters of the capacity: what is on its way must queue, (C1/C2-1) " +
			"times the time to react, 320 ms for 100 ms; then the queue must go.",
		Peak: 25 * mbit / 10,
		Make: single(60*s, stepped(100*ms, s, 1*mbit, linksim.Step{Rate: 25 * mbit / 10}, linksim.Step{At: 30 * s, Rate: 600 * kbit})),
		Bounds: []Bound{
			Queue("max", 30*s, 35*s).AtMost(1.3 * 320),
			Recovery(30*s, 60*ms).AtMost(1.5),
			Utilisation(30*s, 0).AtLeast(0.95),
		},
	}, {
		Name:  "changes/capacity times four",
		Shows: "New capacity is found within seconds.",
		Peak:  20 * mbit,
		Make:  single(60*s, stepped(40*ms, 200*ms, 5*mbit, linksim.Step{Rate: 5 * mbit}, linksim.Step{At: 20 * s, Rate: 20 * mbit})),
		Bounds: []Bound{
			Full(20 * s).AtMost(2),
			Utilisation(25*s, 0).AtLeast(0.97),
			Queue("p95", 0, 0).AtMost(15),
		},
	}, {
		Name:  "changes/capacity by four",
		Shows: "The queue that a loss of capacity makes goes within seconds.",
		Peak:  20 * mbit,
		Make:  single(60*s, stepped(40*ms, 200*ms, 20*mbit, linksim.Step{Rate: 20 * mbit}, linksim.Step{At: 20 * s, Rate: 5 * mbit})),
		Bounds: []Bound{
			Recovery(20*s, 20*ms).AtMost(1),
			Queue("max", 20*s, 25*s).AtMost(200),
			Utilisation(20*s, 0).AtLeast(0.95),
			Queue("p95", 25*s, 0).AtMost(20),
		},
	}, {
		Name:  "changes/capacity that swings",
		Shows: "Between 5 and 15 Mbit/s and back in ten seconds, all the time.",
		Peak:  15 * mbit,
		Make: single(60*s, linksim.Link{
			Name: "bottleneck", Service: linksim.Sine{Mean: 10 * mbit, Amplitude: 5 * mbit, Period: 10 * s}, Delay: 20 * ms,
			Queue: linksim.Queue{Bytes: linksim.Buffer(10*mbit, 200*ms)},
		}),
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.95),
			Queue("p95", 0, 0).AtMost(25).InShort(),
			Loss(0, 0).AtMost(0),
		},
	}, {
		Name:  "changes/route 30 ms longer",
		Shows: "A longer way looks like a queue that will not go, and must not cost the rate for long.",
		Peak:  10 * mbit,
		Make:  single(60*s, routed(20*ms, 50*ms)),
		Bounds: []Bound{
			Full(21 * s).AtMost(10),
			Utilisation(35*s, 0).AtLeast(0.97),
			Queue("p95", 0, 0).AtMost(20),
		},
	}, {
		Name:  "changes/route 30 ms shorter",
		Shows: "A shorter way brings a new base delay at once, and packets out of order once.",
		Peak:  10 * mbit,
		Make:  single(60*s, routed(50*ms, 20*ms)),
		Bounds: []Bound{
			Full(21 * s).AtMost(2),
			Utilisation(25*s, 0).AtLeast(0.97),
			Queue("p95", 0, 0).AtMost(15),
		},
	}, {
		Name:  "changes/30 s idle, then a burst",
		Shows: "After a pause the first window goes out over a round trip, at a rate that is still believed.",
		Peak:  10 * mbit,
		Make:  idle,
		Bounds: []Bound{
			Full(50 * s).AtMost(1),
			Queue("max", 50*s, 55*s).AtMost(60),
			Loss(50*s, 0).AtMost(0),
			Utilisation(52*s, 0).AtLeast(0.97),
		},
	}, {
		Name:  "changes/outage of 500 ms",
		Shows: "A handover: nothing for half a second, and what waited is forwarded.",
		Peak:  10 * mbit,
		Make: single(60*s, func() linksim.Link {
			l := pipe(10*mbit, 40*ms, s)
			l.Outages = []linksim.Outage{{From: 20 * s, To: 20*s + 500*ms}, {From: 40 * s, To: 40*s + 500*ms, Flush: true}}
			return l
		}()),
		Bounds: []Bound{
			Full(20*s + 500*ms).AtMost(3),
			Full(40*s + 500*ms).AtMost(3),
			Utilisation(0, 0).AtLeast(0.93),
			Queue("p95", 0, 0).AtMost(20),
		},
	}}
}
