package urcp

import (
	"sort"
	"time"
)

// maxSent bounds the packets that the controller remembers: what the largest
// window of RDP-UDP2 holds ([MS-RDPEUDP2], LogWindowSize 15).
const maxSent = 32767

type packetState uint8

const (
	outstanding packetState = iota
	acked
	lost
	overdue // without news for so long that it counts as in flight no more
)

// sentPacket is one packet that is on its way, or was.
type sentPacket struct {
	seq   uint64
	at    time.Duration
	bytes int32
	state packetState
	app   bool // left with nothing behind it
}

// waiting says that there is no news of it.
func (p *sentPacket) waiting() bool { return p.state == outstanding || p.state == overdue }

// sentRing remembers packets in the order of their sending, oldest first. Those
// at its tail leave once they are acknowledged, or lost for so long that a late
// acknowledgement is no longer to be expected.
type sentRing struct {
	buf      []sentPacket // length is a power of two
	head     int          // index of the oldest
	n        int
	inflight int64 // bytes outstanding, without what is overdue
	count    int   // packets without news
}

func (r *sentRing) at(i int) *sentPacket { return &r.buf[(r.head+i)&(len(r.buf)-1)] }

// last returns the newest packet, and nil where there is none.
func (r *sentRing) last() *sentPacket {
	if r.n == 0 {
		return nil
	}
	return r.at(r.n - 1)
}

// push takes in a packet. Numbers that do not rise are refused.
func (r *sentRing) push(p sentPacket) bool {
	if l := r.last(); l != nil && p.seq <= l.seq {
		return false
	}
	if r.n == maxSent {
		r.pop()
	}
	if r.n == len(r.buf) {
		r.grow()
	}
	*r.at(r.n) = p
	r.n++
	r.inflight += int64(p.bytes)
	r.count++
	return true
}

func (r *sentRing) grow() {
	buf := make([]sentPacket, max(256, 2*len(r.buf)))
	for i := range r.n {
		buf[i] = *r.at(i)
	}
	r.buf, r.head = buf, 0
}

// pop forgets the oldest packet.
func (r *sentRing) pop() {
	p := r.at(0)
	r.settle(p, lost)
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
}

// find returns the packet of that number, and nil where it is not remembered.
func (r *sentRing) find(seq uint64) *sentPacket {
	i, ok := r.index(seq)
	if !ok {
		return nil
	}
	return r.at(i)
}

// index is where the packet of that number is.
func (r *sentRing) index(seq uint64) (i int, ok bool) {
	if r.n == 0 || seq < r.at(0).seq || seq > r.at(r.n-1).seq {
		return 0, false
	}
	// Without gaps in the numbers this is the place; with gaps, it is before.
	i = int(min(seq-r.at(0).seq, uint64(r.n-1)))
	if r.at(i).seq != seq {
		i = sort.Search(i, func(j int) bool { return r.at(j).seq >= seq })
	}
	return i, r.at(i).seq == seq
}

// lose notes that p is lost, and returns by how much that changes the number of rows of
// lost packets: one more, one that is longer, or two that have become one.
func (r *sentRing) lose(p *sentPacket) (rows int) {
	i, _ := r.index(p.seq)
	r.settle(p, lost)
	rows = 1
	if i > 0 && r.at(i-1).state == lost {
		rows--
	}
	if i < r.n-1 && r.at(i+1).state == lost {
		rows--
	}
	return rows
}

// overdue takes all that are outstanding out of what is in flight. There may be news of
// them yet.
func (r *sentRing) overdue() {
	for i := range r.n {
		if p := r.at(i); p.state == outstanding {
			p.state = overdue
			r.inflight -= int64(p.bytes)
		}
	}
}

// settle notes that p has arrived or is lost.
func (r *sentRing) settle(p *sentPacket, s packetState) {
	if p.state == outstanding {
		r.inflight -= int64(p.bytes)
	}
	if p.waiting() {
		r.count--
	}
	p.state = s
}

// trim forgets settled packets at the tail that were sent before old.
func (r *sentRing) trim(old time.Duration) {
	for r.n > 0 {
		p := r.at(0)
		if p.waiting() || (p.state == lost && p.at >= old) {
			return
		}
		r.pop()
	}
}
