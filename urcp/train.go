package urcp

import "time"

const (
	// trainLen packets leave back to back at the very start.
	trainLen = 4
	// trainMost bounds what they may make of the link, above what is delivered.
	trainMost = 100
)

// train measures the bottleneck with the first packets: they stand in its queue one
// behind the other, so that they arrive as far apart as it takes to send one,
// whatever share of it a flow gets. Without it, one that starts beside others would
// not know how small its share is.
type train struct {
	sent, acked int
	start       time.Duration
	first, last time.Duration // on the peer's clock
	bytes       int64
}

// send says whether a packet sent at t belongs to the train.
func (r *train) send(t time.Duration) bool {
	if r.sent == 0 {
		r.start = t
	}
	if r.sent == trainLen || t-r.start > time.Millisecond {
		r.sent = trainLen
		return false
	}
	r.sent++
	return true
}

// arrived takes in one packet of the train.
func (r *train) arrived(rx time.Duration, bytes int32) {
	if r.acked == 0 {
		r.first, r.last = rx, rx
	}
	r.first, r.last = min(r.first, rx), max(r.last, rx)
	r.acked++
	r.bytes += int64(bytes)
}

// rate is what the train has shown, in bytes per second, and zero before it is
// complete.
func (r *train) rate() float64 {
	if r.acked != trainLen || r.last <= r.first {
		return 0
	}
	return float64(r.bytes) * (trainLen - 1) / trainLen / (r.last - r.first).Seconds()
}
