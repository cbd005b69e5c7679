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
	again  bool // the first half of the test has passed
	last   time.Duration
	until  time.Duration
	window float64 // to go back to
	trip   float64 // round trip before it
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
	if t-e.last < max(aloneEvery, aloneRounds*srtt) && t-e.high < max(2*srtt, fellTime) {
		return false
	}
	e.active, e.again, e.last = true, false, t
	e.until = t + max(aloneTrips*srtt, aloneTime)
	e.window, e.trip, e.rate = c.window, trip, c.delivery.rate()
	c.window *= alonePart
	return true
}

// testAlone ends a test. Where all who fill the queue have halved their windows, the round
// trip is half of what it was, or as short as it can be. BBR, which keeps to its rate for a
// while whatever the queue is, would pass: so the window is halved again, and a queue that
// is still there is not ours.
func (c *Controller) testAlone(t time.Duration) {
	k, d := &c.compete, &c.delay
	e := &k.test
	if t < e.until {
		return
	}
	low := d.queue < leavePart*c.threshold()
	if !e.again && (low || d.minRTT+d.queue < aloneExact*alonePart*e.trip) {
		e.again = true
		e.until = t + max(seconds(d.srtt), drainTime)
		c.window *= alonePart
		return
	}
	if e.again && low {
		// The link may have become slower.
		k.link = 0
		c.endCompeting(t)
		c.window = min(alonePart*e.window, c.bdp(e.rate, aloneQueue))
		return
	}
	c.window = e.window
	k.epoch += t - e.last
	k.cut, k.peak = t, d.queue
	e.active, e.last, e.seen, e.high = false, t, t, t
}

// alone ends the competition: the queue is ours, so it is drained, and its bottom
// is the base.
func (c *Controller) alone(t time.Duration) {
	c.endCompeting(t)
	c.beginDrain(t)
}
