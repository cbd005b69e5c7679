package urcp

import "math"

// A radio link's rate changes by itself, by half or twice within a few round trips, so
// that what is seen of it is soon out of date. There the window does not feel its way up
// but goes for what the link carries, and goes down less hastily.
const (
	// What tells such a link: how far the bottleneck's rate is from its mean, that round
	// trip and rate of delivery sway, and that some packets come in lumps.
	radioChange = 0.2
	radioLumps  = 0.02

	// In a round trip the window rises by radioStep of what it lacks, and by radioMost
	// at most. Of the rate, the part radioLasts is taken to last; the rest is no more than
	// the mean.
	radioStep  = 0.5
	radioMost  = 0.75
	radioLasts = 0.5

	// radioLevel is how much of the operating level is left, as the link's own waits keep
	// it busy, and radioRTT from which round trip on the window goes down by a smaller part.
	radioLevel = 0.5
	radioRTT   = 0.040 // seconds
	// radioPace is the pacing gain: what waits in the sender when the link gets faster is
	// late.
	radioPace = 2
)

// radio says whether the bottleneck is a radio link.
func (c *Controller) radio() bool {
	z := &c.delay.noise
	return c.capacity.change > radioChange && z.varies() &&
		z.lumps > radioLumps && z.lumps <= lumpiest && c.capacity.rate() > 0
}

// lack is how much of itself the window should rise in a round trip on a radio link.
func (c *Controller) lack() float64 {
	v := c.capacity.sure(c.mss)
	v = radioLasts*v + (1-radioLasts)*min(v, c.delivery.mean)
	return min(max(radioStep*(v/c.delivery.now-1), 0), radioMost)
}

// down is how much of what is too much in the queue goes in a round trip.
func (c *Controller) down() float64 {
	if c.radio() {
		return downPart * math.Sqrt(radioRTT/max(c.delay.srtt, radioRTT))
	}
	return downPart
}
