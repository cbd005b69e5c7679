package urcp

import "time"

const (
	// A test halves the window for aloneTrips round trips, and aloneTime at least: BBR keeps
	// away for 200 ms to see its base delay, which must not pass for an answer. Tests come
	// every aloneEvery, and aloneRounds on long queues, where each takes long.
	alonePart   = 0.5
	aloneTrips  = 4
	aloneTime   = 600 * time.Millisecond
	aloneEvery  = 6 * time.Second
	aloneRounds = 30
	// A test that is due waits for the queue to overflow or fall, but not for longer than
	// that many times as far as tests are apart.
	aloneLate = 2
	// One for a round trip that has fallen comes at once, but so long after the last: flows
	// that test in turn, each because of the one before, would never test together.
	aloneSoon = 2 * time.Second
	// aloneSpread is how many round trips the tests of several flows may be apart.
	aloneSpread = 1.5
	// aloneExact is how near to alonePart the round trip has to come. With a Cubic that has
	// half of the link and yields at the same moment, it stays a fifth longer.
	aloneExact = 1.07
	// aloneQueue is the queue that a flow leaves itself which goes back to keeping it short.
	aloneQueue = 0.005

	// A round trip that was shorter than fellPart of its mean over meanTime seconds for
	// fellTime shows that another has left, or tests: that is the moment for a test.
	fellPart = 0.8
	fellTime = 300 * time.Millisecond
	meanTime = 5
)

// aloneTest finds out, while competing, whether flows of our kind alone fill the queue.
// They would go on for ever, as each takes the queue of the others for a Cubic's. All of
// them see the round trip fall when another flow leaves, or when one of them tests, so
// that they test together; then nobody holds the queue, and it goes.
type aloneTest struct {
	active bool
	last   time.Duration
	until  time.Duration
	window float64 // to go back to
	trip   float64 // round trip before it
	part   float64 // of the window, that was left in the last step that passed; one before
	rate   float64 // before it

	mean float64 // of the round trip
	seen time.Duration
	high time.Duration // when the round trip was last not much shorter than the mean
}

// reset begins to look at round trips, the first of which is trip.
func (e *aloneTest) reset(t time.Duration, trip float64) {
	*e = aloneTest{last: t, mean: trip, seen: t, high: t}
}

// testedAlone runs tests, and says whether one has the window for itself.
func (c *Controller) testedAlone(t time.Duration) bool {
	e, d := &c.compete.test, &c.delay
	if e.active {
		c.testAlone(t)
		return true
	}
	srtt, trip := seconds(d.srtt), d.minRTT+d.queue
	e.mean += (trip - e.mean) * min(1, (t-e.seen).Seconds()/meanTime)
	e.seen = t
	if trip > fellPart*e.mean {
		e.high = t
	}
	if t-e.last < aloneLate*c.alonePeriod() && (t-e.high < max(2*srtt, fellTime) || t-e.last < aloneSoon) {
		return false
	}
	c.beginAlone(t)
	return true
}

// alonePeriod is how far tests are apart.
func (c *Controller) alonePeriod() time.Duration {
	return max(aloneEvery, aloneRounds*seconds(c.delay.srtt))
}

// yielded is the moment for a test that is due: the queue has overflowed, or another has
// backed off, which all see that share it.
func (c *Controller) yielded(t time.Duration) {
	if t-c.compete.test.last >= c.alonePeriod() {
		c.beginAlone(t)
	}
}

func (c *Controller) beginAlone(t time.Duration) {
	e, d := &c.compete.test, &c.delay
	e.active, e.last, e.part = true, t, 1
	e.until = t + max(aloneTrips*seconds(d.srtt), aloneTime)
	e.window, e.trip, e.rate = c.window, d.minRTT+d.queue, c.delivery.rate()
	c.window *= alonePart
}

// testAlone ends a step of a test. Where all who fill the queue have halved their windows,
// the round trip is half of what it was, or as short as it can be. BBR, which keeps to its
// rate for a while whatever the queue is, would pass: so the window is halved again, at
// least once, until the queue is gone, and one that stays is not ours.
func (c *Controller) testAlone(t time.Duration) {
	k, d := &c.compete, &c.delay
	e := &k.test
	if t < e.until {
		return
	}
	low := d.queue < leavePart*c.threshold()
	first := e.part == 1
	e.part *= alonePart
	if low && first || !low && d.minRTT+d.queue < aloneExact*e.part*e.trip {
		e.until = t + max(seconds(aloneSpread*e.trip), drainTime)
		c.window *= alonePart
		return
	}
	if low {
		// The link may have become slower.
		k.link = 0
		c.endCompeting(t)
		return
	}
	c.window = e.window
	k.epoch += t - e.last
	k.cut, k.peak = t, d.queue
	e.active, e.last, e.seen, e.high = false, t, t, t
}

// endTest goes back to what fills the link where the competition is over, whether the test
// has shown that or something else has before its end.
func (c *Controller) endTest() {
	if e := &c.compete.test; e.active {
		e.active = false
		c.window = min(alonePart*e.window, c.bdp(e.rate, aloneQueue))
	}
}

// alone ends the competition: the queue is ours, so it is drained, and its bottom
// is the base.
func (c *Controller) alone(t time.Duration) {
	c.endCompeting(t)
	c.beginDrain(t)
}
