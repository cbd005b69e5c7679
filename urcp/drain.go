package urcp

import "time"

// drainTime is the shortest drain. Flows that share a queue see it empty at the same
// moments, so theirs come together, and a newcomer that has never seen it empty does.
const drainTime = 200 * time.Millisecond

// On noisy paths drains come this often while they bring news, and seldom after.
const (
	noisySoon = time.Second
	noisyBase = 8 * time.Second
	noisyNews = 0.0015
	// Of the window, noisyPart is enough to see what is left of the delay then; others
	// need drainPart to empty the queue for those that share it.
	noisyPart = 0.75
	drainPart = 0.5
)

// drain empties the queue for a moment where it has not emptied by itself, so that
// the base delay never ages out under a standing queue.
type drain struct {
	active bool
	quiet  bool
	until  time.Duration
	seq    uint64
	last   time.Duration
	every  time.Duration // how far drains are apart on a noisy path
	after  float64       // window to go back to
}

// drained runs a drain, and says whether it has the window for itself.
func (c *Controller) drained(t time.Duration, b *batch) bool {
	d := &c.drain
	if d.active {
		if b.newest <= d.seq {
			return true
		}
		if !d.quiet {
			// From here on nothing of what was sent before is in the queue.
			d.quiet = true
			c.delay.noise.begin()
			if c.delay.noise.lumps > lumpy {
				d.until = max(d.until, t+max(seconds(c.delay.minRTT), drainTime))
			}
		}
		if b.timed {
			c.delay.noise.add(c.delay.above)
		}
		if t < d.until {
			return true
		}
		d.active = false
		d.last = t
		z := &c.delay.noise
		was := c.delay.base + z.bias
		c.delay.anchor(t)
		d.every = min(2*max(d.every, noisySoon), noisyBase)
		if now := c.delay.base + z.bias; now > was+noisyNews || now < was-noisyNews {
			d.every = noisySoon
		}
		c.window = max(c.window, d.after)
		c.cycle.velocity = 1
		return true
	}
	stale := t-c.delay.touched > staleBase
	noisy := (c.delay.noise.high() && t-d.last > d.every) || (c.delay.noise.lumps > lumpiest && t-d.last > max(d.every, noisySoon))
	if !c.delay.have || (!stale && !noisy) || c.compete.raised || !c.settled(5) {
		return false
	}
	c.beginDrain(t)
	return true
}

func (c *Controller) beginDrain(t time.Duration) {
	d := &c.drain
	d.active = true
	d.after = c.window
	part := drainPart
	if c.delay.noise.slack() > 0 {
		part = noisyPart
	}
	c.window *= part
	if bw := c.delivery.rate(); bw > 0 {
		d.after = min(d.after, c.bdp(bw, 0.005))
		c.window = min(c.window, c.bdp(bw, 0)*part)
	}
	d.quiet = false
	d.until = t + max(seconds(c.delay.srtt), drainTime)
	d.seq = c.sent.last().seq
	c.delay.anew()
	c.delay.touched = t
	c.stats.Drains++
}
