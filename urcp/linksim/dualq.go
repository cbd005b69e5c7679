package linksim

import (
	"math/rand/v2"
	"time"
)

// DualQ keeps L4S flows in a queue of their own, beside that of all others, and
// couples the two so that they share the link about evenly. It is a sketch of the
// coupled queue of RFC 9332, with the PI controller of its appendix A; the classic queue
// is served at least a sixteenth of the time.
type DualQ struct {
	Target time.Duration // Of the classic queue. Zero means 15 ms.
	Step   time.Duration // From where on an L4S packet is marked always. Zero means 1 ms.
}

func (d DualQ) check() error { return checkDelays(d.Target, d.Step) }

// The gains are those of Linux, within a tenth of what RFC 9332, appendix A.1, reckons
// for round trips of up to 100 ms.
const (
	dualUpdate   = 16 * time.Millisecond
	dualAlpha    = 0.16 // per second of queueing delay, for each update
	dualBeta     = 3.2
	dualCoupling = 2
	dualMax      = 0.5 // of the base probability: a quarter of classic packets
	dualShare    = 16  // one in so many bytes at least is classic, if any waits
)

func (d DualQ) queue(l *link, rng *rand.Rand) queue {
	if d.Target == 0 {
		d.Target = 15 * time.Millisecond
	}
	if d.Step == 0 {
		d.Step = time.Millisecond
	}
	return &dualQ{DualQ: d, classic: newFIFO(l), low: newFIFO(l), rng: rng, link: l}
}

type dualQ struct {
	DualQ
	link         *link
	classic, low fifo
	rng          *rand.Rand
	base         float64       // the probability that both queues derive theirs from
	updated      time.Duration // when base was last brought up to date
	before       time.Duration // the classic delay then
	credit       int64         // bytes of the classic queue's turn
}

func (d *dualQ) empty() bool { return d.classic.empty() && d.low.empty() }
func (d *dualQ) held() int   { return d.classic.bytes + d.low.bytes }

func (d *dualQ) push(s *sim, p uint32) {
	d.update(s)
	// The two share the room.
	if d.held()+int(s.packets[p].bytes) > d.classic.maxBytes ||
		d.classic.ring.n+d.low.ring.n+1 > d.classic.maxPackets {
		s.drop(p, d.link, dropOverflow)
		return
	}
	if s.packets[p].ecn == ECT1 {
		d.low.add(s, p)
	} else {
		d.classic.add(s, p)
	}
}

// update moves the probability as the timer of the specification would. It is called
// for each packet that comes or goes, which is often enough: while none does, nothing
// waits.
func (d *dualQ) update(s *sim) {
	if s.now-d.updated > 100*dualUpdate {
		d.updated = s.now - 100*dualUpdate
	}
	for ; d.updated+dualUpdate <= s.now; d.updated += dualUpdate {
		delay := d.classic.age(s)
		d.base += float64(dualAlpha*(delay-d.Target).Seconds()) + float64(dualBeta*(delay-d.before).Seconds())
		d.base = min(dualMax, max(0, d.base))
		d.before = delay
	}
}

func (d *dualQ) pop(s *sim) uint32 {
	d.update(s)
	for !d.empty() {
		classic := d.low.empty() || !d.classic.empty() && d.credit >= int64(s.packets[*d.classic.ring.at(0)].bytes)
		if !classic {
			p := d.low.pop(s)
			if !d.classic.empty() {
				d.credit += int64(s.packets[p].bytes) / (dualShare - 1)
			}
			if s.now-s.packets[p].arrived > d.Step || d.rng.Float64() < dualCoupling*d.base {
				s.signal(p, d.link)
			}
			return p
		}
		p := d.classic.pop(s)
		if d.low.empty() {
			d.credit = 0
		} else {
			d.credit -= int64(s.packets[p].bytes)
		}
		if d.rng.Float64() < d.base*d.base && !s.signal(p, d.link) {
			continue
		}
		return p
	}
	return none
}
