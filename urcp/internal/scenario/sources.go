package scenario

import (
	"math"
	"slices"
	"time"

	"github.com/reachback/reachback/urcp/linksim"
)

// sources are flows that do not always have more to send.
func sources() []Scenario {
	from := func(source linksim.Source, flows int) func(uint64, New) *linksim.Scenario {
		return func(seed uint64, new New) *linksim.Scenario {
			sc := single(90*s, pipe(10*mbit, 40*ms, 200*ms))(seed, new)
			sc.Flows[0].Source = source
			if flows > 1 {
				sc.Flows = append(sc.Flows, tested("flow without end", new, 0))
			}
			return sc
		}
	}
	video := linksim.Frames{FPS: 60, Rate: 6 * mbit, KeyEvery: 5 * s, KeyFactor: 5, Deviation: 0.2}
	following := linksim.Frames{FPS: 60, Rate: 2 * mbit, Min: 200 * kbit, Max: 50 * mbit, KeyEvery: 5 * s, KeyFactor: 5, Deviation: 0.2}
	return []Scenario{{
		Name:   "source/video of 6 Mbit/s",
		Shows:  "Sixty frames a second that need not fill the link: what a frame takes to its last byte.",
		Seeded: true,
		Peak:   10 * mbit,
		Make:   from(video, 1),
		Bounds: []Bound{
			MessageDelay(0.5, s, 0).AtMost(45),
			MessageDelay(0.95, s, 0).AtMost(80),
			Queue("p95", 0, 0).AtMost(25),
			Loss(0, 0).AtMost(0.001),
		},
	}, {
		Name:   "source/video that follows",
		Shows:  "An encoder that makes what the controller asks for.",
		Seeded: true,
		Peak:   10 * mbit,
		Only:   true,
		Make:   from(following, 1),
		Bounds: []Bound{
			Utilisation(10*s, 0).AtLeast(0.8),
			MessageDelay(0.95, 5*s, 0).AtMost(120),
			Queue("p95", 0, 0).AtMost(25),
			Loss(0, 0).AtMost(0.001),
		},
	}, {
		Name:   "source/remote desktop",
		Shows:  "Idleness, typing, scrolling and video by turns; what an update takes to its last byte.",
		Seeded: true,
		Peak:   10 * mbit,
		Make:   from(linksim.Desktop{Video: 4 * mbit}, 1),
		Bounds: []Bound{
			MessageDelay(0.5, s, 0).AtMost(40),
			Queue("p95", 0, 0).AtMost(25),
			Loss(0, 0).AtMost(0.001),
		},
	}, {
		Name:   "source/remote desktop beside a flow without end",
		Shows:  "The same while a second flow of the controller takes what is left.",
		Seeded: true,
		Peak:   10 * mbit,
		Make:   from(linksim.Desktop{Video: 4 * mbit}, 2),
		Bounds: []Bound{
			Utilisation(s, 0).AtLeast(0.95),
			MessageDelay(0.5, s, 0).AtMost(60),
			Queue("p95", 0, 0).AtMost(25),
			Loss(0, 0).AtMost(0.001),
		},
	}}
}

// MessageDelay is a quantile of the time from when a source made a message, such as
// a frame, until its last byte had arrived. One that never did counts as infinite.
func MessageDelay(q float64, from, to time.Duration) Measure {
	name := map[float64]string{0.5: "p50", 0.95: "p95"}[q]
	return Measure{Name: "message delay " + name + span(from, to), Unit: Milliseconds, Of: func(r *Run) float64 {
		var delays []float64
		for _, m := range r.tested()[0].Messages {
			switch {
			case m.Made < from || m.Made >= r.end(to):
			case m.Done >= 0:
				delays = append(delays, float64(m.Done-m.Made)/float64(ms))
			case m.Made < r.Scenario.Duration-2*s:
				delays = append(delays, math.Inf(1))
			}
		}
		if len(delays) == 0 {
			return 0
		}
		slices.Sort(delays)
		return delays[min(len(delays)-1, int(q*float64(len(delays))))]
	}}
}
