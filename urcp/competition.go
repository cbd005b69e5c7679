package urcp

import (
	"math"
	"time"
)

const (
	cubicC    = 0.4 // RFC 9438
	cubicBeta = 0.7

	competeLow  = 0.015 // no floor below it counts
	competeHigh = 0.060
	// competeFlows of our kind, each with its level in the queue, are no competition.
	competeFlows = 8
)

// compete watches for flows that fill the queue whatever its delay, and holds a
// share against them as Cubic would.
type compete struct {
	above  time.Duration // since when the floor is too high
	raised bool
	left   time.Duration
	before float64 // window when it began
	wmax   float64
	epoch  time.Duration
	origin float64
	cutSeq uint64
}

func (k *compete) suspect(t time.Duration) bool { return k.raised }

// threshold is the standing queue that delay-keeping flows would not leave.
func (c *Controller) threshold() float64 {
	link := max(c.delivery.link(), minRate)
	return min(max(competeFlows*levelPackets*c.mss/link, competeLow), competeHigh)
}

// watch is the part of competition in a feedback; it says whether it moved the window.
func (c *Controller) watch(t time.Duration, b *batch, round bool) bool {
	k := &c.compete
	d := &c.delay
	window := max(seconds(6*d.srtt), 300*time.Millisecond)
	d.floor.push(t, window, d.queue)
	floor, _ := d.floor.min()
	high := floor > c.threshold() && c.settled(5)
	if high != k.raised {
		k.raised = high
		if high {
			k.above = t
			k.before = max(c.window, c.prior)
		}
	}
	if c.mode != Competing {
		wait := max(seconds(10*d.srtt), time.Second)
		if k.left > 0 && t-k.left < 10*time.Second {
			wait /= 3
		}
		if !high || t-k.above < wait {
			return false
		}
		c.mode = Competing
		c.stats.Competitions++
		c.drain.active, c.elastic.state = false, noTest
		c.window = max(c.window, k.before)
		k.wmax, k.epoch = c.window, t
		k.origin = c.window
		k.cutSeq = 0
	}
	if !high {
		c.mode = Steady
		k.left = t
		c.cycle.reset()
		return false
	}
	if b.lost > 0 && b.newest >= k.cutSeq {
		k.wmax = c.window
		c.window *= cubicBeta
		k.origin, k.epoch = c.window, t
		k.cutSeq = c.sent.last().seq
		return true
	}
	if c.limited() {
		return true
	}
	s := (t - k.epoch).Seconds() + d.srtt
	kk := math.Cbrt(max(k.wmax-k.origin, 0) / c.mss / cubicC)
	target := cubicC*math.Pow(s-kk, 3)*c.mss + k.wmax
	reno := k.origin + 0.53*c.mss*(t-k.epoch).Seconds()/d.srtt
	target = min(max(target, reno), 1.5*c.window)
	if target > c.window {
		c.window += (target - c.window) * float64(b.bytes) / c.window
	}
	return true
}
