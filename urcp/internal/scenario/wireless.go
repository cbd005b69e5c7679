package scenario

import (
	"fmt"
	"time"

	"github.com/reachback/reachback/urcp/linksim"
)

// wireless are cases after RFC 8869: a radio link as the last hop and as the
// bottleneck. What a radio link does to packets is sketched by frames that are sent
// together and by delays that vary.
func wireless() []Scenario {
	all := append(lastHop(), crowd()...)
	return append(all, Scenario{
		Name:   "wireless/LTE repetitions",
		Shows:  "One packet in ten is sent again 8 ms later, and holds up those behind it.",
		Seeded: true,
		Peak:   20 * mbit,
		Make: single(60*s, func() linksim.Link {
			l := pipe(20*mbit, 50*ms, 300*ms)
			l.Elements = []linksim.Element{linksim.HARQ{P: 0.1}}
			return l
		}()),
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.9),
			Queue("p95", 0, 0).AtMost(30).InShort(),
		},
	})
}

// air is Wi-Fi.
func air(name string, delay time.Duration) linksim.Link {
	const rate = 30 * mbit
	return linksim.Link{
		Name: name, Rate: rate, Delay: delay,
		Queue: linksim.Queue{Bytes: linksim.Buffer(rate, 300*ms)},
		Elements: []linksim.Element{
			linksim.Aggregate{Packets: 16, Every: 4 * ms},
			linksim.Jitter{Max: 5 * ms},
		},
	}
}

// lastHop are the cases of section 4.1: 1 Mbit/s by wire, and Wi-Fi behind it.
func lastHop() []Scenario {
	wired := pipe(1*mbit, 100*ms, 300*ms)
	backward := wired
	backward.Name = "backward"
	down := []linksim.Link{wired, air("air", 0)}
	both := append(down[:2:2], backward, air("air back", 0))
	// one is a flow under test on its way down, and other one of 40 to 80 s beside it.
	one := func(seed uint64, new New) []linksim.Flow { return flows(1, new, within(seed, s), 0, 1) }
	other := func(seed uint64, name string, new New) linksim.Flow {
		f := tcp(name, new, 0, 1)
		f.Start, f.Stop = 40*s+spread(seed, 9, s), 80*s
		return f
	}
	// eachWay are a flow down and one up, whose acknowledgements go the other's way.
	eachWay := func(seed uint64, new New) []linksim.Flow {
		there, back := tested("flow down", new, 0, 1), tested("flow up", new, 3, 2)
		there.Back, back.Back = []int{3, 2}, []int{0, 1}
		there.Start, back.Start = spread(seed, 0, s), spread(seed, 1, s)
		return []linksim.Flow{there, back}
	}
	return []Scenario{{
		Name:   "wireless/RFC 8869 4.1, alone",
		Shows:  "A wired bottleneck of 1 Mbit/s, and Wi-Fi behind it that aggregates and delays.",
		Seeded: true,
		Peak:   1 * mbit,
		Make:   several(120*s, one, down...),
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.95),
			Queue("p95", 0, 0).AtMost(80).InShort(),
		},
	}, {
		Name:   "wireless/RFC 8869 4.1, constant cross traffic",
		Shows:  "300 kbit/s of the same bottleneck go to somebody else from 40 to 80 s.",
		Seeded: true,
		Peak:   1 * mbit,
		Make: several(120*s, func(seed uint64, new New) []linksim.Flow {
			return append(one(seed, new), other(seed, "constant", constant(300*kbit)))
		}, down...),
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.95),
			Queue("p95", 0, 0).AtMost(90),
			Loss(0, 0).AtMost(0.005),
		},
	}, {
		Name:   "wireless/RFC 8869 4.1, TCP",
		Shows:  "A NewReno shares the bottleneck from 40 to 80 s.",
		Seeded: true,
		Peak:   1 * mbit,
		Fair:   1. / 2,
		Make: several(120*s, func(seed uint64, new New) []linksim.Flow {
			return append(one(seed, new), other(seed, "NewReno", reno))
		}, down...),
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.95),
			Share(45*s, 80*s).AtLeast(0.25),
			Queue("p95", 90*s, 0).AtMost(80),
		},
	}, {
		Name:   "wireless/RFC 8869 4.1, up",
		Shows:  "The same in the other direction: packets come to the bottleneck as Wi-Fi releases them.",
		Seeded: true,
		Peak:   1 * mbit,
		Make: several(120*s, func(seed uint64, new New) []linksim.Flow {
			return flows(1, new, within(seed, s), 1, 0)
		}, down...),
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.95),
			Queue("p95", 0, 0).AtMost(80).InShort(),
		},
	}, {
		Name:   "wireless/RFC 8869 4.1, both ways",
		Shows:  "A flow down and one up, whose acknowledgements go the other's way.",
		Seeded: true,
		Peak:   1 * mbit,
		Make:   several(120*s, eachWay, both...),
		Bounds: []Bound{
			Utilisation(2*s, 0).AtLeast(0.9),
			UtilisationOf(2, 2*s, 0).AtLeast(0.9),
			Queue("p95", 0, 0).AtMost(100).InShort(),
		},
	}, {
		Name:   "wireless/RFC 8869 4.1, both ways, constant cross traffic down",
		Shows:  "The same, with 300 kbit/s less for the flow down from 40 to 80 s.",
		Seeded: true,
		Peak:   1 * mbit,
		Make: several(120*s, func(seed uint64, new New) []linksim.Flow {
			return append(eachWay(seed, new), other(seed, "constant", constant(300*kbit)))
		}, both...),
		Bounds: []Bound{
			Utilisation(2*s, 0).AtLeast(0.9),
			UtilisationOf(2, 2*s, 0).AtLeast(0.9),
			Queue("p95", 0, 0).AtMost(120),
			Loss(0, 0).AtMost(0.005),
		},
	}, {
		Name:   "wireless/RFC 8869 4.1, both ways, TCP down",
		Shows:  "A NewReno beside the flow down from 40 to 80 s fills the queue that the other's acknowledgements wait in.",
		Seeded: true,
		Peak:   1 * mbit,
		Make: several(120*s, func(seed uint64, new New) []linksim.Flow {
			return append(eachWay(seed, new), other(seed, "NewReno", reno))
		}, both...),
		Bounds: []Bound{
			Utilisation(2*s, 0).AtLeast(0.9),
			ShareOf("flow down", "NewReno", 45*s, 80*s).AtLeast(0.25),
			UtilisationOf(2, 45*s, 80*s).AtLeast(0.8),
			Queue("p95", 90*s, 0).AtMost(100),
		},
	}}
}

// crowd are the cases of section 4.2: many flows over one Wi-Fi bottleneck, and a wire
// of 100 Mbit/s.
func crowd() []Scenario {
	links := []linksim.Link{air("bottleneck", 2*ms), {Name: "wired", Rate: 100 * mbit, Delay: 48 * ms}}
	down := func(n int) func(uint64, New) []linksim.Flow {
		return func(seed uint64, new New) []linksim.Flow { return flows(n, new, within(seed, 2*s), 1, 0) }
	}
	up := func(n int) func(uint64, New) []linksim.Flow {
		return func(seed uint64, new New) []linksim.Flow { return flows(n, new, within(seed, 2*s), 0, 1) }
	}
	// Both ways and their acknowledgements share the air, in which one sends at a time.
	eachWay := func(seed uint64, new New) []linksim.Flow {
		all := append(down(8)(seed, new), up(8)(seed+100, new)...)
		for i := range all {
			all[i].Name, all[i].Back = fmt.Sprintf("flow %d", i+1), []int{all[i].Path[1], all[i].Path[0]}
		}
		return all
	}
	others := func(seed uint64, name string, new New, path ...int) []linksim.Flow {
		var all []linksim.Flow
		for i := range 4 {
			f := tcp(fmt.Sprintf("%s %d", name, i+1), new, path...)
			f.Start, f.Stop = 20*s+spread(seed, 20+i, s), 40*s
			all = append(all, f)
		}
		return all
	}
	return []Scenario{{
		Name:   "wireless/RFC 8869 4.2, 16 flows",
		Shows:  "Sixteen flows over one Wi-Fi bottleneck.",
		Seeded: true,
		Peak:   30 * mbit,
		Make:   several(60*s, down(16), links...),
		Bounds: []Bound{
			Utilisation(2*s, 0).AtLeast(0.95),
			Fairness(20*s, 0).AtLeast(0.9),
			Queue("p95", 5*s, 0).AtMost(60),
		},
	}, {
		Name:   "wireless/RFC 8869 4.2, 32 flows",
		Shows:  "Twice as many: less than 1 Mbit/s for each.",
		Seeded: true,
		Peak:   30 * mbit,
		Make:   several(60*s, down(32), links...),
		Bounds: []Bound{
			Utilisation(2*s, 0).AtLeast(0.95),
			Fairness(20*s, 0).AtLeast(0.9),
			Queue("p95", 5*s, 0).AtMost(80),
		},
	}, {
		Name:   "wireless/RFC 8869 4.2, 12 flows and constant cross traffic",
		Shows:  "Twelve flows, and four of 600 kbit/s from 20 to 40 s.",
		Seeded: true,
		Peak:   30 * mbit,
		Make: several(60*s, func(seed uint64, new New) []linksim.Flow {
			return append(down(12)(seed, new), others(seed, "constant", constant(600*kbit), 1, 0)...)
		}, links...),
		Bounds: []Bound{
			Utilisation(2*s, 0).AtLeast(0.95),
			Fairness(20*s, 0).AtLeast(0.9),
			Queue("p95", 5*s, 0).AtMost(60),
			Loss(5*s, 0).AtMost(0.001),
		},
	}, {
		Name:   "wireless/RFC 8869 4.2, 24 flows up",
		Shows:  "Twenty-four flows whose first hop is the Wi-Fi bottleneck.",
		Seeded: true,
		Peak:   30 * mbit,
		Make:   several(20*s, up(24), links...),
		Bounds: []Bound{
			Utilisation(2*s, 0).AtLeast(0.95),
			Fairness(10*s, 0).AtLeast(0.9),
			Queue("p95", 5*s, 0).AtMost(80),
		},
	}, {
		Name:   "wireless/RFC 8869 4.2, 12 flows and TCP",
		Shows:  "Twelve flows, and four NewReno from 20 to 40 s: nobody starves, and the queue goes when they leave.",
		Seeded: true,
		Peak:   30 * mbit,
		Fair:   12. / 16,
		Make: several(65*s, func(seed uint64, new New) []linksim.Flow {
			return append(down(12)(seed, new), others(seed, "NewReno", reno, 1, 0)...)
		}, links...),
		Bounds: []Bound{
			Utilisation(2*s, 0).AtLeast(0.95),
			Share(25*s, 40*s).AtLeast(0.5),
			Share(25*s, 40*s).AtMost(0.95),
			Least(25*s, 40*s).AtLeast(0.5),
			Queue("p95", 5*s, 20*s).AtMost(60),
			Queue("p95", 52*s, 0).AtMost(60),
		},
	}, {
		Name:   "wireless/RFC 8869 4.2, 8 flows each way",
		Shows:  "Eight flows down and eight up share the air, with all that acknowledges them.",
		Seeded: true,
		Peak:   30 * mbit,
		Make:   several(30*s, eachWay, links...),
		Bounds: []Bound{
			Utilisation(2*s, 0).AtLeast(0.95),
			Fairness(15*s, 0).AtLeast(0.9),
			Queue("p95", 5*s, 0).AtMost(80),
		},
	}, {
		Name:   "wireless/RFC 8869 4.2, 8 flows each way, TCP up",
		Shows:  "The same, and four NewReno up from 20 to 40 s, of whom nobody starves.",
		Seeded: true,
		Peak:   30 * mbit,
		Fair:   16. / 20,
		Make: several(65*s, func(seed uint64, new New) []linksim.Flow {
			return append(eachWay(seed, new), others(seed, "NewReno", reno, 0, 1)...)
		}, links...),
		Bounds: []Bound{
			Utilisation(2*s, 0).AtLeast(0.95),
			Share(25*s, 40*s).AtLeast(0.5),
			Share(25*s, 40*s).AtMost(0.95),
			Least(25*s, 40*s).AtLeast(0.3),
			Queue("p95", 52*s, 0).AtMost(80),
		},
	}}
}

func constant(rate int64) New {
	return func(now time.Duration) linksim.Controller { return &linksim.CBR{Rate: rate} }
}
