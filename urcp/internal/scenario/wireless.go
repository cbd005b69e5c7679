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
	air := func(name string, rate int64) linksim.Link {
		return linksim.Link{
			Name: name, Rate: rate,
			Queue: linksim.Queue{Bytes: linksim.Buffer(rate, 300*ms)},
			Elements: []linksim.Element{
				linksim.Aggregate{Packets: 16, Every: 4 * ms},
				linksim.Jitter{Max: 5 * ms},
			},
		}
	}
	wired := func(rate int64) linksim.Link {
		return pipe(rate, 100*ms, 300*ms)
	}
	lastHop := func(seed uint64, new New, flows int) *linksim.Scenario {
		sc := &linksim.Scenario{
			Seed: seed, Duration: 120 * s,
			Links: []linksim.Link{wired(1 * mbit), air("air", 30*mbit)},
		}
		for i := range flows {
			f := tested(fmt.Sprintf("flow %d", i+1), new, 0, 1)
			f.Start = spread(seed, i, s)
			sc.Flows = append(sc.Flows, f)
		}
		return sc
	}
	crowd := func(seed uint64, new New, flows int) *linksim.Scenario {
		link := air("bottleneck", 30*mbit)
		link.Delay = 2 * ms
		sc := &linksim.Scenario{
			Seed: seed, Duration: 60 * s,
			Links: []linksim.Link{link, {Name: "wired", Rate: 100 * mbit, Delay: 48 * ms}},
		}
		for i := range flows {
			f := tested(fmt.Sprintf("flow %d", i+1), new, 1, 0)
			f.Start = spread(seed, i, 2*s)
			sc.Flows = append(sc.Flows, f)
		}
		return sc
	}
	return []Scenario{{
		Name:   "wireless/RFC 8869 4.1, alone",
		Shows:  "A wired bottleneck of 1 Mbit/s, and Wi-Fi behind it that aggregates and delays.",
		Seeded: true,
		Peak:   1 * mbit,
		Make:   func(seed uint64, new New) *linksim.Scenario { return lastHop(seed, new, 1) },
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.95),
			Queue("p95", 0, 0).AtMost(80).InShort(),
		},
	}, {
		Name:   "wireless/RFC 8869 4.1, constant cross traffic",
		Shows:  "300 kbit/s of the same bottleneck go to somebody else from 40 to 80 s.",
		Seeded: true,
		Peak:   1 * mbit,
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := lastHop(seed, new, 1)
			other := tcp("constant", constant(300*kbit), 0, 1)
			other.Start, other.Stop = 40*s+spread(seed, 9, s), 80*s
			sc.Flows = append(sc.Flows, other)
			return sc
		},
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
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := lastHop(seed, new, 1)
			other := tcp("NewReno", reno, 0, 1)
			other.Start, other.Stop = 40*s+spread(seed, 9, s), 80*s
			sc.Flows = append(sc.Flows, other)
			return sc
		},
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.95),
			Share(45*s, 80*s).AtLeast(0.25),
			Queue("p95", 90*s, 0).AtMost(80),
		},
	}, {
		Name:   "wireless/RFC 8869 4.2, 16 flows",
		Shows:  "Sixteen flows over one Wi-Fi bottleneck.",
		Seeded: true,
		Peak:   30 * mbit,
		Make:   func(seed uint64, new New) *linksim.Scenario { return crowd(seed, new, 16) },
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
		Make:   func(seed uint64, new New) *linksim.Scenario { return crowd(seed, new, 32) },
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
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := crowd(seed, new, 12)
			for i := range 4 {
				other := tcp(fmt.Sprintf("constant %d", i+1), constant(600*kbit), 1, 0)
				other.Start, other.Stop = 20*s+spread(seed, 20+i, s), 40*s
				sc.Flows = append(sc.Flows, other)
			}
			return sc
		},
		Bounds: []Bound{
			Utilisation(2*s, 0).AtLeast(0.95),
			Fairness(20*s, 0).AtLeast(0.9),
			Queue("p95", 5*s, 0).AtMost(60),
			Loss(5*s, 0).AtMost(0.001),
		},
	}, {
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
	}}
}

func constant(rate int64) New {
	return func(now time.Duration) linksim.Controller { return &linksim.CBR{Rate: rate} }
}
