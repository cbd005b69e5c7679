package urcp

import (
	"math"
	"time"
)

const (
	// maxErrBound is from where on a receive time says too little about a queue
	// of some milliseconds.
	maxErrBound = 2 * time.Millisecond
	// minStanding is the shortest window of the standing queue: shorter ones hold
	// too few packets.
	minStanding = 8 * time.Millisecond
	// maxStanding keeps flows of long and of short round trips looking at the same
	// thing: a minimum over a longer window is lower, and would favour the long.
	maxStanding = 40 * time.Millisecond
	// lumpStanding is the window on paths that release packets in lumps: some of them
	// have to fall in it.
	lumpStanding = 80 * time.Millisecond
	varyStanding = 20 * time.Millisecond
	// backLong is from where on a queue on the way back counts as one that another flow
	// fills. It is looked at over backRounds round trips, and backTime at least.
	backLong   = 0.010
	backRounds = 4
	backTime   = time.Second
	// minRoundTrip bounds what a peer can make of its word about its own delay.
	minRoundTrip = 50 * time.Microsecond
	// staleBase is the age at which a base delay has to be seen again, by draining
	// the queue on purpose where it did not drain by itself.
	staleBase = 10 * time.Second
	// touch is how close to the base a delay has to come to confirm it.
	touch = 0.001
)

// delay keeps what is known about delays on the way to the peer: the base, which is
// the way's own, and the standing queue above it. One-way delays are seconds above
// that of the first packet, so the peer's offset is not in them.
type delay struct {
	have    bool
	ref     time.Duration // one-way delay that counts as zero
	base    float64
	minRTT  float64
	srtt    float64
	touched time.Duration // when the base was last seen, to within touch
	lowest  float64       // the lowest delay and round trip since anew was called
	lowRTT  float64
	above   float64       // the lowest delay of late, above the base
	queue   float64       // of that, what is queue and not noise
	back    float64       // queueing on the way back
	backs   windowMin     // of that, negated
	long    time.Duration // when the queue was last longer than longQueue
	noise   noise
	recent  windowMin
	floor   windowMin // of the standing queue, for the watch on competition
	clock   clock
	steps   uint64 // of the peer's clock
}

// rtt takes in a round trip without the peer's holding.
func (d *delay) rtt(rtt time.Duration) {
	s := max(rtt, minRoundTrip).Seconds()
	if d.srtt == 0 {
		d.srtt, d.minRTT, d.lowRTT = s, s, s
	}
	d.srtt += (s - d.srtt) / 8
	d.minRTT = min(d.minRTT, s)
	d.lowRTT = min(d.lowRTT, s)
}

// standing is the window over which the lowest delay counts as the standing queue.
func (d *delay) standing() time.Duration {
	switch {
	case d.noise.lumps > lumpiest:
		return max(lumpStanding, seconds(d.srtt))
	case d.noise.lumps > lumpy:
		return max(seconds(d.srtt/2), varyStanding)
	}
	return min(max(seconds(d.srtt/2), minStanding), max(maxStanding, seconds(d.srtt/8)))
}

// sample takes in the lowest one-way delay of a feedback, and the standing queue
// follows. The newest packet's delay and round trip, where both are known, say how
// the peer's clock goes.
func (d *delay) sample(now time.Duration, b *batch) {
	if !d.have {
		d.ref = b.lowest
	}
	if b.paired {
		if step := d.clock.sample(now, (b.owd-d.ref).Seconds()-b.rtt, b.rtt, d.back); step != 0 {
			d.steps++
			d.shift(step)
		}
	}
	v := (b.lowest - d.ref).Seconds() - d.clock.correction(now)
	if !d.have {
		d.have = true
		d.base, d.lowest = v, v
		d.touched = now
	}
	if v < d.base {
		d.base = v
	}
	d.lowest = min(d.lowest, v)
	if v <= d.base+touch {
		d.touched = now
		d.lowest = v
	}
	d.recent.push(now, d.standing(), v)
	d.update(now)
	if d.queue > longQueue {
		d.long = now
	}
	d.noise.sample(d.above, v-d.base)
	d.noise.spans(b)
	if b.paired {
		owd := (b.owd - d.ref).Seconds() - d.clock.correction(now)
		back := max(0, b.rtt-d.minRTT-max(0, owd-d.base))
		d.back += (back - d.back) / 8
		d.backs.push(now, max(backRounds*seconds(d.srtt), backTime), -d.back)
	}
}

// longBack is the longest queue on the way back lately, where it is long, and zero
// elsewhere.
func (d *delay) longBack() float64 {
	v, _ := d.backs.min()
	if -v < backLong {
		return 0
	}
	return -v
}

// update works out the standing queue as of now.
func (d *delay) update(now time.Duration) {
	v, ok := d.recent.min()
	if !ok {
		return
	}
	d.above = max(0, v-d.base)
	d.queue = max(0, d.above-d.noise.bias)
}

// way is the one-way delay without a queue, in the difference of the two clocks.
func (d *delay) way(now time.Duration) time.Duration {
	return d.ref + seconds(d.base+d.clock.correction(now))
}

// shift moves all that was seen by a step of the peer's clock.
func (d *delay) shift(by float64) {
	d.base += by
	d.lowest += by
	d.recent.shift(by)
}

// anew starts a look for a new base: a drain follows.
func (d *delay) anew() { d.lowest, d.lowRTT = math.Inf(1), math.Inf(1) }

// anchor takes the lowest delay and round trip since anew for the base.
func (d *delay) anchor(now time.Duration) {
	if math.IsInf(d.lowest, 0) || math.IsInf(d.lowRTT, 0) {
		return
	}
	d.noise.end(d.lowest - d.base)
	d.base, d.minRTT = d.lowest, d.lowRTT
	d.touched = now
	d.update(now)
}

func seconds(s float64) time.Duration {
	if s >= math.MaxInt64/1e9/4 {
		return math.MaxInt64 / 4
	}
	return time.Duration(s * 1e9)
}
