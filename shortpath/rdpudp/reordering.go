package rdpudp

import "time"

const (
	minDistance = 3 // as RFC 9002, section 6.1.1
	maxDistance = 4096
)

// reordering learns by how much packets overtake each other on the path, so that one
// that is late is not taken for lost.
type reordering struct {
	behind extreme // packets
	late   extreme // beyond a round trip
}

// seen takes note of a packet that was acknowledged so many packets after a later one,
// and so long after it was sent.
func (r *reordering) seen(now time.Duration, behind uint64, after, rtt time.Duration) {
	r.behind.add(now, time.Duration(min(behind, maxDistance)))
	r.late.add(now, min(max(after-rtt, 0), rtt))
}

// distance returns by how many packets one has to be overtaken to be lost.
func (r *reordering) distance(now time.Duration) uint64 {
	return max(uint64(r.behind.value(now))+1, minDistance)
}

// patience returns how long after it was sent a packet is lost that was overtaken.
func (r *reordering) patience(now, rtt time.Duration) time.Duration {
	if rtt == 0 { // not known yet
		return initialTimeout
	}
	return rtt + rtt/8 + r.late.value(now) + time.Millisecond
}
