package scenario

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/reachback/reachback/urcp/linksim"
)

// mobile are links made up after those of phones, another one for each seed. Nothing was
// tuned to them, so they show whether what serves the recordings serves others too.
func mobile() []Scenario {
	var all []Scenario
	for _, rate := range []int64{5 * mbit, 15 * mbit} {
		for _, x := range []struct {
			way  time.Duration
			self float64
		}{{20 * ms, 60}, {50 * ms, 125}} {
			all = append(all, phone(Scenario{
				Name:  fmt.Sprintf("mobile/%d Mbit/s, %v one way", rate/mbit, x.way),
				Shows: "A link whose rate wanders, with gaps, as that of a phone.",
				Peak:  3 * rate,
				Make: func(seed uint64, new New) *linksim.Scenario {
					return single(60*s, linksim.Link{
						Name: "bottleneck", Service: wandering(seed, rate, 60*s), Delay: x.way,
						Queue: linksim.Queue{Bytes: 4 << 20},
					})(seed, new)
				},
			}, x.self))
		}
	}
	return all
}

// phone gives a scenario of one flow over a phone's link its bounds; self is the longest
// p95 of the self-inflicted delay, in milliseconds.
func phone(sc Scenario, self float64) Scenario {
	sc.Seeded, sc.Rivals = true, true
	sc.Bounds = []Bound{
		SelfInflicted("p95", 0, 0).AtMost(self),
		Lead().AtMost(1),
		BesideBest(100 * ms).AtLeast(0.9),
		BesideCopa(2).AtLeast(1),
		DelayBesideCopa().AtMost(1),
	}
	return sc
}

// wandering is a link whose rate is log-normal about a mean and wanders within a second
// or so, whose opportunities come by chance, and which is gone for some tens of
// milliseconds now and then.
func wandering(seed uint64, mean int64, d time.Duration) *linksim.Trace {
	const (
		step    = 0.001 // seconds
		memory  = 1.0   // seconds
		spread  = 0.6   // of the rate's logarithm
		gaps    = 0.5   // a second
		gapMean = 0.05  // seconds
	)
	r := rand.New(rand.NewPCG(seed, uint64(mean)))
	perStep := float64(mean) / 8 / linksim.Opportunity * step
	var b strings.Builder
	x, gap, due := r.NormFloat64()*spread, 0.0, 0.0
	for i := range int(d / time.Millisecond) {
		x += -x*step/memory + spread*math.Sqrt(2*step/memory)*r.NormFloat64()
		if gap -= step; gap > 0 {
			continue
		}
		if r.Float64() < gaps*step {
			gap = r.ExpFloat64() * gapMean
		}
		due -= perStep * math.Exp(x-spread*spread/2)
		for due < 0 {
			fmt.Fprintln(&b, i+1)
			due += r.ExpFloat64()
		}
	}
	fmt.Fprintln(&b, int(d/time.Millisecond))
	t, err := linksim.ReadTrace(strings.NewReader(b.String()))
	if err != nil {
		panic(err)
	}
	return t
}
