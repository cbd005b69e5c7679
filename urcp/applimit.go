package urcp

import "time"

// idleAfter is when a flow with nothing to send counts as having paused.
const idleAfter = time.Second

// limited says that the flow does not fill its window, which then must not grow:
// nothing has shown that the path would carry more.
func (c *Controller) limited() bool {
	return c.window > 2*max(c.peak, c.prior)
}

// resume begins a burst after a pause: what was allowed before still is, but is paced
// over a round trip.
func (c *Controller) resume(t time.Duration) {
	if c.rounds.count > 0 && t-c.heard > idleAfter {
		c.cycle.velocity = 1
		// A base that could not be seen is not old for that.
		c.delay.touched = max(c.delay.touched, t-staleBase/2)
		c.pace.calm(t + seconds(c.delay.srtt))
	}
	c.heard = t
}
