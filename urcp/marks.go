package urcp

const (
	markPrice = 0.002 // delay that markUnit of marks is worth
	markUnit  = 0.01
	l4sGain   = 1.0 / 16 // of a round in the average, as in DCTCP (RFC 8257)
)

// marks keeps the price of congestion marks.
type marks struct {
	ratio float64
	price float64
}

// marked is what the marks of the round that has just ended do.
func (c *Controller) marked() {
	m, n := &c.marks, c.loss.shut
	if n.acked == 0 {
		return
	}
	r := float64(n.marked) / float64(n.acked)
	if c.cfg.ECN != ECNL4S {
		m.ratio += lossGain * (r - m.ratio)
		m.price = markPrice * (m.ratio / markUnit) * (m.ratio / markUnit)
		return
	}
	m.ratio += l4sGain * (r - m.ratio)
	if n.marked == 0 {
		return
	}
	if c.mode == Startup {
		c.settle(c.last, false)
		m.ratio = r
	}
	// Half of the part that was marked, as DCTCP does; what is gained in a round trip
	// in return is a level.
	c.window *= 1 - m.ratio/2
	c.cycle.velocity, c.cycle.empty = 1, 0
}
