package scenario

import (
	"fmt"
	"time"

	"github.com/reachback/reachback/urcp/linksim"
)

const (
	kbit = 1_000
	mbit = 1_000_000
	gbit = 1_000_000_000

	ms = time.Millisecond
	s  = time.Second
)

// alone is one flow on a link that nothing disturbs.
func alone() []Scenario {
	var all []Scenario
	for _, x := range []struct {
		name   string
		buffer time.Duration
	}{{"half a bandwidth-delay product", 20 * ms}, {"one bandwidth-delay product", 40 * ms}, {"five bandwidth-delay products", 200 * ms}} {
		all = append(all, Scenario{
			Name:  fmt.Sprintf("alone/10M, 40 ms, buffer of %v", x.buffer),
			Shows: "The plain case, with a buffer of " + x.name + ".",
			Peak:  10 * mbit,
			Make:  single(60*s, pipe(10*mbit, 40*ms, x.buffer)),
			Bounds: []Bound{
				Utilisation(0, 0).AtLeast(0.97),
				Queue("p50", 0, 0).AtMost(8).InShort(),
				Queue("p95", 0, 0).AtMost(12).InShort(),
				Loss(0, 0).AtMost(0.002),
				SteadyLoss().AtMost(0),
			},
		})
	}
	for _, x := range []struct {
		name        string
		rate        int64
		rtt, buffer time.Duration
		duration    time.Duration
		from        time.Duration
		util, p95   float64
		shows       string
	}{
		{"1M, 100 ms", 1 * mbit, 100 * ms, 300 * ms, 120 * s, 0, 0.97, 60,
			"A slow link, where two packets are 20 ms of queue."},
		{"100M, 20 ms", 100 * mbit, 20 * ms, 50 * ms, 40 * s, 0, 0.97, 6,
			"A fast link, where the queue must stay above the noise of timers and no more."},
		{"1G, 10 ms", 1 * gbit, 10 * ms, 20 * ms, 5 * s, s, 0.97, 3,
			"A very fast link, where there are 1,000 packets in a round trip."},
		{"50M, 200 ms", 50 * mbit, 200 * ms, 100 * ms, 60 * s, 0, 0.95, 30,
			"A long way, where an error in the start takes seconds to repair."},
	} {
		all = append(all, Scenario{
			Name:  "alone/" + x.name,
			Shows: x.shows,
			Peak:  x.rate,
			Make:  single(x.duration, pipe(x.rate, x.rtt, x.buffer)),
			Bounds: []Bound{
				Utilisation(x.from, 0).AtLeast(x.util),
				Queue("p95", 0, 0).AtMost(x.p95),
			},
		})
	}
	counted := pipe(10*mbit, 40*ms, 0)
	counted.Queue = linksim.Queue{Packets: 30}
	return append(all, Scenario{
		Name:  "alone/10M, 40 ms, buffer of 30 packets",
		Shows: "A buffer that counts packets, as routers do, and not bytes.",
		Peak:  10 * mbit,
		Make:  single(60*s, counted),
		Bounds: []Bound{
			Utilisation(0, 0).AtLeast(0.97),
			Queue("p95", 0, 0).AtMost(12).InShort(),
			SteadyLoss().AtMost(0),
		},
	})
}
