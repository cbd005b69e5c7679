package linksim

import (
	"math"
	"time"
)

// active returns the flows that run during the whole of a span.
func (r *Result) active(from, to time.Duration, flows []string) []*FlowResult {
	var active []*FlowResult
	for _, f := range r.chosen(flows) {
		if f.start <= from && f.stop >= to {
			active = append(active, f)
		}
	}
	return active
}

// chosen are the flows of these names, and all where there are none.
func (r *Result) chosen(flows []string) []*FlowResult {
	if len(flows) == 0 {
		return r.Flows
	}
	var chosen []*FlowResult
	for _, name := range flows {
		if f := r.Flow(name); f != nil {
			chosen = append(chosen, f)
		}
	}
	return chosen
}

// Jain is Jain's index of the rates of the flows named, all where none is: 1 where
// all are equal, 1/n where one of n has everything. It is taken in windows of the
// width given, such as 1 or 10 seconds, over the flows that run during the whole
// window, and averaged over the windows that have two of them at least. It is 1 where
// no window has.
func (r *Result) Jain(window, from, to time.Duration, flows ...string) float64 {
	var sum float64
	var windows int
	for ; window > 0 && from+window <= to; from += window {
		active := r.active(from, from+window, flows)
		if len(active) < 2 {
			continue
		}
		rates := make([]float64, len(active))
		for i, f := range active {
			rates[i] = f.Rate(from, from+window)
		}
		sum += jain(rates)
		windows++
	}
	if windows == 0 {
		return 1
	}
	return sum / float64(windows)
}

func jain(rates []float64) float64 {
	var sum, squares float64
	for _, x := range rates {
		sum += x
		squares += float64(x * x)
	}
	if squares == 0 {
		return 1
	}
	return float64(sum*sum) / (float64(len(rates)) * squares)
}

// Share is a flow's part of what all flows named, all where none is, received in a
// span, from 0 to 1.
func (r *Result) Share(flow string, from, to time.Duration, among ...string) float64 {
	f := r.Flow(flow)
	if f == nil {
		return 0
	}
	var all float64
	for _, o := range r.chosen(among) {
		all += o.Rate(from, to)
	}
	if all == 0 {
		return 0
	}
	return f.Rate(from, to) / all
}

// MinShare is the least rate of the flows named, all where none is, over their mean:
// 1 where all are equal, 0 where one starves. Only flows that run during the whole
// span count.
func (r *Result) MinShare(from, to time.Duration, flows ...string) float64 {
	active := r.active(from, to, flows)
	least, sum := math.Inf(1), 0.0
	for _, f := range active {
		rate := f.Rate(from, to)
		least = min(least, rate)
		sum += rate
	}
	if sum == 0 {
		return 0
	}
	return least * float64(len(active)) / sum
}
