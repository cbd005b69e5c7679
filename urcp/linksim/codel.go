package linksim

import (
	"math"
	"math/rand/v2"
	"time"
)

// CoDel drops or marks when packets have waited longer than the target for a whole
// interval (RFC 8289).
type CoDel struct {
	Target   time.Duration // Zero means 5 ms.
	Interval time.Duration // Zero means 100 ms.
}

func (c CoDel) check() error { return checkDelays(c.Target, c.Interval) }

func (c CoDel) queue(l *link, _ *rand.Rand) queue {
	if c.Target == 0 {
		c.Target = 5 * time.Millisecond
	}
	if c.Interval == 0 {
		c.Interval = 100 * time.Millisecond
	}
	return &codel{CoDel: c, fifo: newFIFO(l)}
}

type codel struct {
	CoDel
	fifo
	above    time.Duration // when a whole interval will have been above the target; 0: is not above
	next     time.Duration // when to drop again
	count    int           // drops since dropping began
	last     int           // the count when it began the last time
	dropping bool
}

// take removes the packet at the front, and says whether it may be dropped.
func (c *codel) take(s *sim) (p uint32, may bool) {
	p = c.fifo.pop(s)
	if p == none {
		c.above = 0
		return p, false
	}
	if s.now-s.packets[p].arrived < c.Target || c.bytes <= Opportunity {
		c.above = 0
		return p, false
	}
	if c.above == 0 {
		c.above = s.now + c.Interval
		return p, false
	}
	return p, s.now >= c.above
}

// law is when the next drop is due after one at t.
func (c *codel) law(t time.Duration) time.Duration {
	return t + time.Duration(float64(c.Interval)/math.Sqrt(float64(c.count)))
}

func (c *codel) pop(s *sim) uint32 {
	p, may := c.take(s)
	if p == none {
		c.dropping = false
		return p
	}
	if c.dropping {
		if !may {
			c.dropping = false
			return p
		}
		for s.now >= c.next && c.dropping {
			c.count++
			if s.signal(p, c.link) {
				c.next = c.law(c.next)
				return p
			}
			if p, may = c.take(s); !may {
				c.dropping = false
				return p
			}
			c.next = c.law(c.next)
		}
		return p
	}
	if !may {
		return p
	}
	c.dropping = true
	// Where it stopped a short while ago, it goes on at the rate that it had.
	delta := c.count - c.last
	c.count = 1
	if delta > 1 && s.now-c.next < 16*c.Interval {
		c.count = delta
	}
	c.next = c.law(s.now)
	c.last = c.count
	if s.signal(p, c.link) {
		return p
	}
	p, _ = c.take(s)
	return p
}
