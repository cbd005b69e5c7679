package scenario

import (
	"fmt"
	"time"

	"github.com/reachback/reachback/urcp/linksim"
)

// rfc8867 are the test cases of RFC 8867, with senders that always have more
// to send: the RFC's bound on media rates would keep most of them from filling their
// link.
func rfc8867() []Scenario {
	all := []Scenario{variable(50 * ms), variable(100 * ms), variableTwo(), bothWays(), three(), fiveWays()}
	all = append(all, besideTCP(300*ms), besideTCP(1000*ms))
	return append(all, shortTCP(), pausing(), marked(), twoBottlenecks())
}

// steps is a bottleneck as the RFC has it: 50 ms one way, 300 ms of buffer at the
// rate given.
func steps(name string, way time.Duration, deepest int64, table ...linksim.Step) linksim.Link {
	return linksim.Link{
		Name: name, Service: linksim.Steps(table), Delay: way,
		Queue: linksim.Queue{Bytes: linksim.Buffer(deepest, 300*ms)},
	}
}

func variable(way time.Duration) Scenario {
	link := steps("bottleneck", way, 1*mbit,
		linksim.Step{Rate: 1 * mbit}, linksim.Step{At: 40 * s, Rate: 25 * mbit / 10},
		linksim.Step{At: 60 * s, Rate: 600 * kbit}, linksim.Step{At: 80 * s, Rate: 1 * mbit})
	return Scenario{
		Name:  fmt.Sprintf("RFC 8867/5.1, %v one way", way),
		Shows: "One flow follows 1, 2.5, 0.6 and 1 Mbit/s.",
		Peak:  25 * mbit / 10,
		Make:  single(100*s, link),
		Bounds: []Bound{
			Utilisation(5*s, 40*s).AtLeast(0.97),
			Utilisation(45*s, 60*s).AtLeast(0.97),
			Utilisation(60*s, 80*s).AtLeast(0.95),
			Utilisation(83*s, 0).AtLeast(0.95),
			Recovery(60*s, 100*ms).AtMost(3),
			Queue("p95", 0, 60*s).AtMost(80),
		},
	}
}

func variableTwo() Scenario {
	levels := []linksim.Step{
		{Rate: 4 * mbit}, {At: 25 * s, Rate: 2 * mbit}, {At: 50 * s, Rate: 35 * mbit / 10},
		{At: 75 * s, Rate: 1 * mbit}, {At: 100 * s, Rate: 2 * mbit},
	}
	sc := Scenario{
		Name:   "RFC 8867/5.2",
		Shows:  "Two flows share 4, 2, 3.5, 1 and 2 Mbit/s.",
		Seeded: true,
		Peak:   4 * mbit,
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := &linksim.Scenario{
				Seed: seed, Duration: 125 * s,
				Links: []linksim.Link{steps("bottleneck", 50*ms, 2*mbit, levels...)},
			}
			for i := range 2 {
				f := tested(fmt.Sprintf("flow %d", i+1), new, 0)
				f.Start = spread(seed, i, s)
				sc.Flows = append(sc.Flows, f)
			}
			return sc
		},
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.95),
			Queue("p95", 0, 0).AtMost(120),
		},
	}
	for i := range levels {
		end := time.Duration(i+1) * 25 * s
		sc.Bounds = append(sc.Bounds, Fairness(end-15*s, end).AtLeast(0.95))
	}
	return sc
}

func bothWays() Scenario {
	forward := steps("bottleneck", 50*ms, 2*mbit, linksim.Step{Rate: 2 * mbit},
		linksim.Step{At: 20 * s, Rate: 1 * mbit}, linksim.Step{At: 40 * s, Rate: 500 * kbit}, linksim.Step{At: 60 * s, Rate: 2 * mbit})
	backward := steps("backward", 50*ms, 2*mbit, linksim.Step{Rate: 2 * mbit},
		linksim.Step{At: 35 * s, Rate: 800 * kbit}, linksim.Step{At: 70 * s, Rate: 2 * mbit})
	return Scenario{
		Name:   "RFC 8867/5.3",
		Shows:  "A flow each way, whose feedback waits in the other's queue; each follows its own capacity.",
		Seeded: true,
		Peak:   2 * mbit,
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := &linksim.Scenario{
				Seed: seed, Duration: 100 * s,
				Links: []linksim.Link{forward, backward},
				Flows: []linksim.Flow{tested("flow there", new, 0), tested("flow back", new, 1)},
			}
			sc.Flows[0].Back, sc.Flows[1].Back = []int{1}, []int{0}
			sc.Flows[1].Start = spread(seed, 1, s)
			return sc
		},
		Bounds: []Bound{
			Utilisation(2*s, 0).AtLeast(0.93),
			UtilisationOf(1, 2*s, 0).AtLeast(0.93),
			Utilisation(65*s, 0).AtLeast(0.93),
			UtilisationOf(1, 75*s, 0).AtLeast(0.93),
			Queue("p95", 0, 0).AtMost(150),
		},
	}
}

func three() Scenario {
	return Scenario{
		Name:   "RFC 8867/5.4",
		Shows:  "Three flows that start 20 s apart get a third each.",
		Seeded: true,
		Peak:   35 * mbit / 10,
		Make: func(seed uint64, new New) *linksim.Scenario {
			return staggered(seed, new, 3)
		},
		Bounds: []Bound{
			Fairness(50*s, 0).AtLeast(0.98),
			Arrival(35 * mbit / 10).AtMost(10),
			Utilisation(0, 0).AtLeast(0.97),
			Queue("p95", 0, 0).AtMost(60).InShort(),
		},
	}
}

func staggered(seed uint64, new New, flows int) *linksim.Scenario {
	sc := &linksim.Scenario{
		Seed: seed, Duration: 120 * s,
		Links: []linksim.Link{pipe(35*mbit/10, 100*ms, 300*ms)},
	}
	for i := range flows {
		f := tested(fmt.Sprintf("flow %d", i+1), new, 0)
		if i > 0 {
			f.Start = time.Duration(i)*20*s + spread(seed, i, s)
		}
		sc.Flows = append(sc.Flows, f)
	}
	return sc
}

func fiveWays() Scenario {
	return Scenario{
		Name:   "RFC 8867/5.5",
		Shows:  "Five flows over ways of 10 to 150 ms, which start 10 s apart, get similar shares.",
		Seeded: true,
		Peak:   4 * mbit,
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := &linksim.Scenario{
				Seed: seed, Duration: 300 * s,
				Links: []linksim.Link{pipe(4*mbit, 0, 300*ms)},
			}
			for i, way := range []time.Duration{10 * ms, 25 * ms, 50 * ms, 100 * ms, 150 * ms} {
				f := tested(fmt.Sprintf("flow, %v", 2*way), new, 0)
				f.Delay, f.Return = way, way
				if i > 0 {
					f.Start = time.Duration(i)*10*s + spread(seed, i, s)
				}
				sc.Flows = append(sc.Flows, f)
			}
			return sc
		},
		Bounds: []Bound{
			Fairness(100*s, 0).AtLeast(0.95),
			Least(100*s, 0).AtLeast(0.6),
			Utilisation(0, 0).AtLeast(0.97),
			Queue("p95", 0, 0).AtMost(70).InShort(),
		},
	}
}

func besideTCP(buffer time.Duration) Scenario {
	return Scenario{
		Name:   fmt.Sprintf("RFC 8867/5.6, buffer of %v", buffer),
		Shows:  "A flow that joins a NewReno at 5 s: neither starves.",
		Seeded: true,
		Peak:   2 * mbit,
		Fair:   1. / 2,
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := &linksim.Scenario{
				Seed: seed, Duration: 120 * s,
				Links: []linksim.Link{pipe(2*mbit, 100*ms, buffer)},
				Flows: []linksim.Flow{tested("flow", new, 0), tcp("NewReno", reno, 0)},
			}
			sc.Flows[0].Start = 5*s + spread(seed, 0, s)
			return sc
		},
		Bounds: []Bound{
			Share(20*s, 0).AtLeast(0.3),
			Share(20*s, 0).AtMost(0.7),
			Utilisation(5*s, 0).AtLeast(0.97),
		},
	}
}

func pausing() Scenario {
	return Scenario{
		Name:   "RFC 8867/5.8",
		Shows:  "Of three flows one pauses for 20 s: the others take its place, and give it back.",
		Seeded: true,
		Peak:   35 * mbit / 10,
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := staggered(seed, new, 3)
			sc.Flows[0].Pauses = []linksim.Interval{{From: 40 * s, To: 60 * s}}
			return sc
		},
		Bounds: []Bound{
			Utilisation(42*s, 60*s).AtLeast(0.97),
			Fairness(48*s, 60*s, 1, 2).AtLeast(0.95),
			Fairness(68*s, 0).AtLeast(0.97),
			Queue("p95", 40*s, 0).AtMost(60),
		},
	}
}

func shortTCP() Scenario {
	return Scenario{
		Name:   "RFC 8867/5.7",
		Shows:  "Two flows beside ten sources of short NewReno transfers, of 100 kB to 1 MB.",
		Seeded: true,
		Peak:   2 * mbit,
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := &linksim.Scenario{
				Seed: seed, Duration: 300 * s,
				Links: []linksim.Link{pipe(2*mbit, 100*ms, 300*ms)},
			}
			for i := range 2 {
				f := tested(fmt.Sprintf("flow %d", i+1), new, 0)
				f.Start = 5*s + spread(seed, i, s)
				sc.Flows = append(sc.Flows, f)
			}
			for i := range 10 {
				f := tcp(fmt.Sprintf("NewReno %d", i+1), reno, 0)
				f.Source = linksim.OnOff{Late: i >= 2}
				sc.Flows = append(sc.Flows, f)
			}
			return sc
		},
		Bounds: []Bound{
			Utilisation(5*s, 0).AtLeast(0.97),
			Share(10*s, 0).AtLeast(0.1),
			Fairness(10*s, 0).AtLeast(0.9),
		},
	}
}

func marked() Scenario {
	return Scenario{
		Name:   "RFC 8867/6.2",
		Shows:  "As 5.4 with a queue that marks early: no packet need be lost.",
		Seeded: true,
		Peak:   35 * mbit / 10,
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := staggered(seed, new, 3)
			sc.Links[0].Queue.AQM = linksim.RED{Min: 15 * ms, Max: 100 * ms, P: 0.1}
			for i := range sc.Flows {
				sc.Flows[i].ECN = linksim.ECT0
			}
			return sc
		},
		Bounds: []Bound{
			Fairness(50*s, 0).AtLeast(0.95),
			Utilisation(0, 0).AtLeast(0.95),
			Loss(0, 0).AtMost(0),
			Queue("p95", 0, 0).AtMost(50).InShort(),
		},
	}
}

func twoBottlenecks() Scenario {
	return Scenario{
		Name:   "RFC 8867/6.3",
		Shows:  "A flow through three bottlenecks, each of which it shares with another, is not starved.",
		Seeded: true,
		Peak:   35 * mbit / 10,
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := &linksim.Scenario{Seed: seed, Duration: 120 * s}
			for _, name := range []string{"first", "second", "third"} {
				l := pipe(35*mbit/10, 50*ms, 300*ms)
				l.Name = name
				sc.Links = append(sc.Links, l)
			}
			sc.Flows = append(sc.Flows, tested("flow through all", new, 0, 1, 2))
			for i, name := range []string{"first", "second", "third"} {
				f := tested("flow at the "+name, new, i)
				f.Start = spread(seed, i+1, 5*s)
				sc.Flows = append(sc.Flows, f)
			}
			return sc
		},
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.95),
			Least(20*s, 0).AtLeast(0.25),
			Queue("p95", 0, 0).AtMost(60).InShort(),
		},
	}
}
