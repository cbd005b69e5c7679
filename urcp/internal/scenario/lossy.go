package scenario

import (
	"fmt"

	"github.com/reachback/reachback/urcp/linksim"
)

// lossy are losses that say nothing of a queue, and a policer, whose losses say all.
func lossy() []Scenario {
	behind := func(elements ...linksim.Element) linksim.Link {
		l := pipe(10*mbit, 40*ms, 100*ms)
		l.Elements = elements
		return l
	}
	var all []Scenario
	for _, x := range []struct{ loss, util float64 }{
		{0.001, 0.97}, {0.005, 0.97}, {0.01, 0.97}, {0.02, 0.96}, {0.05, 0.95}, {0.10, 0.85}, {0.20, 0.5},
	} {
		all = append(all, Scenario{
			Name:   fmt.Sprintf("loss/random, %g %%", 100*x.loss),
			Shows:  "Losses that nobody's rate is to blame for.",
			Seeded: true,
			Peak:   10 * mbit,
			Make:   single(60*s, behind(linksim.Loss{P: x.loss})),
			Bounds: []Bound{
				Utilisation(0, 0).AtLeast(x.util),
				Queue("p95", 0, 0).AtMost(25).InShort(),
			},
		})
	}
	policed := linksim.Link{
		Name: "bottleneck", Rate: 100 * mbit, Delay: 20 * ms,
		Queue:   linksim.Queue{Bytes: linksim.Buffer(100*mbit, 100*ms)},
		Policer: &linksim.Policer{Rate: 5 * mbit, Bytes: 30_000},
	}
	return append(all, Scenario{
		Name:   "loss/bursts",
		Shows:  "Two in a hundred packets lost, ten in a row, as a weak radio link does.",
		Seeded: true,
		Peak:   10 * mbit,
		Make: single(60*s, behind(linksim.BurstLoss{
			ToBad: 0.002, ToGood: 0.1, Bad: 1,
		})),
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.93),
			Queue("p95", 0, 0).AtMost(25).InShort(),
		},
	}, Scenario{
		Name:  "loss/policer",
		Shows: "5 Mbit/s with a bucket of 30 kB on a link of 100: no delay ever tells of it.",
		Peak:  5 * mbit, Policed: 5 * mbit,
		Make: single(60*s, policed),
		Bounds: []Bound{
			Goodput(5*mbit, 10*s, 0).AtLeast(0.9),
			Loss(10*s, 0).AtMost(0.03),
		},
	}, Scenario{
		Name:  "loss/policer, 20 Mbit/s and 100 kB",
		Shows: "A policer with more room, on a longer way.",
		Peak:  20 * mbit, Policed: 20 * mbit,
		Make: single(60*s, linksim.Link{
			Name: "bottleneck", Rate: 100 * mbit, Delay: 40 * ms,
			Queue:   linksim.Queue{Bytes: linksim.Buffer(100*mbit, 100*ms)},
			Policer: &linksim.Policer{Rate: 20 * mbit, Bytes: 100_000},
		}),
		Bounds: []Bound{
			Goodput(20*mbit, 10*s, 0).AtLeast(0.9),
			Loss(10*s, 0).AtMost(0.03),
		},
	})
}
