package scenario

import (
	"fmt"
	"time"

	"github.com/reachback/reachback/urcp/linksim"
)

// against are flows under test beside flows that fill the queue.
func against() []Scenario {
	var all []Scenario
	for _, buffer := range []time.Duration{50 * ms, 100 * ms, 300 * ms, 1000 * ms} {
		// Behind a buffer of a second a cycle of Cubic takes ten seconds and more, and
		// two Cubics need a minute until they are near their shares.
		from, leave := 10*s, 60*s
		if buffer == 1000*ms {
			from, leave = 60*s, 180*s
		}
		all = append(all, Scenario{
			Name:   fmt.Sprintf("against/Cubic, buffer of %v", buffer),
			Shows:  "An equal share against one Cubic, and a short queue again when it has left.",
			Seeded: true,
			Peak:   10 * mbit,
			Fair:   1. / 2,
			Make: func(seed uint64, new New) *linksim.Scenario {
				return beside(seed, new, pipe(10*mbit, 40*ms, buffer), leave, "Cubic", cubic)
			},
			Bounds: []Bound{
				Share(from, leave).AtLeast(0.35),
				Share(from, leave).AtMost(0.65),
				Queue("p95", leave+5*s, 0).AtMost(15),
				Utilisation(0, leave).AtLeast(0.97),
			},
		})
	}
	all = append(all, Scenario{
		Name:   "against/two Cubics, buffer of 50ms",
		Shows:  "A fair share is a third, and the queue is often empty, which looks like a link of one's own.",
		Seeded: true,
		Peak:   50 * mbit,
		Fair:   1. / 3,
		Make: func(seed uint64, new New) *linksim.Scenario {
			return beside(seed, new, pipe(50*mbit, 40*ms, 50*ms), 60*s, "Cubic", cubic, cubic)
		},
		Bounds: []Bound{
			Share(10*s, 60*s).AtLeast(0.25),
			Share(10*s, 60*s).AtMost(0.5),
			Queue("p95", 65*s, 0).AtMost(12),
		},
	}, Scenario{
		Name:   "against/BBR",
		Shows:  "A share against a flow that takes what it finds.",
		Seeded: true,
		Peak:   10 * mbit,
		Fair:   1. / 2,
		Make: func(seed uint64, new New) *linksim.Scenario {
			return beside(seed, new, pipe(10*mbit, 40*ms, 100*ms), 60*s, "BBR", bbr)
		},
		Bounds: []Bound{Share(10*s, 60*s).AtLeast(0.25), Queue("p95", 65*s, 0).AtMost(15)},
	}, Scenario{
		Name:   "against/BBR and two under test",
		Shows:  "Two flows under test beside one BBR: a fair share is two thirds.",
		Seeded: true,
		Peak:   20 * mbit,
		Fair:   2. / 3,
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := beside(seed, new, pipe(20*mbit, 40*ms, 100*ms), 60*s, "BBR", bbr)
			second := tested("flow 2", new, 0)
			second.Start = spread(seed, 9, 2*s)
			sc.Flows = append(sc.Flows, second)
			return sc
		},
		Bounds: []Bound{
			Share(10*s, 60*s).AtLeast(0.4),
			Fairness(10*s, 60*s).AtLeast(0.9),
			Queue("p95", 65*s, 0).AtMost(15),
		},
	}, Scenario{
		Name:   "against/NewReno and three under test",
		Shows:  "Three flows under test beside one NewReno: what they take up against it they leave again when it has gone.",
		Seeded: true,
		Peak:   20 * mbit,
		Fair:   3. / 4,
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := beside(seed, new, pipe(20*mbit, 40*ms, 300*ms), 40*s, "NewReno", reno)
			sc.Flows = append(sc.Flows, flows(3, new, within(seed, 2*s), 0)[1:]...)
			return sc
		},
		Bounds: []Bound{
			Share(10*s, 40*s).AtLeast(0.5),
			Fairness(10*s, 40*s).AtLeast(0.9),
			Queue("p95", 52*s, 0).AtMost(15),
		},
	}, Scenario{
		Name:   "against/half of the link taken at random",
		Shows:  "Others who do not react send 5 Mbit/s, packet by packet at random, until 60 s.",
		Seeded: true,
		Peak:   10 * mbit,
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := beside(seed, new, pipe(10*mbit, 40*ms, 200*ms), 60*s, "random", func(time.Duration) linksim.Controller {
				return linksim.Unlimited{}
			})
			sc.Flows[1].Source = linksim.Poisson{Rate: 5 * mbit}
			return sc
		},
		Bounds: []Bound{
			Utilisation(5*s, 60*s).AtLeast(0.95),
			Queue("p95", 0, 0).AtMost(30).InShort(),
			Loss(0, 0).AtMost(0.001),
			Competitions().AtMost(0).InShort(),
		},
	})
	return all
}

// beside is one flow under test beside others that leave at a moment, 15 seconds
// before the end.
func beside(
	seed uint64, new New, link linksim.Link, leave time.Duration, name string, others ...New,
) *linksim.Scenario {
	sc := &linksim.Scenario{
		Seed: seed, Duration: leave + 15*s,
		Links: []linksim.Link{link},
	}
	own := tested("flow 1", new, 0)
	own.Start = spread(seed, 0, 2*s)
	sc.Flows = append(sc.Flows, own)
	for i, other := range others {
		f := tcp(fmt.Sprintf("%s %d", name, i+1), other, 0)
		f.Start, f.Stop = spread(seed, i+1, 2*s), leave
		sc.Flows = append(sc.Flows, f)
	}
	return sc
}
