package urcp

import "time"

const (
	startupGain = 2.0 // of window to pacing while starting up
	// startupQueue ends the start-up: more is our own doing, not noise.
	startupQueue = 0.008
	// Where startupRise times as much is delivered as a round trip before, delay is not.
	startupRise = 1.6
	// flatRounds without flatGain times as much delivered mean that the path is full, as in
	// BBR (draft-ietf-ccwg-bbr).
	flatRounds = 3
	flatGain   = 1.25
	// startupLoss, over a round of at least startupLost packets, ends it too.
	startupLoss = 0.05
	startupLost = 4
)

// startup doubles the window each round trip until the path is full.
type startup struct {
	best  float64 // delivery rate to beat by flatGain
	flat  int
	ended int     // round in which it ended
	last  float64 // delivery rate a round ago
}

// grow is start-up's part in a feedback.
func (c *Controller) grow(t time.Duration, b *batch, round bool) {
	s := &c.start
	if !c.limited() {
		c.window += float64(b.bytes)
	}
	full := c.delay.queue > max(2*c.level()/c.rate(), startupQueue)
	if v := c.delivery.rate(); full && s.last > 0 && v > startupRise*s.last {
		// More was delivered as more was sent: that delay is the path's own.
		full = false
	}
	if round {
		s.last = c.delivery.rate()
	}
	lossy := c.lossy()
	if round && !b.limited && c.delivery.valid {
		if v := c.delivery.rate(); v > s.best*flatGain {
			s.best, s.flat = v, 0
		} else if s.flat++; s.flat >= flatRounds {
			full = true
		}
	}
	if !full && !lossy {
		return
	}
	c.settle(t, lossy)
}

// lossy says whether more is lost than a flow that grows fast may bring about.
func (c *Controller) lossy() bool {
	return c.loss.open.lost >= startupLost && c.loss.open.ratio() > startupLoss
}

// settle ends start-up.
func (c *Controller) settle(t time.Duration, lossy bool) {
	c.mode = Steady
	c.start.ended = c.rounds.count
	c.cycle.reset()
	if v := c.delivery.rate(); v > 0 {
		c.window = min(c.window, c.bdp(v, 0))
	}
	if lossy {
		c.window = min(c.window, 0.6*c.prior)
	}
	c.loss.forgive()
}

// settled says whether start-up's own losses no longer blur what is seen.
func (c *Controller) settled(rounds int) bool {
	return c.mode != Startup && c.rounds.count-c.start.ended > rounds
}
