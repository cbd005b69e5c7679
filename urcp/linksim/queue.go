package linksim

import (
	"math/rand/v2"
	"time"
)

// An AQM manages a queue: [CoDel], [RED], [StepMark] or [DualQ].
type AQM interface {
	check() error
	queue(l *link, rng *rand.Rand) queue
}

// A queue holds what waits for the server.
type queue interface {
	// push takes a packet in, or drops it.
	push(s *sim, p uint32)
	// pop gives the next packet to serve, none where the queue is empty. It may drop
	// and mark.
	pop(s *sim) uint32
	empty() bool
	// held is how many bytes wait.
	held() int
}

// fifo is the plain queue, and what most others are built on.
type fifo struct {
	link       *link
	ring       ring[uint32]
	bytes      int
	maxBytes   int
	maxPackets int
}

func newFIFO(l *link) fifo {
	f := fifo{link: l}
	f.maxBytes, f.maxPackets = l.cfg.Queue.bounds()
	return f
}

// fits drops p where there is no room for it.
func (f *fifo) fits(s *sim, p uint32) bool {
	if f.ring.n+1 > f.maxPackets || f.bytes+int(s.packets[p].bytes) > f.maxBytes {
		s.drop(p, f.link, dropOverflow)
		return false
	}
	return true
}

func (f *fifo) add(s *sim, p uint32) {
	f.ring.push(p)
	f.bytes += int(s.packets[p].bytes)
}

func (f *fifo) push(s *sim, p uint32) {
	if f.fits(s, p) {
		f.add(s, p)
	}
}

func (f *fifo) pop(s *sim) uint32 {
	if f.ring.n == 0 {
		return none
	}
	p := f.ring.pop()
	f.bytes -= int(s.packets[p].bytes)
	return p
}

func (f *fifo) empty() bool { return f.ring.n == 0 }
func (f *fifo) held() int   { return f.bytes }

// age is how long the packet at the front has waited.
func (f *fifo) age(s *sim) time.Duration {
	if f.ring.n == 0 {
		return 0
	}
	return s.now - s.packets[*f.ring.at(0)].arrived
}

// signal marks p, or drops it where its sender does not know of marks. It reports
// whether p is still there.
func (s *sim) signal(p uint32, l *link) bool {
	k := &s.packets[p]
	if k.ecn == NotECT {
		s.drop(p, l, dropAQM)
		return false
	}
	if !k.marked {
		k.marked = true
		l.result.Marked++
	}
	return true
}
