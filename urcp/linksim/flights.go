package linksim

import (
	"time"

	"github.com/reachback/reachback/urcp"
)

// A flight is a packet of which the sender awaits news.
type flight struct {
	seq   uint64
	sent  time.Duration
	bytes int32
	chunk int32
	state flightState
}

type flightState uint8

const (
	flightOut flightState = iota
	flightAcked
	flightLost // It may be acknowledged after all.
)

// reorderThreshold is how many later packets must have arrived before one counts as
// lost (RFC 9002, section 6.1.1).
const reorderThreshold = 3

// flights is a ring by number. A settled packet stays until its place is needed, so
// that a late acknowledgement is still understood.
type flights struct {
	ring    []flight
	base    uint64 // every packet below is settled
	next    uint64
	highest uint64 // one above the highest that is acknowledged
	out     int
}

// add notes a packet, whose number is one above the last. It reports whether there
// was room.
func (fs *flights) add(f flight) bool {
	if f.seq-fs.base >= uint64(len(fs.ring)) {
		if len(fs.ring) >= maxFlights {
			return false
		}
		ring := make([]flight, max(1024, 2*len(fs.ring)))
		for seq := fs.next - min(fs.next, uint64(len(fs.ring))); seq < fs.next; seq++ {
			ring[seq&uint64(len(ring)-1)] = fs.ring[seq&uint64(len(fs.ring)-1)]
		}
		fs.ring = ring
	}
	*fs.at(f.seq) = f
	fs.next = f.seq + 1
	fs.out++
	return true
}

func (fs *flights) at(seq uint64) *flight { return &fs.ring[seq&uint64(len(fs.ring)-1)] }

// oldest is when the oldest packet without news was sent, urcp.Never where there is
// none.
func (fs *flights) oldest() time.Duration {
	for fs.base < fs.next && fs.at(fs.base).state != flightOut {
		fs.base++
	}
	if fs.base == fs.next {
		return urcp.Never
	}
	return fs.at(fs.base).sent
}

// ack settles a packet and returns it; nil where it is settled already, unknown, or
// from before the present controller.
func (fs *flights) ack(f *flow, seq uint64) *flight {
	if seq < f.first || seq >= fs.next || fs.next-seq > uint64(len(fs.ring)) {
		return nil
	}
	k := fs.at(seq)
	switch k.state {
	case flightAcked:
		return nil
	case flightLost:
		f.result.Spurious++
	case flightOut:
		fs.out--
	}
	k.state = flightAcked
	fs.highest = max(fs.highest, seq+1)
	if k.chunk >= 0 {
		f.source.acked(k)
	}
	return k
}

func (fs *flights) lose(f *flow, k *flight) {
	k.state = flightLost
	fs.out--
	f.lost = append(f.lost, k.seq)
	if k.chunk >= 0 {
		f.source.lost(k)
	}
}

// reordered gives up the packets that enough later ones have overtaken.
func (fs *flights) reordered(f *flow) {
	for fs.base+reorderThreshold < fs.highest {
		if k := fs.at(fs.base); k.state == flightOut {
			fs.lose(f, k)
		}
		fs.base++
	}
}

// expire gives up the packets sent at or before a moment.
func (fs *flights) expire(f *flow, sent time.Duration) {
	for fs.oldest() <= sent {
		fs.lose(f, fs.at(fs.base))
	}
}

// rttEstimate is the estimator of RFC 6298, on the sender's true time.
type rttEstimate struct {
	smoothed, variance time.Duration
	backoff            uint
}

func (r *rttEstimate) sample(rtt time.Duration) {
	r.backoff = 0
	if r.smoothed == 0 {
		r.smoothed, r.variance = rtt, rtt/2
		return
	}
	diff := r.smoothed - rtt
	if diff < 0 {
		diff = -diff
	}
	r.variance += (diff - r.variance) / 4
	r.smoothed += (rtt - r.smoothed) / 8
}

// timeout is after how long without news a packet is lost.
func (r *rttEstimate) timeout() time.Duration {
	t := time.Second
	if r.smoothed > 0 {
		t = max(300*time.Millisecond, r.smoothed+max(4*r.variance, r.smoothed/4))
	}
	return min(t<<r.backoff, 16*time.Second)
}

func (r *rttEstimate) backOff() { r.backoff = min(r.backoff+1, 6) }
