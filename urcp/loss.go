package urcp

import "time"

const lossGain = 0.2 // of a round in the average

type lossCount struct{ acked, lost, marked int }

// lossMeter keeps loss per round trip.
type lossMeter struct {
	open     lossCount
	shut     lossCount // the last full round
	ratio    float64   // average over rounds
	inherent float64   // what the path loses without us
	skip     int       // rounds not to count
}

func (l *lossMeter) add(acked, lost, late, marked int) {
	l.open.acked += acked
	l.open.lost = max(0, l.open.lost+lost-late)
	l.open.marked += marked
}

func (l *lossMeter) openRatio() float64 { return l.open.ratio() }

func (n lossCount) ratio() float64 {
	if n.acked+n.lost == 0 {
		return 0
	}
	return float64(n.lost) / float64(n.acked+n.lost)
}

// turn closes a round.
func (l *lossMeter) turn() {
	l.shut, l.open = l.open, lossCount{}
	if l.skip > 0 {
		l.skip--
		return
	}
	l.ratio += lossGain * (l.shut.ratio() - l.ratio)
}

// forgive leaves the losses of start-up out.
func (l *lossMeter) forgive() { l.skip = 3 }

const (
	testLoss    = 0.02  // from where on loss is looked into
	testQueue   = 0.008 // with more queue than that, loss is no riddle
	testSettled = 10    // rounds after start-up
	testEvery   = 3 * time.Second
	testRounds  = 20
	testPackets = 120
	ceilingGain = 0.98
)

type testState uint8

const (
	noTest testState = iota
	testSkip
	testMeasure
)

// elasticity finds out whether loss without a queue is the path's own, or ours: it
// sends less for a moment and looks whether loss falls. Where it does, a policer or
// a very short buffer is in the way, and a ceiling holds the rate under it.
type elasticity struct {
	state   testState
	after   float64 // window to go back to
	before  float64 // loss before
	bw      float64
	until   time.Duration
	count   lossCount
	last    time.Duration
	round   int
	ceiling float64 // bytes per second; none where zero
	raised  time.Duration
	growth  float64 // per second
}

// tested runs a test, and says whether it has the window for itself.
func (c *Controller) tested(t time.Duration, b *batch, round bool) bool {
	e := &c.elastic
	if e.ceiling > 0 {
		c.underCeiling(t, b, round)
	}
	switch e.state {
	case testSkip:
		if t >= e.until {
			e.state = testMeasure
			e.until = t + seconds(2*c.delay.srtt)
			e.count = lossCount{}
		}
		return true
	case testMeasure:
		e.count.acked += b.packets
		e.count.lost = max(0, e.count.lost+b.lost-b.late)
		if t < e.until || e.count.acked+e.count.lost < testPackets {
			return true
		}
		e.state = noTest
		e.last, e.round = t, c.rounds.count
		c.window = max(c.window, e.after)
		if got := e.count.ratio(); got < 0.4*e.before {
			c.setCeiling(t, ceilingGain*e.bw)
		} else {
			c.loss.inherent = (e.before + got) / 2
		}
		c.loss.ratio = c.loss.inherent
		c.loss.skip = 2
		return true
	}
	l := &c.loss
	if !round || l.ratio < testLoss || l.ratio < 1.5*l.inherent || c.delay.queue > testQueue ||
		!c.settled(testSettled) || c.delivery.rate() == 0 || e.ceiling > 0 ||
		t-e.last < testEvery || c.rounds.count-e.round < testRounds {
		return false
	}
	e.state = testSkip
	e.until = t + seconds(1.3*c.delay.srtt)
	e.after, e.before, e.bw = c.window, l.ratio, c.delivery.rate()
	c.window = min(0.75*c.window, 0.85*c.bdp(e.bw, 0))
	c.stats.LossTests++
	return true
}

func (c *Controller) setCeiling(t time.Duration, rate float64) {
	e := &c.elastic
	e.ceiling, e.raised, e.growth = max(rate, minRate), t, 0.002
	c.stats.Ceilings++
}

// underCeiling lets the ceiling rise slowly, brings it down where loss returns, and
// drops it where a queue shows that the bottleneck is another.
func (c *Controller) underCeiling(t time.Duration, b *batch, round bool) {
	e := &c.elastic
	e.ceiling *= 1 + e.growth*(t-e.raised).Seconds()
	e.raised = t
	if c.delay.queue > 0.010 {
		e.ceiling = 0
		return
	}
	if round {
		e.growth = min(e.growth*(1+0.1*c.delay.srtt), 0.05)
	}
	n := c.loss.open
	if n.lost >= 3 && n.ratio() > 1.3*c.loss.inherent+0.015 && t-e.last > seconds(2*c.delay.srtt) {
		if bw := c.delivery.now; bw > 0 {
			c.setCeiling(t, min(e.ceiling, ceilingGain*bw))
			e.last = t
		}
	}
	c.window = min(c.window, 1.5*c.bdp(e.ceiling, 0))
}
