package rdpudp

import "time"

const (
	initialTimeout = time.Second
	leastTimeout   = 300 * time.Millisecond
	mostTimeout    = 16 * time.Second

	// memory is for how long an extreme of the path is kept at least; it is gone
	// after twice as long.
	memory = 10 * time.Second
)

// An rttEstimate is that of RFC 6298 for the round trip without the peer's delays, and
// the least of late.
type rttEstimate struct {
	smoothed  time.Duration // zero before the first sample
	variation time.Duration
	latest    time.Duration
	lowest    extreme // of the negative round trip
	backOffs  uint    // since the last news
}

func (r *rttEstimate) add(now, rtt time.Duration) {
	r.latest = rtt
	r.lowest.add(now, -rtt)
	if r.smoothed == 0 {
		r.smoothed, r.variation = rtt, rtt/2
		return
	}
	r.variation += ((r.smoothed - rtt).Abs() - r.variation) / 4
	r.smoothed += (rtt - r.smoothed) / 8
}

// least returns the shortest round trip of late; zero where none is known.
func (r *rttEstimate) least(now time.Duration) time.Duration { return -r.lowest.value(now) }

// timeout returns how long there may be no news of a packet whose acknowledgement may
// be held back for so long.
func (r *rttEstimate) timeout(held time.Duration) time.Duration {
	t := initialTimeout
	if r.smoothed > 0 {
		t = max(r.smoothed+4*r.variation, leastTimeout) + held
	}
	return min(t<<r.backOffs, mostTimeout)
}

func (r *rttEstimate) backOff() { r.backOffs = min(r.backOffs+1, 6) }
func (r *rttEstimate) news()    { r.backOffs = 0 }

// An extreme is the highest of the values that were added of late; zero without any.
type extreme struct {
	since             time.Duration // when current began
	current, previous time.Duration
	set               bool
}

func (e *extreme) add(now, v time.Duration) {
	switch {
	case !e.set, now-e.since >= 2*memory:
		e.set, e.since, e.current, e.previous = true, now, v, v
	case now-e.since >= memory:
		e.since, e.current, e.previous = now, v, e.current
	default:
		e.current = max(e.current, v)
	}
}

func (e *extreme) value(now time.Duration) time.Duration {
	switch {
	case !e.set, now-e.since >= 2*memory:
		return 0
	case now-e.since >= memory:
		return e.current
	}
	return max(e.current, e.previous)
}
