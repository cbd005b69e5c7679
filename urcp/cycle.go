package urcp

import (
	"math"
	"time"
)

const (
	// levelDelay and levelRate fix the operating level k1: so much queueing delay
	// for one flow of that rate. Below it, utility is logarithmic with two packets
	// in the queue; above, it is the square root's, so that the queue does not sink
	// below what hosts' timers can resolve.
	levelDelay   = 0.002
	levelRate    = 10e6 / 8
	levelPackets = 2

	// lossPrice is the delay that lossUnit of loss above the inherent is worth.
	lossPrice = 0.010
	lossUnit  = 0.03
	lossSlack = 0.005

	// steadyRounds in one direction double the step.
	steadyRounds = 3
	upMost       = 0.1  // of the window in a round
	backMost     = 0.03 // the same behind a queue on the way back, which hides ours for long
	downPart     = 0.4  // of what is too much in the queue, in a round

	// A queue under emptyQueue for emptyRounds makes the window rise by
	// emptyGain a round trip, less on paths longer than emptyRTT.
	emptyQueue  = 0.003
	emptyRounds = 4
	emptyGain   = 0.12
	emptyRTT    = 0.060
	// varied is from where on a link counts as one whose rate changes by itself.
	varied     = 0.15
	variedGain = 0.2

	// longQueue cuts the window to what is delivered.
	longQueue    = 0.037
	longLevels   = 4
	longLeftover = 0.006
)

// cycle is the steady state: the window rises while the rate is under what the
// price of the queue allows, and falls while it is over, by one level k1 a round
// trip, so that the queue swings and shows its bottom every few round trips.
type cycle struct {
	up       bool
	same     int     // rounds in this direction
	velocity float64 // steps per round
	empty    int     // rounds since the queue was last longer than emptyQueue
	cut      time.Duration
}

func (y *cycle) reset() {
	y.velocity, y.same, y.empty = 1, 0, 0
}

// level is k1, in bytes: what this flow keeps in the bottleneck's queue.
func (c *Controller) level() float64 {
	v := max(levelPackets*c.mss, levelDelay*math.Sqrt(c.rate()*levelRate))
	if c.radio() {
		v *= radioLevel
	}
	return v
}

// refill is for how many rounds the queue has to be empty before the window rises faster,
// and by how much a round trip: sooner and by more on links whose rate changes by itself,
// and on paths with delays of their own. The last is what the doubled step comes to at most.
func (c *Controller) refill() (rounds int, gain, most float64) {
	if c.delivery.part > varied && c.delay.noise.lumps <= lumpy {
		return emptyRounds / 2, variedGain, upMost
	}
	if c.delay.noise.lumps > lumpy {
		return emptyRounds / 2, emptyGain * 5 / 4, upMost
	}
	if c.delay.longBack() > 0 {
		return emptyRounds, emptyGain, backMost
	}
	return emptyRounds, emptyGain, upMost
}

// price is the congestion level X, in seconds of queueing delay. What may be noise costs
// nothing, so that flows that share a noisy path still agree on the rest.
func (c *Controller) price() float64 {
	x := max(0, c.delay.queue-c.delay.noise.slack())
	if x > 2*c.level()/c.rate() {
		if over := c.loss.ratio - 1.3*c.loss.inherent - lossSlack; over > 0 {
			x += lossPrice * (over / lossUnit) * (over / lossUnit)
		}
	}
	return x + c.marks.price
}

// turn is the steady state's part in a feedback.
func (c *Controller) turn(t time.Duration, b *batch, round bool) {
	y := &c.cycle
	q, k1 := c.delay.queue, c.level()
	rounds, gain, most := c.refill()
	up := c.rate()*c.price() < k1
	if up != y.up {
		y.up, y.velocity, y.same = up, 1, 0
	} else if round {
		if y.same++; y.same > steadyRounds {
			y.velocity = min(2*y.velocity, max(most*c.window/k1, 1))
		}
	}
	empty := emptyQueue
	// On steady and fast links all that the cycle makes is shorter than that.
	if rounds == emptyRounds {
		empty = min(empty, k1/c.rate())
	}
	if q > empty {
		y.empty = 0
	} else if round {
		y.empty++
	}

	step := y.velocity * k1 * float64(b.bytes) / c.window
	if up {
		if c.limited() {
			return
		}
		if c.radio() {
			step += c.lack() * float64(b.bytes)
		} else if y.empty > rounds && c.loss.ratio < c.loss.inherent+lossUnit {
			step += gain * float64(b.bytes) * min(1, emptyRTT/(c.delay.minRTT+c.delay.back))
		}
		c.window += step
	} else {
		over := c.rate()*c.price() - k1
		// What is seen is as old as a round trip and the window of the minimum: with
		// a longer window, steps have to be smaller.
		age := c.delay.srtt + c.delay.standing().Seconds()
		c.window -= max(k1, c.down()*min(1, 1.5*c.delay.srtt/age)*over) * float64(b.bytes) / c.window
	}

	bw := c.delivery.rate()
	if bw == 0 {
		return
	}
	long := longQueue
	if !c.radio() {
		long = max(long, longLevels*k1/c.rate())
	}
	if q > long && t-y.cut > seconds(c.delay.srtt) {
		c.window = min(c.window, max(c.bdp(c.delivery.lately(), longLeftover), c.window/2))
		y.cut, y.velocity = t, 1
	}
	if hi := 2*c.bdp(bw, 0.020) + 20*c.mss; c.window > hi {
		c.window = hi
	}
}
