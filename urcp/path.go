package urcp

import "time"

// pathLife is for how long what was learned about a path is worth something.
const pathLife = 10 * time.Minute

// Path is what a controller knows of a path, for the next one on it.
type Path struct {
	// At is when this was known, on the caller's clock.
	At time.Duration
	// Rate is what the path delivered, in bits per second.
	Rate int64
	// RTT is the round trip without queues.
	RTT time.Duration
}

// Path returns what a later connection on the same path may start from.
func (c *Controller) Path() Path {
	r := c.delivery.link()
	if c.mode != Startup {
		r = min(r, c.rate())
	}
	return Path{At: c.last + c.epoch, Rate: int64(r * 8), RTT: seconds(c.delay.minRTT)}
}

// recall starts at half of what the path carried before.
func (c *Controller) recall(now time.Duration, p *Path) {
	if now-p.At > pathLife || now < p.At || p.Rate <= 0 || p.RTT <= 0 {
		return
	}
	w := float64(p.Rate) / 8 / 2 * p.RTT.Seconds()
	c.window = max(c.window, min(w, float64(1<<30)))
	if c.delay.srtt == 0 {
		c.delay.srtt = p.RTT.Seconds()
	}
	c.clampWindow()
}
