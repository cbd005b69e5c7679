package scenario

import (
	"fmt"
	"math"
	"time"

	"github.com/reachback/reachback/urcp/linksim"
)

// All measures look at a stretch of time, from its beginning inclusive to its end
// exclusive, where zero stands for the end of the run. The bottleneck is the first
// link of a scenario.

// Utilisation is the share of the bottleneck's capacity that was used.
func Utilisation(from, to time.Duration) Measure {
	return Measure{Name: "utilisation" + span(from, to), Unit: Percent, Of: func(r *Run) float64 {
		return r.Links[0].Utilisation(from, r.end(to))
	}}
}

// Queue is a quantile of the time that packets waited in the bottleneck's queue.
func Queue(which string, from, to time.Duration) Measure {
	return Measure{Name: "queue " + which + span(from, to), Unit: Milliseconds, Of: func(r *Run) float64 {
		return pick(which, r.Links[0].Queue(from, r.end(to)))
	}}
}

// SelfInflicted is as Queue, without what a packet alone would have waited too.
func SelfInflicted(which string, from, to time.Duration) Measure {
	return Measure{Name: "self-inflicted delay " + which + span(from, to), Unit: Milliseconds, Of: func(r *Run) float64 {
		return pick(which, r.Links[0].SelfInflicted(from, r.end(to)))
	}}
}

func pick(which string, d linksim.Delays) float64 {
	v := d.Max
	switch which {
	case "p50":
		v = d.P50
	case "p95":
		v = d.P95
	case "p99":
		v = d.P99
	}
	return float64(v) / float64(time.Millisecond)
}

// Goodput is what the flows under test got together, as a share of rate.
func Goodput(rate float64, from, to time.Duration) Measure {
	return Measure{Name: "goodput" + span(from, to), Unit: Percent, Of: func(r *Run) float64 {
		var sum float64
		for _, x := range r.rates(from, to) {
			sum += x
		}
		return sum / rate
	}}
}

// Loss is the share of the packets of the flows under test that the network dropped.
func Loss(from, to time.Duration) Measure {
	return Measure{Name: "loss" + span(from, to), Unit: Percent, Of: func(r *Run) float64 {
		var sent, dropped int64
		for _, f := range r.tested() {
			bin := r.bin()
			for i := int(from / bin); i < len(f.Bins) && time.Duration(i)*bin < r.end(to); i++ {
				sent += int64(f.Bins[i].SentPackets)
				dropped += int64(f.Bins[i].Dropped)
			}
		}
		return float64(dropped) / float64(max(1, sent))
	}}
}

func (r *Run) bin() time.Duration {
	if b := r.Scenario.Bin; b != 0 {
		return b
	}
	return 100 * time.Millisecond
}

// SteadyLoss is the share lost of what was sent after a flow's first seconds.
func SteadyLoss() Measure {
	return Measure{Name: "loss after the start", Unit: Percent, Of: func(r *Run) float64 {
		var sent, dropped int64
		for _, f := range r.tested() {
			sent += f.Sent - f.StartupSent
			dropped += f.Dropped - f.StartupDropped
		}
		return float64(dropped) / float64(max(1, sent))
	}}
}

// Spurious is the share of the packets of the flows under test that counted as lost
// and were not.
func Spurious() Measure {
	return Measure{Name: "spurious loss", Unit: Percent, Of: func(r *Run) float64 {
		var sent, spurious int64
		for _, f := range r.tested() {
			sent += f.Sent
			spurious += f.Spurious
		}
		return float64(spurious) / float64(max(1, sent))
	}}
}

// Fairness is Jain's index of the rates of the flows under test, or of those of them
// at the places given: one where all are equal, 1/n where one of n has everything.
func Fairness(from, to time.Duration, places ...int) Measure {
	name := "Jain's index"
	if len(places) > 0 {
		name += " of those that send"
	}
	return Measure{Name: name + span(from, to), Unit: Index, Of: func(r *Run) float64 {
		to := r.end(to)
		return r.Jain(to-from, from, to, r.names(places...)...)
	}}
}

// WindowedFairness is the mean of Jain's index over windows, of the flows under test
// that run in each.
func WindowedFairness(window, from, to time.Duration) Measure {
	return Measure{Name: "Jain's index in windows of " + window.String() + span(from, to), Unit: Index, Of: func(r *Run) float64 {
		return r.Jain(window, from, r.end(to), r.names()...)
	}}
}

// Ratio is the rate of one of the flows under test beside their mean.
func Ratio(i int, from, to time.Duration) Measure {
	return Measure{Name: fmt.Sprintf("rate of flow %d beside the mean", i+1) + span(from, to), Unit: Index, Of: func(r *Run) float64 {
		rates := r.rates(from, to)
		sum := 0.0
		for _, x := range rates {
			sum += x
		}
		if sum == 0 {
			return 0
		}
		return rates[i] * float64(len(rates)) / sum
	}}
}

// Least is the smallest rate among the flows under test, as a share of the mean.
func Least(from, to time.Duration) Measure {
	return Measure{Name: "smallest share of the fair one" + span(from, to), Unit: Percent, Of: func(r *Run) float64 {
		return r.MinShare(from, r.end(to), r.names()...)
	}}
}

// Share is what the flows under test got of all that was delivered.
func Share(from, to time.Duration) Measure {
	return Measure{Name: "share" + span(from, to), Unit: Percent, Of: func(r *Run) (share float64) {
		for _, name := range r.names() {
			share += r.Result.Share(name, from, r.end(to))
		}
		return share
	}}
}

// ShareOf is what a flow got of what it and another one got.
func ShareOf(flow, beside string, from, to time.Duration) Measure {
	return Measure{Name: "share of the " + flow + " beside " + beside + span(from, to), Unit: Percent, Of: func(r *Run) float64 {
		return r.Result.Share(flow, from, r.end(to), flow, beside)
	}}
}

// Arrival is how long the slowest newcomer among the flows under test took to get,
// over a second, 80 % of the fair share of those that were there, at most until the
// next one came or one left. Those of the first moment are no newcomers.
func Arrival(rate float64) Measure {
	return Measure{Name: "newcomer at 80 % of its share after", Unit: Seconds, Of: func(r *Run) float64 {
		const step = 100 * time.Millisecond
		worst := 0.0
		flows := r.Scenario.Flows
		for i := range flows {
			start := flows[i].Start
			if start < time.Second {
				continue
			}
			there, until := 0, r.Scenario.Duration
			for j := range flows {
				if flows[j].Start <= start {
					there++
				} else {
					until = min(until, flows[j].Start)
				}
			}
			took := math.Inf(1)
			for at := start; at+time.Second <= until; at += step {
				if r.Flows[i].Rate(at, at+time.Second) >= 0.8*rate/float64(there) {
					took = (at + time.Second - start).Seconds()
					break
				}
			}
			worst = max(worst, took)
		}
		return worst
	}}
}

// Recovery is how long after a moment, by which a queue begins to grow within a second,
// every packet of a second again waited limit at most.
func Recovery(at, limit time.Duration) Measure {
	return Measure{Name: "queue under " + limit.String() + " again after", Unit: Seconds, Of: func(r *Run) float64 {
		after, ok := r.Links[0].Recovered(at, limit, time.Second)
		if !ok {
			return math.Inf(1)
		}
		return after.Seconds()
	}}
}

// Full is how long after a moment the utilisation of a second was back at 90 %.
func Full(at time.Duration) Measure {
	return Measure{Name: "at 90 % of the capacity after", Unit: Seconds, Of: func(r *Run) float64 {
		for t := at; t+time.Second <= r.Scenario.Duration; t += 100 * time.Millisecond {
			if r.Links[0].Utilisation(t, t+time.Second) >= 0.9 {
				return (t - at).Seconds()
			}
		}
		return math.Inf(1)
	}}
}

// Competitions is how often the flows under test took others for such as fill the
// queue.
func Competitions() Measure {
	return Measure{Name: "competition entries", Unit: Count, Of: func(r *Run) float64 { return float64(r.competitions()) }}
}

// AgainstClean is a measure as a share of what it is where nothing disturbs.
func AgainstClean(m Measure) Measure {
	return Measure{Name: m.Name + " beside the undisturbed one's", Unit: Percent, Of: func(r *Run) float64 {
		if clean := m.Of(r.Clean); clean != 0 {
			return m.Of(r) / clean
		}
		return math.Inf(1)
	}}
}

// UtilisationOf is Utilisation of another link, by its place.
func UtilisationOf(link int, from, to time.Duration) Measure {
	return Measure{Name: "utilisation on the way back" + span(from, to), Unit: Percent, Of: func(r *Run) float64 {
		return r.Links[link].Utilisation(from, r.end(to))
	}}
}
