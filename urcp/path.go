package urcp

import "time"

const (
	// pathLife is for how long what was learned about a path is worth something.
	pathLife = 10 * time.Minute
	// maxPathRTT is from where on a round trip that is remembered is a mistake.
	maxPathRTT = 10 * time.Second
)

// Path is what a controller knows of a path, for the next one on it. It may be stored:
// one that is too old or damaged is left alone, whatever it holds.
type Path struct {
	// At is when this was known, on the caller's clock.
	At time.Duration
	// Rate is what the path delivered, in bits per second.
	Rate int64
	// RTT is the round trip without queues.
	RTT time.Duration
	// Lumps is the part of the acknowledgements, from 0 to 1, whose packets the path had
	// held back and released together, as radio links do. On such a path Rest is by how
	// much delays without any queue are above the lowest, and Jitter how much they
	// move from one acknowledgement to the next: to learn both takes drains.
	Lumps        float64
	Rest, Jitter time.Duration
}

// Path returns what a later connection on the same path may start from.
func (c *Controller) Path() Path {
	r := c.delivery.link()
	if c.mode != Startup {
		r = min(r, c.rate())
	}
	z := &c.delay.noise
	return Path{
		At: c.last + c.epoch, Rate: int64(r * 8), RTT: seconds(c.delay.minRTT),
		Lumps: z.lumps, Rest: seconds(z.bias), Jitter: seconds(min(z.swing, maxBias)),
	}
}

// usable says whether p can be what a controller knew ten minutes before now or later.
func (p *Path) usable(now time.Duration) bool {
	most := seconds(maxBias)
	return p.At <= now && p.At >= now-pathLife &&
		p.Rate > 0 && p.RTT > 0 && p.RTT <= maxPathRTT &&
		p.Lumps >= 0 && p.Lumps <= 1 && p.Rest >= 0 && p.Rest <= most && p.Jitter >= 0 && p.Jitter <= most
}

// recall starts at half of what the path carried before, and knows its delays.
func (c *Controller) recall(now time.Duration, p *Path) {
	if !p.usable(now) {
		return
	}
	w := float64(p.Rate) / 8 / 2 * p.RTT.Seconds()
	c.window = max(c.window, min(w, float64(1<<30)))
	if c.delay.srtt == 0 {
		c.delay.rtt(p.RTT)
	}
	z := &c.delay.noise
	z.lumps, z.bias, z.swing = p.Lumps, p.Rest.Seconds(), p.Jitter.Seconds()
	c.clampWindow()
}
