package urcp

import "time"

// drainTime is the shortest drain. Flows that share a queue see it empty at the same
// moments, so theirs come together, and a newcomer that has never seen it empty does.
const drainTime = 200 * time.Millisecond

// drain empties the queue for a moment where it has not emptied by itself, so that
// the base delay never ages out under a standing queue.
type drain struct {
	active bool
	until  time.Duration
	seq    uint64
	after  float64 // window to go back to
}

// drained runs a drain, and says whether it has the window for itself.
func (c *Controller) drained(t time.Duration, b *batch, round bool) bool {
	d := &c.drain
	if d.active {
		if t < d.until || b.newest <= d.seq {
			return true
		}
		d.active = false
		c.delay.anchor(t)
		c.window = max(c.window, d.after)
		c.cycle.velocity = 1
		return true
	}
	if !c.delay.have || t-c.delay.touched < staleBase || c.compete.raised {
		return false
	}
	c.beginDrain(t)
	return true
}

func (c *Controller) beginDrain(t time.Duration) {
	d := &c.drain
	d.active = true
	d.after = c.window
	c.window /= 2
	if bw := c.delivery.rate(); bw > 0 {
		d.after = min(d.after, c.bdp(bw, 0.005))
		c.window = min(c.window, c.bdp(bw, 0)/2)
	}
	d.until = t + max(seconds(c.delay.srtt), drainTime)
	d.seq = c.sent.last().seq
	c.delay.anew()
	c.delay.touched = t
	c.stats.Drains++
}
