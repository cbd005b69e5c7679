package urcp

import "time"

const (
	// trainLen packets leave back to back at the very start, and trainLeast of them
	// have to arrive; else others go, in trainTries tries.
	trainLen   = 4
	trainLeast = 3
	trainTries = 8
	// trainMost bounds what they may make of the link, above what is delivered.
	trainMost = 100
)

// train measures the bottleneck with the first packets: they stand in its queue one
// behind the other, so that they arrive as far apart as it takes to send one,
// whatever share of it a flow gets. Without it, one that starts beside others would
// not know how small its share is.
type train struct {
	tries       int
	sent        int
	from, to    uint64 // numbers of its packets
	start       time.Duration
	acked, lost int
	first, last time.Duration // on the peer's clock
	bytes       int64
	rate        float64 // bytes per second; zero before one has arrived
}

// wanted says whether a packet that is ready should leave at once, for the train.
func (r *train) wanted(t time.Duration) bool {
	return r.rate == 0 && (r.sent == 0 && r.tries < trainTries ||
		r.sent > 0 && r.sent < trainLen && t-r.start < time.Millisecond)
}

// begun says whether a train is on its way.
func (r *train) begun() bool { return r.sent > 0 }

// send takes note of a packet sent at t.
func (r *train) send(t time.Duration, seq uint64) {
	if !r.wanted(t) {
		return
	}
	if r.sent == 0 {
		*r = train{tries: r.tries + 1, start: t, from: seq}
	}
	r.sent++
	r.to = seq
}

func (r *train) has(seq uint64) bool { return r.sent > 0 && r.from <= seq && seq <= r.to }

// arrived takes in one packet of the train.
func (r *train) arrived(rx time.Duration, bytes int32) {
	if r.acked == 0 {
		r.first, r.last = rx, rx
	}
	r.first, r.last = min(r.first, rx), max(r.last, rx)
	r.acked++
	r.bytes += int64(bytes)
}

// over ends the train when there is news of all its packets. What the queue had no room
// for leaves no gap in it.
func (r *train) over() {
	if r.sent == 0 || r.acked+r.lost < r.sent {
		return
	}
	if r.acked >= trainLeast && r.last > r.first {
		r.rate = float64(r.bytes) * float64(r.acked-1) / float64(r.acked) / (r.last - r.first).Seconds()
	}
	*r = train{tries: r.tries, rate: r.rate}
}
