package scenario

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/reachback/reachback/urcp/linksim"
)

// rfc8867 are the test cases of RFC 8867, with senders that always have more
// to send: the RFC's bound on media rates would keep most of them from filling their
// link.
func rfc8867() []Scenario {
	all := append(variable(), bothWays())
	all = append(all, three()...)
	all = append(all, besideTCP()...)
	all = append(all, twoBottlenecks())
	slices.SortStableFunc(all, func(a, b Scenario) int { return cmp.Compare(a.Name[:3], b.Name[:3]) })
	for i := range all {
		all[i].Name = "RFC 8867/" + all[i].Name
	}
	return all
}

// steps is a bottleneck as the RFC has it: 50 ms one way, 300 ms of buffer at the
// rate given.
func steps(name string, way time.Duration, deepest int64, table ...linksim.Step) linksim.Link {
	return linksim.Link{
		Name: name, Service: linksim.Steps(table), Delay: way,
		Queue: linksim.Queue{Bytes: linksim.Buffer(deepest, 300*ms)},
	}
}

// variable are links whose capacity changes in steps.
func variable() []Scenario {
	var all []Scenario
	for _, way := range []time.Duration{50 * ms, 100 * ms} {
		all = append(all, Scenario{
			Name:  fmt.Sprintf("5.1, %v one way", way),
			Shows: "One flow follows 1, 2.5, 0.6 and 1 Mbit/s.",
			Peak:  25 * mbit / 10,
			Make: single(100*s, steps("bottleneck", way, 1*mbit,
				linksim.Step{Rate: 1 * mbit}, linksim.Step{At: 40 * s, Rate: 25 * mbit / 10},
				linksim.Step{At: 60 * s, Rate: 600 * kbit}, linksim.Step{At: 80 * s, Rate: 1 * mbit})),
			Bounds: []Bound{
				Utilisation(5*s, 40*s).AtLeast(0.97),
				Utilisation(45*s, 60*s).AtLeast(0.97),
				Utilisation(60*s, 80*s).AtLeast(0.95),
				Utilisation(83*s, 0).AtLeast(0.95),
				Recovery(60*s, 100*ms).AtMost(3),
				Queue("p95", 0, 60*s).AtMost(80),
			},
		})
	}
	levels := []linksim.Step{
		{Rate: 4 * mbit}, {At: 25 * s, Rate: 2 * mbit}, {At: 50 * s, Rate: 35 * mbit / 10},
		{At: 75 * s, Rate: 1 * mbit}, {At: 100 * s, Rate: 2 * mbit},
	}
	two := Scenario{
		Name:   "5.2",
		Shows:  "Two flows share 4, 2, 3.5, 1 and 2 Mbit/s.",
		Seeded: true,
		Peak:   4 * mbit,
		Make: several(125*s, func(seed uint64, new New) []linksim.Flow {
			return flows(2, new, within(seed, s), 0)
		}, steps("bottleneck", 50*ms, 2*mbit, levels...)),
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.95),
			Queue("p95", 0, 0).AtMost(120),
		},
	}
	for i := range levels {
		end := time.Duration(i+1) * 25 * s
		two.Bounds = append(two.Bounds, Fairness(end-15*s, end).AtLeast(0.95))
	}
	return append(all, two)
}

func bothWays() Scenario {
	forward := steps("bottleneck", 50*ms, 2*mbit, linksim.Step{Rate: 2 * mbit},
		linksim.Step{At: 20 * s, Rate: 1 * mbit}, linksim.Step{At: 40 * s, Rate: 500 * kbit}, linksim.Step{At: 60 * s, Rate: 2 * mbit})
	backward := steps("backward", 50*ms, 2*mbit, linksim.Step{Rate: 2 * mbit},
		linksim.Step{At: 35 * s, Rate: 800 * kbit}, linksim.Step{At: 70 * s, Rate: 2 * mbit})
	return Scenario{
		Name:   "5.3",
		Shows:  "A flow each way, whose feedback waits in the other's queue; each follows its own capacity.",
		Seeded: true,
		Peak:   2 * mbit,
		Make: several(100*s, func(seed uint64, new New) []linksim.Flow {
			there, back := tested("flow there", new, 0), tested("flow back", new, 1)
			there.Back, back.Back = []int{1}, []int{0}
			back.Start = spread(seed, 1, s)
			return []linksim.Flow{there, back}
		}, forward, backward),
		Bounds: []Bound{
			Utilisation(2*s, 0).AtLeast(0.93),
			UtilisationOf(1, 2*s, 0).AtLeast(0.93),
			Utilisation(65*s, 0).AtLeast(0.93),
			UtilisationOf(1, 75*s, 0).AtLeast(0.93),
			Queue("p95", 0, 0).AtMost(150),
		},
	}
}

// three are the cases of several flows that come one after the other.
func three() []Scenario {
	const rate = 35 * mbit / 10
	staggered := func(seed uint64, new New) []linksim.Flow { return flows(3, new, apart(seed, 20*s, s), 0) }
	link := pipe(rate, 100*ms, 300*ms)
	marking := link
	marking.Queue.AQM = linksim.RED{Min: 15 * ms, Max: 100 * ms, P: 0.1}
	return []Scenario{{
		Name:   "5.4",
		Shows:  "Three flows that start 20 s apart get a third each.",
		Seeded: true,
		Peak:   rate,
		Make:   several(120*s, staggered, link),
		Bounds: []Bound{
			Fairness(50*s, 0).AtLeast(0.98),
			Arrival(rate).AtMost(10),
			Utilisation(0, 0).AtLeast(0.97),
			Queue("p95", 0, 0).AtMost(60).InShort(),
		},
	}, {
		Name:   "5.5",
		Shows:  "Five flows over ways of 10 to 150 ms, which start 10 s apart, get similar shares.",
		Seeded: true,
		Peak:   4 * mbit,
		Make: several(300*s, func(seed uint64, new New) []linksim.Flow {
			return overWays(flows(5, new, apart(seed, 10*s, s), 0))
		}, pipe(4*mbit, 0, 300*ms)),
		Bounds: []Bound{
			Fairness(100*s, 0).AtLeast(0.95),
			Least(100*s, 0).AtLeast(0.6),
			Utilisation(0, 0).AtLeast(0.97),
			Queue("p95", 0, 0).AtMost(70).InShort(),
		},
	}, {
		Name:   "5.8",
		Shows:  "Of three flows one pauses for 20 s: the others take its place, and give it back.",
		Seeded: true,
		Peak:   rate,
		Make: several(120*s, func(seed uint64, new New) []linksim.Flow {
			all := staggered(seed, new)
			all[0].Pauses = []linksim.Interval{{From: 40 * s, To: 60 * s}}
			return all
		}, link),
		Bounds: []Bound{
			Utilisation(42*s, 60*s).AtLeast(0.97),
			Fairness(48*s, 60*s, 1, 2).AtLeast(0.95),
			Fairness(68*s, 0).AtLeast(0.97),
			Queue("p95", 40*s, 0).AtMost(60),
		},
	}, {
		Name:   "6.2",
		Shows:  "As 5.4 with a queue that marks early: no packet need be lost.",
		Seeded: true,
		Peak:   rate,
		Make: several(120*s, func(seed uint64, new New) []linksim.Flow {
			all := staggered(seed, new)
			for i := range all {
				all[i].ECN = linksim.ECT0
			}
			return all
		}, marking),
		Bounds: []Bound{
			Fairness(50*s, 0).AtLeast(0.95),
			Utilisation(0, 0).AtLeast(0.95),
			Loss(0, 0).AtMost(0),
			Queue("p95", 0, 0).AtMost(50).InShort(),
		},
	}}
}

func besideTCP() []Scenario {
	var all []Scenario
	for _, buffer := range []time.Duration{300 * ms, 1000 * ms} {
		all = append(all, Scenario{
			Name:   fmt.Sprintf("5.6, buffer of %v", buffer),
			Shows:  "A flow that joins a NewReno at 5 s: neither starves.",
			Seeded: true,
			Peak:   2 * mbit,
			Fair:   1. / 2,
			Make: several(120*s, func(seed uint64, new New) []linksim.Flow {
				f := tested("flow", new, 0)
				f.Start = 5*s + spread(seed, 0, s)
				return []linksim.Flow{f, tcp("NewReno", reno, 0)}
			}, pipe(2*mbit, 100*ms, buffer)),
			Bounds: []Bound{
				Share(20*s, 0).AtLeast(0.3),
				Share(20*s, 0).AtMost(0.7),
				Utilisation(5*s, 0).AtLeast(0.97),
			},
		})
	}
	return append(all, Scenario{
		Name:   "5.7",
		Shows:  "Two flows beside ten sources of short NewReno transfers, of 100 kB to 1 MB.",
		Seeded: true,
		Peak:   2 * mbit,
		Make: several(300*s, func(seed uint64, new New) []linksim.Flow {
			all := flows(2, new, func(i int) time.Duration { return 5*s + spread(seed, i, s) }, 0)
			for i := range 10 {
				f := tcp(fmt.Sprintf("NewReno %d", i+1), reno, 0)
				f.Source = linksim.OnOff{Late: i >= 2}
				all = append(all, f)
			}
			return all
		}, pipe(2*mbit, 100*ms, 300*ms)),
		Bounds: []Bound{
			Utilisation(5*s, 0).AtLeast(0.97),
			Share(10*s, 0).AtLeast(0.1),
			Fairness(10*s, 0).AtLeast(0.9),
		},
	})
}

func twoBottlenecks() Scenario {
	const rate = 35 * mbit / 10
	places := []string{"first", "second", "third"}
	var links []linksim.Link
	for _, name := range places {
		l := pipe(rate, 50*ms, 300*ms)
		l.Name = name
		links = append(links, l)
	}
	return Scenario{
		Name:   "6.3",
		Shows:  "A flow through three bottlenecks, each of which it shares with another, is not starved.",
		Seeded: true,
		Peak:   rate,
		Make: several(120*s, func(seed uint64, new New) []linksim.Flow {
			all := []linksim.Flow{tested("flow through all", new, 0, 1, 2)}
			for i, name := range places {
				f := tested("flow at the "+name, new, i)
				f.Start = spread(seed, i+1, 5*s)
				all = append(all, f)
			}
			return all
		}, links...),
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.95),
			Least(20*s, 0).AtLeast(0.25),
			Queue("p95", 0, 0).AtMost(60).InShort(),
		},
	}
}
