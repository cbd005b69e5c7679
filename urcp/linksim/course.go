package linksim

import (
	"math"
	"slices"
	"time"

	"github.com/reachback/reachback/urcp"
)

// Converged is how long after its start the flow's rate, in windows of a second, first
// stayed within a tolerance of a fair rate for the time held: with .2 and 3 seconds,
// within a fifth of it for 3 seconds. ok is false where it never did.
func (r *FlowResult) Converged(fair, tolerance float64, hold time.Duration) (after time.Duration, ok bool) {
	const window = time.Second
	n := int(max(1, window/r.bin))
	first := int((r.start + r.bin - 1) / r.bin)
	end := min(len(r.Bins), int(r.stop/r.bin))
	var bytes int64
	good := -1 // the bin with which the good windows began
	for i := first; i < end; i++ {
		bytes += r.Bins[i].Delivered
		if i-first >= n {
			bytes -= r.Bins[i-n].Delivered
		}
		if i-first < n-1 {
			continue
		}
		rate := float64(bytes) * 8 / (time.Duration(n) * r.bin).Seconds()
		if math.Abs(rate-fair) > tolerance*fair {
			good = -1
			continue
		}
		if good < 0 {
			good = i - n + 1
		}
		if time.Duration(i+1-good)*r.bin >= hold {
			return max(0, time.Duration(good)*r.bin-r.start), true
		}
	}
	return 0, false
}

// RateCoV is the coefficient of variation of the flow's rate in windows of a width:
// its standard deviation over its mean.
func (r *FlowResult) RateCoV(window, from, to time.Duration) float64 {
	var n int
	var sum, squares float64
	for ; window > 0 && from+window <= to; from += window {
		x := r.Rate(from, from+window)
		sum += x
		squares += float64(x * x)
		n++
	}
	if sum == 0 {
		return 0
	}
	mean := sum / float64(n)
	return math.Sqrt(max(0, squares/float64(n)-float64(mean*mean))) / mean
}

// Recovered is how long after a moment the queue, for every packet that left it within
// the time held, was at most so long again. ok is false where it never was.
func (r *LinkResult) Recovered(at, most, hold time.Duration) (after time.Duration, ok bool) {
	good := at
	for d := range r.departures.within(at, r.duration) {
		if d.at-good >= hold {
			break
		}
		if d.queued > most {
			good = d.at + 1
		}
	}
	return good - at, good+hold <= r.duration
}

// Latency is how long the source's messages of a span took from when they were made
// until they had arrived in their order. One that never did counts as if it had at
// the end of the scenario.
func (r *FlowResult) Latency(from, to time.Duration) Delays {
	var v []time.Duration
	for _, m := range r.Messages {
		switch {
		case m.Made < from || m.Made >= to:
		case m.Done < 0:
			v = append(v, r.end-m.Made)
		default:
			v = append(v, m.Done-m.Made)
		}
	}
	return delays(v)
}

// Wait is how long somebody who always finds the queue empty waits for the link to
// serve, at a moment chosen at random: the delay of a recorded link that no sender can
// avoid. It is zero for a link that is always served.
func (r *LinkResult) Wait(from, to time.Duration) Delays {
	if to <= from {
		return Delays{}
	}
	// A gap in service is as many waits as it is long, from its length down to nothing.
	var gaps []time.Duration
	switch l := r.link; {
	case l.trace != nil:
		for t := from; t < to; {
			next := min(to, t+l.trace.wait(t))
			gaps = append(gaps, next-t)
			t = next + 1
		}
	case l.meter != nil:
		for t := from; t < to; {
			gap := min(to-t, idle(l.meter.rates, t))
			if gap > 0 {
				gaps = append(gaps, gap)
			}
			_, until := l.meter.rates.at(t + gap)
			t = until
			if until == urcp.Never {
				break
			}
		}
	}
	return waits(gaps, to-from)
}

func waits(gaps []time.Duration, span time.Duration) Delays {
	if len(gaps) == 0 {
		return Delays{}
	}
	slices.Sort(gaps)
	var mean float64
	for _, g := range gaps {
		mean += float64(g.Seconds() * g.Seconds() / 2)
	}
	longest := gaps[len(gaps)-1]
	quantile := func(q float64) time.Duration {
		// The least wait that is exceeded for no more than 1-q of the time.
		low, high := time.Duration(0), longest
		for low < high {
			middle := (low + high) / 2
			var above time.Duration
			for i := len(gaps) - 1; i >= 0 && gaps[i] > middle; i-- {
				above += gaps[i] - middle
			}
			if float64(above) > (1-q)*float64(span) {
				low = middle + 1
			} else {
				high = middle
			}
		}
		return low
	}
	return Delays{
		P50: quantile(.50), P95: quantile(.95), P99: quantile(.99), Max: longest,
		Mean: time.Duration(mean / span.Seconds() * 1e9),
	}
}

// A Snapshotter is a controller that shows its state, as [urcp.Controller] does.
type Snapshotter interface{ Snapshot() urcp.Snapshot }

// sample notes what the controller is at, once a bin.
func (f *flow) sample(s *sim) {
	c, ok := f.ctrl.(Snapshotter)
	if !ok || f.state != flowRuns {
		return
	}
	snapshot := c.Snapshot()
	f.result.Snapshot = &snapshot
	f.result.Competitions = f.earlier + snapshot.Counters.Competitions
	if int(snapshot.Mode) < len(f.result.InMode) {
		f.result.InMode[snapshot.Mode] += s.sc.bin()
	}
}
