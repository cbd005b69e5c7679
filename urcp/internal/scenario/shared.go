package scenario

import (
	"fmt"
	"time"

	"github.com/reachback/reachback/urcp/linksim"
)

// shared are several flows of the same controller on one link.
func shared() []Scenario {
	var all []Scenario
	for _, x := range []struct {
		flows    int
		rate     int64
		every    time.Duration
		duration time.Duration
	}{{2, 10 * mbit, 10 * s, 60 * s}, {4, 20 * mbit, 8 * s, 80 * s}, {10, 50 * mbit, 8 * s, 160 * s}} {
		all = append(all, Scenario{
			Name:   fmt.Sprintf("shared/%d flows", x.flows),
			Shows:  "Equal flows that come one after the other.",
			Seeded: true,
			Peak:   x.rate,
			Make: several(x.duration, func(seed uint64, new New) []linksim.Flow {
				return flows(x.flows, new, apart(seed, x.every, s), 0)
			}, pipe(x.rate, 40*ms, 200*ms)),
			Bounds: []Bound{
				Fairness(x.duration/2, 0).AtLeast(0.98),
				Arrival(float64(x.rate)).AtMost(5),
				Queue("p95", 0, 0).AtMost(15).InShort(),
				Utilisation(0, 0).AtLeast(0.97),
				Competitions().AtMost(0).InShort(),
			},
		})
	}
	all = append(all, Scenario{
		Name: "shared/latecomer",
		Shows: "A flow that comes when eight others keep a queue, so that it never saw the link " +
			"without one, must not take more than its share for it.",
		Seeded: true,
		Peak:   10 * mbit,
		Make: several(90*s, func(seed uint64, new New) []linksim.Flow {
			all := flows(9, new, within(seed, 500*ms), 0)
			all[8].Start = 30*s + spread(seed, 8, s)
			return all
		}, pipe(10*mbit, 40*ms, 300*ms)),
		Bounds: []Bound{
			Fairness(50*s, 0).AtLeast(0.95),
			Ratio(8, 50*s, 0).AtMost(1.5),
			Ratio(8, 50*s, 0).AtLeast(0.6),
			Utilisation(0, 0).AtLeast(0.97),
			Queue("p95", 0, 0).AtMost(60),
		},
	}, Scenario{
		Name:   "shared/churn",
		Shows:  "One flow comes each second for ten seconds, and from 20 s on one leaves each second.",
		Seeded: true,
		Peak:   50 * mbit,
		Make: several(29*s, func(seed uint64, new New) []linksim.Flow {
			all := flows(10, new, func(i int) time.Duration { return time.Duration(i)*s + spread(seed, i, 500*ms) }, 0)
			for i := range all {
				all[i].Stop = time.Duration(20+i) * s
			}
			return all
		}, pipe(50*mbit, 20*ms, 100*ms)),
		Bounds: []Bound{
			Utilisation(s, 0).AtLeast(0.95),
			Queue("p95", 0, 0).AtMost(15),
			Fairness(12*s, 20*s).AtLeast(0.95),
			WindowedFairness(s, 0, 0).AtLeast(0.85),
		},
	})
	return all
}

// mixed are flows of the same controller whose round trips differ.
func mixed() []Scenario {
	return []Scenario{{
		Name:   "mixed/round trips of 20 to 300 ms",
		Shows:  "Five flows over ways of very different length share 4 Mbit/s.",
		Seeded: true,
		Peak:   4 * mbit,
		Make: several(180*s, func(seed uint64, new New) []linksim.Flow {
			return overWays(flows(5, new, func(i int) time.Duration { return time.Duration(i)*2*s + spread(seed, i, 2*s) }, 0))
		}, pipe(4*mbit, 0, 300*ms)),
		Bounds: []Bound{
			Fairness(60*s, 0).AtLeast(0.95),
			Least(60*s, 0).AtLeast(0.6),
			Queue("p95", 0, 0).AtMost(70).InShort(),
			Utilisation(0, 0).AtLeast(0.97),
			Competitions().AtMost(0).InShort(),
		},
	}}
}

// overWays gives five flows round trips of 20 to 300 ms, and names that say so.
func overWays(flows []linksim.Flow) []linksim.Flow {
	for i, way := range []time.Duration{10 * ms, 25 * ms, 50 * ms, 100 * ms, 150 * ms} {
		flows[i].Name = fmt.Sprintf("flow, %v", 2*way)
		flows[i].Delay, flows[i].Return = way, way
	}
	return flows
}
