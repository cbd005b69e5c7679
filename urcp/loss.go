package urcp

import "time"

const lossGain = 0.2 // of a round in the average

// lossCount counts packets, and events: packets lost in a row are one, however many
// acknowledgements tell of them, so that chance is judged by what happens by chance.
type lossCount struct{ acked, lost, marked, events int }

// lossMeter keeps loss per round trip.
type lossMeter struct {
	open      lossCount
	shut      lossCount // the last full round
	ratio     float64   // average over rounds
	inherent  float64   // what the path loses without us
	skip      int       // rounds not to count
	run, done lossCount // the present and the last run of testLosses losses or so
}

func (l *lossMeter) add(b *batch) {
	l.open.acked += b.packets
	l.open.lost += b.lost - b.late
	l.open.events += b.rows
	l.open.marked += b.marked
}

func (n lossCount) ratio() float64 {
	if n.lost <= 0 {
		return 0
	}
	return float64(n.lost) / float64(n.acked+n.lost)
}

func (n lossCount) packets() int { return n.acked + n.lost }

func (n *lossCount) add(b *batch) {
	n.acked += b.packets
	n.lost += b.fresh - b.late
	n.events += b.freshRows
}

// rate is the events per packet.
func (n lossCount) rate() float64 {
	if n.lost <= 0 {
		return 0
	}
	return float64(n.events) / float64(n.packets())
}

// turn closes a round. Where the queue was long, its end is what the losses come from,
// and no test has to find that out.
func (l *lossMeter) turn(queued bool) {
	l.shut, l.open = l.open, lossCount{}
	if l.shut.lost < 0 {
		// What counted as lost in the round before was only late.
		l.shut.lost, l.open.lost = 0, l.shut.lost
	}
	if l.skip > 0 {
		l.skip--
		return
	}
	l.ratio += lossGain * (l.shut.ratio() - l.ratio)
	if queued {
		return
	}
	l.run.acked += l.shut.acked
	l.run.lost += l.shut.lost
	l.run.events += l.shut.events
	if l.run.events >= testLosses || (l.run.lost < testLosses && l.run.packets() > testLosses/testLoss) {
		l.done, l.run = l.run, lossCount{}
	}
}

// recent is the loss over so many packets that chance alone does not make it up.
func (l *lossMeter) recent() float64 { return l.done.ratio() }

// forgive leaves the losses of start-up out.
func (l *lossMeter) forgive() {
	l.skip = 3
	l.run, l.done = lossCount{}, lossCount{}
}

// All of these are this package's own.
const (
	testLoss    = 0.02  // from where on loss is looked into
	testQueue   = 0.008 // seconds; with more queue than that, loss is no riddle
	testSettled = 10    // rounds after start-up
	// Tests are testEvery and testRounds apart, and twice as far after each that found the
	// loss to be the path's own, up to testRarest.
	testEvery  = 3 * time.Second
	testRarest = time.Minute
	testRounds = 20
	// A test sends testPart of what is delivered. It takes testPackets, and as many as
	// would have brought testLosses losses before; where fewer than testFallen of those
	// come, the loss was ours.
	testPart    = 0.85
	testPackets = 120
	testLosses  = 15
	testFallen  = 0.25

	// A ceiling is set at ceilingGain of what is delivered, and rises by ceilingRise a
	// second at first. It is looked at after ceilingPackets packets or ceilingLosses
	// losses, and comes down where more than ceilingLoss is lost.
	ceilingGain    = 0.98
	ceilingRise    = 0.002
	ceilingLoss    = 0.015
	ceilingPackets = 400
	ceilingLosses  = 8
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
	seq     uint64        // newest packet when it began
	after   float64       // window to go back to
	before  float64       // loss before
	events  float64       // loss events per packet before
	every   time.Duration // how far tests are apart: further after each that found nothing
	bw      float64
	until   time.Duration
	count   lossCount
	last    time.Duration
	round   int
	ceiling float64 // bytes per second; none where zero
	raised  time.Duration
	growth  float64 // per second
	set     float64 // the ceiling when it was last set
}

// tested runs a test, and says whether it has the window for itself.
func (c *Controller) tested(t time.Duration, b *batch, round bool) bool {
	e := &c.elastic
	if e.ceiling > 0 {
		c.underCeiling(t, b)
	}
	switch e.state {
	case testSkip:
		if b.newest > e.seq && t >= e.until {
			e.state = testMeasure
			e.until = t + seconds(2*c.delay.srtt)
			e.count = lossCount{}
		}
		return true
	case testMeasure:
		e.count.add(b)
		// Losses are rare and come by chance: the verdict waits for as many packets as
		// would have lost testLosses before, or for the losses that show otherwise.
		full := float64(e.count.packets()) >= max(testPackets, testLosses/e.events)
		same := float64(e.count.events) > testFallen*testLosses && e.count.rate() > testFallen*e.events
		if !same && (!full || t < e.until) {
			return true
		}
		e.state = noTest
		e.last, e.round = t, c.rounds.count
		c.window = max(c.window, e.after)
		if !same && e.count.rate() < testFallen*e.events {
			c.setCeiling(t, ceilingGain*e.bw)
			e.every = testEvery
		} else {
			c.loss.inherent = (e.before + e.count.ratio()) / 2
			e.every = min(2*e.every, testRarest)
		}
		c.loss.ratio = c.loss.inherent
		c.loss.forgive()
		return true
	}
	l := &c.loss
	recent := l.recent()
	if !round || recent < testLoss || recent < 1.5*l.inherent || c.delay.queue > testQueue ||
		!c.settled(testSettled) || c.delivery.rate() == 0 || e.ceiling > 0 ||
		t-e.last < max(e.every, testEvery) || c.rounds.count-e.round < testRounds {
		return false
	}
	e.state = testSkip
	e.seq = c.sent.last().seq
	e.until = t + seconds(1.3*c.delay.srtt)
	// A row of losses has just lowered the one rate, perhaps, but hardly the other.
	e.after, e.before, e.bw = c.window, recent, max(c.delivery.rate(), c.delivery.mean)
	e.events, e.every = l.done.rate(), max(e.every, testEvery)
	c.window = min(c.window, testPart*c.bdp(e.bw, 0))
	c.stats.LossTests++
	return true
}

func (c *Controller) setCeiling(t time.Duration, rate float64) {
	e := &c.elastic
	e.ceiling, e.raised, e.growth = max(rate, minRate), t, ceilingRise
	e.set = e.ceiling
	e.count = lossCount{}
	c.stats.Ceilings++
}

// underCeiling lets the ceiling rise slowly, brings it down where loss returns, and
// drops it where a queue shows that the bottleneck is another.
func (c *Controller) underCeiling(t time.Duration, b *batch) {
	e := &c.elastic
	e.ceiling *= 1 + e.growth*(t-e.raised).Seconds()
	e.raised = t
	if c.delay.queue > 0.010 {
		e.ceiling = 0
		return
	}
	e.count.add(b)
	if n := e.count; n.packets() >= ceilingPackets || n.events >= ceilingLosses {
		over := n.ratio() - 1.3*c.loss.inherent
		switch {
		case over < ceilingLoss || n.events < ceilingLosses/2:
			e.growth = min(1.2*e.growth, 0.05)
		case n.ratio() > 0.6*e.before && e.ceiling < 1.02*e.set && t-e.last > time.Second:
			// As much is lost under the ceiling as was above it.
			c.loss.inherent, c.loss.ratio, e.ceiling = n.ratio(), n.ratio(), 0
		default:
			e.last = t
			c.setCeiling(t, min(e.ceiling, ceilingGain*c.delivery.now))
		}
		e.count = lossCount{}
	}
	if e.ceiling > 0 {
		c.window = min(c.window, 1.5*c.bdp(e.ceiling, 0))
	}
}
