package urcp

import "time"

// deliveryPoints bounds the marks that the delivery rate is measured between.
const deliveryPoints = 64

// minMeasure is the shortest time over which a delivery rate is measured.
const minMeasure = 30 * time.Millisecond

type deliveryPoint struct {
	rx    time.Duration // on the peer's clock, relative to ours by a constant
	sent  time.Duration // when the newest packet delivered by then was sent
	bytes int64
}

// delivery measures how fast the peer receives, on the peer's own clock, so that
// acknowledgements that arrive in lumps do not matter. A rate is never above the one
// at which the same packets were sent.
type delivery struct {
	points  [deliveryPoints]deliveryPoint
	head, n int
	bytes   int64 // delivered in all
	ahead   time.Duration
	sent    time.Duration
	now     float64 // bytes per second over the last window
	best    windowMin
	highest windowMin // over linkTime
	valid   bool
	sway    // of now, from round trip to round trip
}

// linkTime is for how long the highest rate counts as the link's.
const linkTime = 30 * time.Second

func (r *delivery) at(i int) *deliveryPoint { return &r.points[(r.head+i)%deliveryPoints] }

// sample takes in n bytes that had arrived by rx (peer's clock), the newest of
// which was sent at sent. timed false means that rx is not known.
func (r *delivery) sample(now, rx time.Duration, timed bool, sent time.Duration, n int64, window, hold time.Duration, limited bool) {
	r.bytes += n
	if timed {
		r.ahead = rx - now
	} else {
		rx = now + r.ahead
	}
	r.sent = max(r.sent, sent)
	window = max(window, minMeasure)
	// The mark to measure from is the youngest that is older than the window.
	for r.n > 1 && rx-r.at(1).rx >= window {
		r.head = (r.head + 1) % deliveryPoints
		r.n--
	}
	if r.n > 0 {
		p := r.at(0)
		if rx < r.at(r.n-1).rx-time.Second || rx-p.rx > 10*window+time.Second {
			// The clock stepped, or nothing came for long.
			r.n = 0
		} else if span := max(rx-p.rx, r.sent-p.sent); span >= window/2 && rx > p.rx {
			v := float64(r.bytes-p.bytes) / span.Seconds()
			top, _ := r.best.min()
			if !limited || v > -top {
				r.now = v
				r.valid = true
				r.best.push(now, max(hold, minMeasure), -v)
				r.highest.push(now, linkTime, -v)
			}
		}
	}
	if r.n == 0 || (r.n < deliveryPoints && rx-r.at(r.n-1).rx >= window/(deliveryPoints/2)) {
		r.n++
		*r.at(r.n - 1) = deliveryPoint{rx, r.sent, r.bytes}
	}
}

// round follows how much the rate changes from round trip to round trip.
func (r *delivery) round() {
	if !r.valid {
		return
	}
	r.sway.add(r.now, false)
}

// lately is the rate to fall back to. Where it changes all the time the last window's
// says little of the next.
func (r *delivery) lately() float64 {
	if r.part > varied {
		return r.rate()
	}
	return r.now
}

// rate is the highest of the last round trip, in bytes per second.
func (r *delivery) rate() float64 {
	v, _ := r.best.min()
	return -v
}

// link is the highest of the last half minute, in bytes per second.
func (r *delivery) link() float64 {
	v, _ := r.highest.min()
	return -v
}
