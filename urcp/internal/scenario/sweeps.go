package scenario

import (
	"fmt"
	"time"
)

// sweeps vary one thing over the range in which the controller is meant to work.
func sweeps() []Scenario {
	var all []Scenario
	for _, x := range []struct {
		bdp       float64
		util, p95 float64
		loss      float64
	}{
		{0.1, 0.80, 4, 0.03}, {0.25, 0.90, 10, 0.01}, {0.5, 0.97, 12, 0.001}, {1, 0.97, 12, 0},
		{2, 0.97, 12, 0}, {5, 0.97, 12, 0}, {10, 0.97, 12, 0},
	} {
		all = append(all, Scenario{
			Name:  fmt.Sprintf("sweep/buffer of %g BDP", x.bdp),
			Shows: "Buffers from a few packets to half a second.",
			Peak:  20 * mbit,
			Make:  single(60*s, pipe(20*mbit, 40*ms, time.Duration(x.bdp*float64(40*ms)))),
			Bounds: []Bound{
				Utilisation(0, 0).AtLeast(x.util),
				Queue("p95", 0, 0).AtMost(x.p95),
				SteadyLoss().AtMost(x.loss),
			},
		})
	}
	for _, x := range []struct {
		rtt       time.Duration
		util, p95 float64
	}{
		{1 * ms, 0.97, 12}, {3 * ms, 0.97, 12}, {10 * ms, 0.97, 12}, {30 * ms, 0.97, 12},
		{100 * ms, 0.97, 15}, {300 * ms, 0.95, 25}, {600 * ms, 0.9, 40},
	} {
		all = append(all, Scenario{
			Name:  fmt.Sprintf("sweep/round trip of %v", x.rtt),
			Shows: "Ways from a local network to a satellite.",
			Peak:  10 * mbit,
			Make:  single(120*s, pipe(10*mbit, x.rtt, 200*ms)),
			Bounds: []Bound{
				Utilisation(0, 0).AtLeast(x.util),
				Queue("p95", 0, 0).AtMost(x.p95),
			},
		})
	}
	for _, x := range []struct {
		name     string
		rate     int64
		duration time.Duration
		util     float64
	}{
		{"100 kbit/s", 100 * kbit, 120 * s, 0.95}, {"300 kbit/s", 300 * kbit, 120 * s, 0.97},
		{"1 Mbit/s", 1 * mbit, 60 * s, 0.97}, {"3 Mbit/s", 3 * mbit, 60 * s, 0.97},
		{"10 Mbit/s", 10 * mbit, 60 * s, 0.97}, {"30 Mbit/s", 30 * mbit, 60 * s, 0.97},
		{"100 Mbit/s", 100 * mbit, 30 * s, 0.96}, {"300 Mbit/s", 300 * mbit, 15 * s, 0.95},
		{"1 Gbit/s", 1 * gbit, 5 * s, 0.88},
	} {
		// Two packets in the queue are what the controller keeps at low rates, and its
		// cycle takes it to four times as much; above, a few milliseconds.
		packet := float64(1250*8) / float64(x.rate) * 1000
		p95 := 8.0
		switch {
		case x.rate <= 10*mbit:
			p95 = max(12, 8*packet)
		case x.rate < 100*mbit:
			p95 = 10
		}
		all = append(all, Scenario{
			Name:  "sweep/rate of " + x.name,
			Shows: "Rates over four orders of magnitude.",
			Peak:  x.rate,
			Make:  single(x.duration, pipe(x.rate, 40*ms, max(200*ms, time.Duration(20*packet)*ms))),
			Bounds: []Bound{
				Utilisation(0, 0).AtLeast(x.util),
				Queue("p95", 0, 0).AtMost(p95),
				SteadyLoss().AtMost(0),
			},
		})
	}
	return all
}
