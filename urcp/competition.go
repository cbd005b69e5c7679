package urcp

import (
	"math"
	"time"
)

const (
	// The window grows as in RFC 9438 while it competes.
	cubicC    = 0.4
	cubicBeta = 0.7
	cubicReno = 0.53 // packets a round trip, where a Reno flow would be faster

	// A standing queue of competeFlows flows of our kind, each with its level in it,
	// is no competition. No floor under competeLow counts, and any over competeHigh
	// does.
	competeFlows = 8
	competeLow   = 0.015
	competeHigh  = 0.060
	leavePart    = 0.5 // of the floor, to leave
	// The floor is the lowest standing queue of six round trips, and has to be too high
	// for ten, within these bounds.
	floorLeast = 300 * time.Millisecond
	floorMost  = 1500 * time.Millisecond
	waitLeast  = time.Second
	waitMost   = 3 * time.Second
	widestTime = 3 * time.Second
	evenPart   = 0.5
	// A flow whose window never was wide, for one that came when the queue was full, widens
	// it as in start-up to joinPart of what fills the link and its queue, in joinRounds at
	// most. Cubic's growth from a few packets would take a minute.
	joinPart   = 0.4
	joinRounds = 10

	// evenShare is the share of the link from which on a flow yields more than
	// Cubic would, and under which it yields less: there is one competitor at least.
	evenShare = 0.70
	// wholeShare is what only a flow that is alone gets.
	wholeShare = 0.92
	// fallenQueue is by how much of the round trip the queue has to fall before it
	// shows that another flow has backed off.
	fallenQueue = 0.05
	fallenLeast = 0.003

	// flatQueue is how far, and stillRounds and flatTime how long, a queue does not
	// move that nobody fills: the way has become longer.
	flatQueue   = 0.0007
	stillRounds = 5
	flatTime    = 500 * time.Millisecond
)

// compete watches for flows that fill the queue whatever its delay, and holds a
// share against them: the window grows as Cubic's does, and falls when packets are
// lost or when the queue shows that another has yielded. It never takes a loss to
// make room for more than an even share.
type compete struct {
	raised  bool // the floor is too high
	above   time.Duration
	widest  windowMin
	before  float64 // the widest window shortly before it rose
	flat    float64 // queue that has not moved since flatAt
	flatAt  time.Duration
	lastHi  time.Duration
	left    time.Duration
	link    float64 // capacity, bytes per second
	wmax    float64
	origin  float64
	begun   time.Duration
	joining bool // the window has not been wide yet
	epoch   time.Duration
	cut     time.Duration
	peak    float64 // longest queue since the last cut
	whole   time.Duration
	test    aloneTest
}

// link is the highest rate that the bottleneck has shown lately, in bytes per second.
func (c *Controller) link() float64 {
	v := c.delivery.link()
	if c.last < linkTime || c.mode == Competing {
		v = max(v, min(c.train.rate, trainMost*v))
	}
	return v
}

// threshold is the standing queue that flows of our kind would not leave.
func (c *Controller) threshold() float64 {
	link := max(c.link(), minRate)
	v := min(max(competeFlows*levelPackets*c.mss/link, competeLow), competeHigh)
	// Two flows of two packets each are more than that on the slowest links.
	return max(v, 2*levelPackets*c.mss/link)
}

// watch looks for competition, and says whether the window is its.
func (c *Controller) watch(t time.Duration, b *batch) bool {
	k, d := &c.compete, &c.delay
	// Flows of our kind leave the slack too.
	queue := max(0, d.queue-d.noise.slack())
	d.floor.push(t, min(max(seconds(6*d.srtt), floorLeast), floorMost), queue)
	floor, _ := d.floor.min()
	limit := c.threshold()
	k.widest.push(t, max(seconds(20*d.srtt), widestTime), -c.window)
	raised := floor > limit && c.settled(5) && !c.drain.active
	if raised && !k.raised {
		k.above = t
		w, _ := k.widest.min()
		k.before = -w
	}
	k.raised = raised
	if math.Abs(d.queue-k.flat) > flatQueue || b.lost > 0 {
		k.flat, k.flatAt = d.queue, t
	}
	if queue > leavePart*limit {
		k.lastHi = t
	}
	if c.mode == Competing {
		c.hold(t, b)
		return c.mode == Competing
	}
	wait := min(max(seconds(10*d.srtt), waitLeast), waitMost)
	if c.radio() {
		wait = waitMost // it fades for longer than that is
	}
	if k.left > 0 && t-k.left < 10*time.Second {
		wait /= 3
	}
	if !raised || t-k.above < wait {
		return false
	}
	if t-k.flatAt > max(seconds(stillRounds*d.srtt), flatTime) && c.window < 0.7*k.before {
		// The window fell and the queue did not, nor did anybody else fill it.
		d.anew()
		d.lowest, d.lowRTT = d.base+d.queue, d.minRTT+d.queue
		d.anchor(t)
		d.floor = windowMin{}
		c.window = max(c.window, min(k.before, c.bdp(c.delivery.link(), 0))/2)
		k.raised = false
		c.stats.Routes++
		return false
	}
	c.beginCompeting(t)
	return true
}

func (c *Controller) beginCompeting(t time.Duration) {
	k := &c.compete
	c.mode = Competing
	c.stats.Competitions++
	c.drain.active, c.elastic.state, c.elastic.ceiling = false, noTest, 0
	k.link = max(k.link, c.link())
	c.window = max(c.window, min(k.before, evenPart*k.link*(c.delay.minRTT+c.delay.queue)))
	k.wmax, k.origin, k.epoch = c.window, c.window, t
	k.cut, k.peak, k.whole = t, c.delay.queue, t
	k.begun, k.joining = t, true
	k.test.reset(t, c.delay.minRTT+c.delay.queue)
}

func (c *Controller) endCompeting(t time.Duration) {
	c.endTest()
	c.mode = Steady
	c.compete.left = t
	c.compete.raised = false
	c.delay.floor = windowMin{}
	c.cycle.reset()
}

// share is the part of the link that this flow has.
func (k *compete) share(rate float64) float64 { return min(rate/k.link, 1) }

// hold is one feedback's part in competing.
func (c *Controller) hold(t time.Duration, b *batch) {
	k, d := &c.compete, &c.delay
	srtt := seconds(d.srtt)
	rate := c.delivery.rate()
	k.link = max(k.link, rate)
	x := k.share(rate)
	if t-k.lastHi > max(8*srtt, time.Second) {
		c.endCompeting(t)
		return
	}
	if x < wholeShare {
		k.whole = t
	} else if t-k.whole > max(2*srtt, 300*time.Millisecond) {
		c.alone(t)
		return
	}
	if k.joining {
		c.join(t, b)
		return
	}
	if c.testedAlone(t) {
		return
	}
	k.peak = max(k.peak, d.queue)
	fallen := d.queue < k.peak-max(fallenQueue*(d.minRTT+k.peak), fallenLeast)
	if (b.lost > 0 && t-k.cut > srtt) || (fallen && t-k.cut > 2*srtt) {
		k.wmax = c.window
		c.window *= 1 - (1-cubicBeta)*min(max(math.Pow(x/evenShare, 2.5), 0.15), 1.6)
		k.origin, k.epoch, k.cut = c.window, t, t
		k.peak = d.queue
		c.yielded(t)
		return
	}
	if t-k.cut < 2*srtt {
		k.peak = d.queue
	}
	if c.limited() {
		return
	}
	since := (t - k.epoch).Seconds()
	v := since + d.srtt - math.Cbrt(max(k.wmax-k.origin, 0)/c.mss/cubicC)
	target := max(k.wmax+cubicC*v*v*v*c.mss, k.origin+cubicReno*c.mss*since/d.srtt)
	target = min(target, 1.5*c.window)
	if target > c.window {
		c.window += (target - c.window) * float64(b.bytes) / c.window * min(1, (1-x)/(1-evenShare))
	}
}

// join is the part of a flow that has still to get its share.
func (c *Controller) join(t time.Duration, b *batch) {
	k := &c.compete
	trip := c.delay.minRTT + c.delay.queue
	if c.window >= joinPart*k.link*trip || c.lossy() || t-k.begun > seconds(joinRounds*c.delay.srtt) {
		k.joining = false
	} else if !c.limited() {
		c.window += float64(b.bytes)
	}
	k.wmax, k.origin, k.epoch = c.window, c.window, t
	k.cut, k.peak = t, c.delay.queue
	k.test.reset(t, trip)
}
