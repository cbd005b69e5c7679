package linksim

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Delays sums up a distribution. All are zero where there was nothing to measure.
type Delays struct {
	P50, P95, P99, Max, Mean time.Duration
}

// Capacity is how many bytes the link could have served in a span.
func (r *LinkResult) Capacity(from, to time.Duration) int64 {
	l := r.link
	switch {
	case l.meter != nil:
		return capacity(l.meter.rates, from, to)
	case l.trace != nil:
		return l.trace.capacity(from, to)
	}
	return 0
}

// Utilisation is the share of the capacity that was used, from 0 to 1. It is 0 for a
// link that takes no time.
func (r *LinkResult) Utilisation(from, to time.Duration) float64 {
	could := r.Capacity(from, to)
	if could == 0 {
		return 0
	}
	var did int64
	for d := range r.departures.within(from, to) {
		did += int64(d.bytes)
	}
	return float64(did) / float64(could)
}

// Queue is how long packets waited in the queue, each counted once.
func (r *LinkResult) Queue(from, to time.Duration) Delays {
	return delays(r.departures.values(from, to, func(d *departure) time.Duration { return d.queued }))
}

// SelfInflicted is as Queue, without the part that a packet would have waited for
// the link in an empty queue too: the delay that senders brought upon themselves.
func (r *LinkResult) SelfInflicted(from, to time.Duration) Delays {
	return delays(r.departures.values(from, to, (*departure).own))
}

// QueueOverTime is as Queue, with each packet's delay weighted by the time in which
// it was the one that waited or was served; while nothing waits the delay is zero.
func (r *LinkResult) QueueOverTime(from, to time.Duration) Delays {
	type weighted struct{ delay, weight time.Duration }
	var v []weighted
	var busy time.Duration
	last := from
	var sum float64
	for d := range r.departures.within(from, to) {
		w := d.at - max(last, d.at-d.queued)
		last = d.at
		busy += w
		v = append(v, weighted{d.queued, w})
		sum += float64(float64(d.queued) * float64(w))
	}
	if to <= from {
		return Delays{}
	}
	v = append(v, weighted{0, to - from - busy})
	slices.SortFunc(v, func(a, b weighted) int { return cmp.Compare(a.delay, b.delay) })
	quantile := func(q float64) time.Duration {
		rest := time.Duration(float64(to-from) * q)
		for _, x := range v {
			if rest -= x.weight; rest <= 0 {
				return x.delay
			}
		}
		return v[len(v)-1].delay
	}
	return Delays{
		P50: quantile(.50), P95: quantile(.95), P99: quantile(.99), Max: v[len(v)-1].delay,
		Mean: time.Duration(sum / float64(to-from)),
	}
}

// delays sums v up, and leaves it in another order. A quantile is the smallest value
// that so many are not above.
func delays(v []time.Duration) Delays {
	if len(v) == 0 {
		return Delays{}
	}
	var sum float64
	for _, d := range v {
		sum += float64(d)
	}
	d := Delays{Mean: time.Duration(sum / float64(len(v))), Max: slices.Max(v)}
	quantile := func(q float64, n int) (time.Duration, int) {
		i := min(n-1, max(0, int(math.Ceil(q*float64(len(v))))-1))
		return pick(v[:n], i), i + 1
	}
	// Each is looked for among those that are not above the one before.
	n := len(v)
	d.P99, n = quantile(.99, n)
	d.P95, n = quantile(.95, n)
	d.P50, _ = quantile(.50, n)
	return d
}

// pick returns what would be at i if v were sorted, and leaves what is not above it
// before it. It takes a time in proportion to the length, where sorting a million
// packets for each question would take longer than simulating them.
func pick(v []time.Duration, i int) time.Duration {
	low, high := 0, len(v)-1
	for low < high {
		middle := (low + high) / 2
		pivot := max(min(v[low], v[middle]), min(max(v[low], v[middle]), v[high]))
		j, k := low, high
		for j <= k {
			for v[j] < pivot {
				j++
			}
			for v[k] > pivot {
				k--
			}
			if j <= k {
				v[j], v[k] = v[k], v[j]
				j++
				k--
			}
		}
		switch {
		case i <= k:
			high = k
		case i >= j:
			low = j
		default:
			return v[i]
		}
	}
	return v[i]
}

// Rate is what the receiver got, in bits per second on the wire, duplicates not
// counted.
func (r *FlowResult) Rate(from, to time.Duration) float64 {
	if to <= from {
		return 0
	}
	var bytes int64
	for a := range r.arrivals.within(from, to) {
		bytes += int64(a.bytes)
	}
	return float64(bytes) * 8 / (to - from).Seconds()
}

// OneWay is the time from sending to arrival, on the simulator's clock.
func (r *FlowResult) OneWay(from, to time.Duration) Delays {
	return delays(r.arrivals.values(from, to, func(a *arrival) time.Duration { return a.delay }))
}

// Queue is how long the flow's packets waited in all queues of their path.
func (r *FlowResult) Queue(from, to time.Duration) Delays {
	return delays(r.arrivals.values(from, to, func(a *arrival) time.Duration { return a.queued }))
}

// SelfInflicted is as Queue, without what a packet would have waited in empty
// queues.
func (r *FlowResult) SelfInflicted(from, to time.Duration) Delays {
	return delays(r.arrivals.values(from, to, (*arrival).own))
}

// Loss is the share of the packets sent in a span that the network dropped in it,
// from 0 to 1. Both are counted in whole bins.
func (r *FlowResult) Loss(from, to time.Duration) float64 {
	var sent, dropped int64
	for i := int(from / r.bin); i < len(r.Bins) && time.Duration(i)*r.bin < to; i++ {
		sent += int64(r.Bins[i].SentPackets)
		dropped += int64(r.Bins[i].Dropped)
	}
	if sent == 0 {
		return 0
	}
	return float64(dropped) / float64(sent)
}

// StartupLoss and SteadyLoss are the shares of the packets dropped of those sent
// during start-up and after it.
func (r *FlowResult) StartupLoss() float64 {
	return float64(r.StartupDropped) / float64(max(1, r.StartupSent))
}

// SteadyLoss is described at StartupLoss.
func (r *FlowResult) SteadyLoss() float64 {
	return float64(r.Dropped-r.StartupDropped) / float64(max(1, r.Sent-r.StartupSent))
}
