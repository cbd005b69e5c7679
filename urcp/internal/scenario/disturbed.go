package scenario

import (
	"time"

	"github.com/reachback/reachback/urcp/linksim"
)

// disturbed are clocks that are off, and feedback that comes late, seldom or in heaps.
func disturbed() []Scenario {
	plain := func(duration time.Duration) func(uint64, New) *linksim.Scenario {
		return single(duration, pipe(10*mbit, 40*ms, 200*ms))
	}
	with := func(duration time.Duration, change func(*linksim.Scenario)) func(uint64, New) *linksim.Scenario {
		return func(seed uint64, new New) *linksim.Scenario {
			sc := plain(duration)(seed, new)
			change(sc)
			return sc
		}
	}
	var all []Scenario
	for _, x := range []struct {
		name  string
		shows string
		clock linksim.Clock
	}{
		{"peer's clock 100 ppm fast", "A delay that seems to grow by 6 ms a minute.", linksim.Clock{PPM: 100}},
		{"peer's clock 100 ppm slow", "A delay that seems to shrink by 6 ms a minute.", linksim.Clock{Offset: s, PPM: -100}},
		{"peer's clock set forward by 50 ms", "A delay that seems to rise at once.",
			linksim.Clock{Steps: []linksim.ClockStep{{At: 200 * s, By: 50 * ms}}}},
	} {
		all = append(all, Scenario{
			Name:  "disturbed/" + x.name,
			Shows: x.shows,
			Peak:  10 * mbit,
			Make:  with(600*s, func(sc *linksim.Scenario) { sc.Flows[0].Receiver = x.clock }),
			Clean: plain(600 * s),
			Bounds: []Bound{
				AgainstClean(Goodput(10*mbit, 0, 0)).AtLeast(0.95),
				AgainstClean(Queue("p95", 0, 0)).AtMost(1.05),
				AgainstClean(Queue("p95", 0, 0)).AtLeast(0.95),
			},
		})
	}
	back := func(elements ...linksim.Element) func(*linksim.Scenario) {
		return func(sc *linksim.Scenario) {
			sc.Links = append(sc.Links, linksim.Link{Name: "backward", Delay: 20 * ms, Elements: elements})
			sc.Flows[0].Back = []int{1}
		}
	}
	there := func(elements ...linksim.Element) func(*linksim.Scenario) {
		return func(sc *linksim.Scenario) { sc.Links[0].Elements = elements }
	}
	for _, x := range []struct {
		name, shows string
		change      func(*linksim.Scenario)
		seeded      bool
	}{
		{"jitter of 0 to 20 ms", "Packets arrive in order, each up to 20 ms late.",
			there(linksim.Jitter{Max: 20 * ms}), true},
		{"delays of about 10 ms", "Packets arrive in order, each late by a time that is 10 ms in the mean.",
			there(linksim.Jitter{Law: linksim.Normal, Max: 20 * ms, Deviation: 3 * ms}), true},
		{"one in 500 held up by 50 ms", "Those behind it wait with it, and arrive together.",
			there(linksim.Jitter{Law: linksim.Spikes, P: 0.002, Max: 50 * ms}), true},
		{"2 % out of order", "Of fifty packets one comes 5 ms late, behind the next four.",
			there(linksim.Reorder{P: 0.02, By: 5 * ms}), true},
		{"acknowledgements in heaps of 20 ms", "The way back holds acknowledgements and releases them together.",
			back(linksim.Aggregate{Every: 20 * ms}), false},
		{"20 % of acknowledgements lost", "What a lost one would have said comes later, or not at all.",
			back(linksim.Loss{P: 0.2}), true},
		{"way back of 64 kbit/s", "Acknowledgements wait for each other, as behind a slow uplink.",
			func(sc *linksim.Scenario) {
				slow := pipe(64*kbit, 40*ms, 200*ms)
				slow.Name = "backward"
				sc.Links, sc.Flows[0].Back = append(sc.Links, slow), []int{1}
			}, false},
		{"2 % sent twice", "Of fifty packets one arrives again 2 ms later.",
			there(linksim.Duplicate{P: 0.02, After: 2 * ms}), true},
		{"clocks that tick every 15.6 ms", "The default timer of older Windows, at both ends.",
			func(sc *linksim.Scenario) {
				tick := linksim.Clock{Granularity: 15625 * time.Microsecond}
				sc.Flows[0].Sender, sc.Flows[0].Receiver = tick, tick
			}, false},
		{"jitter, disorder, heaps and losses", "Jitter, reordering, aggregation and lost acknowledgements together.",
			func(sc *linksim.Scenario) {
				there(linksim.Jitter{Max: 20 * ms}, linksim.Reorder{P: 0.02, By: 5 * ms})(sc)
				back(linksim.Aggregate{Every: 20 * ms}, linksim.Loss{P: 0.2})(sc)
			}, true},
	} {
		all = append(all, Scenario{
			Name:   "disturbed/" + x.name,
			Shows:  x.shows,
			Seeded: x.seeded,
			Peak:   10 * mbit,
			Make:   with(60*s, x.change),
			Clean:  plain(60 * s),
			Bounds: []Bound{
				AgainstClean(Utilisation(0, 0)).AtLeast(0.9),
				Spurious().AtMost(0.005),
				Queue("p95", 0, 0).AtMost(40).InShort(),
			},
		})
	}
	return append(all, Scenario{
		Name:  "disturbed/feedback 200 ms late",
		Shows: "A way back that takes ten times as long as the way there.",
		Peak:  10 * mbit,
		Make: with(90*s, func(sc *linksim.Scenario) {
			sc.Flows[0].Return = 220 * ms
		}),
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.95),
			Queue("p95", 0, 0).AtMost(25),
		},
	}, Scenario{
		Name:   "disturbed/Cubic on the way back",
		Shows:  "Acknowledgements wait in a queue that another flow fills; the way there is free.",
		Seeded: true,
		Peak:   10 * mbit,
		Make: func(seed uint64, new New) *linksim.Scenario {
			sc := plain(90*s)(seed, new)
			back := pipe(10*mbit, 40*ms, 100*ms)
			back.Name = "backward"
			sc.Links = append(sc.Links, back)
			sc.Flows[0].Back = []int{1}
			other := tcp("Cubic", cubic, 1)
			other.Back, other.Start = []int{0}, spread(seed, 1, 2*s)
			sc.Flows = append(sc.Flows, other)
			return sc
		},
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.95),
			Queue("p95", 0, 0).AtMost(30),
			Competitions().AtMost(0),
		},
	})
}
