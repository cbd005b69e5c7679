package rdpudp

import (
	"math/bits"
	"time"

	"github.com/reachback/reachback/urcp"
)

// onAck takes in an acknowledgement without gaps; [MS-RDPEUDP2] 3.1.5.6. It reports
// whether it is of packets that were sent.
func (o *Outstanding) onAck(now time.Duration, a *Ack) bool {
	seq := unwrap(o.next-1, a.Seq)
	if seq >= o.next || seq < o.oldest() {
		return false
	}
	at, believed := o.clock.unwrap(now, a.Received)
	timed := uint64(0) // packets of which there is a time
	if believed {
		timed = uint64(len(a.Additions)) + 1
	}
	listed := seq - min(seq, uint64(len(a.Additions)))
	o.allArrived(now, listed, o.known(now, seq, a.GapMs))

	// From the lowest to the highest, so that what was overtaken is seen as such.
	unit := time.Microsecond << a.Scale
	var before time.Duration // from each to the highest
	for _, n := range a.Additions {
		before += time.Duration(n) * unit
	}
	for i := len(a.Additions); i >= 0; i-- {
		n := seq - uint64(i)
		if seq >= uint64(i) && n >= o.oldest() {
			ack := urcp.Acked{Seq: n}
			if uint64(i) < timed {
				// What was cut off is half a unit, give or take one.
				ack.Received = at - before + timeUnit/2 - time.Duration(i)*unit/2
				ack.ErrBound = timeUnit/2 + time.Duration(i)*unit/2
				ack.Timed = ack.ErrBound <= maxErrBound
			}
			o.newlyAcked(now, ack, i == 0, a.GapMs)
		}
		if i > 0 {
			before -= time.Duration(a.Additions[i-1]) * unit
		}
	}
	o.high = max(o.high, seq)
	o.understood(seq + 1)
	return true
}

// onVector takes in an acknowledgement with gaps; [MS-RDPEUDP2] 3.1.5.7.
func (o *Outstanding) onVector(now time.Duration, v *AckVector) bool {
	base := unwrap(o.next-1, v.Base)
	top, end, some := base, base, false
	for _, e := range v.Elements {
		mask, n := element(e)
		if mask != 0 {
			top, some = end+uint64(bits.Len64(mask))-1, true
		}
		end += uint64(n)
	}
	if top >= o.next || base < o.oldest() {
		return false
	}
	// A first vector begins with a packet that is missing, and all before it has
	// come. One that goes on where another ended says nothing of what is before it.
	mask := uint64(1)
	if len(v.Elements) > 0 {
		mask, _ = element(v.Elements[0])
	}
	if mask&1 == 0 && base != o.goesOn {
		known := now
		if v.Timed && some { // the last part of a vector ends with the newest that came
			known = o.at(top).at
		}
		o.allArrived(now, base, known)
		o.understood(base)
	}
	o.goesOn = 0
	if !v.Timed {
		o.goesOn = end
	}
	var at time.Duration
	believed := false
	if v.Timed {
		at, believed = o.clock.unwrap(now, v.Received)
	}
	seq := base
	for _, e := range v.Elements {
		mask, n := element(e)
		for m := mask; m != 0; m &= m - 1 {
			s := seq + uint64(bits.TrailingZeros64(m))
			ack := urcp.Acked{Seq: s}
			if s == top && believed {
				ack.Timed, ack.Received, ack.ErrBound = true, at+timeUnit/2, timeUnit/2
			}
			gap := uint8(gapUnknown)
			if v.Timed {
				gap = v.GapMs
			}
			o.newlyAcked(now, ack, s == top, gap)
		}
		seq += uint64(n)
	}
	if some {
		o.high = max(o.high, top)
	}
	return true
}

// known returns when the last packet left that the peer can have had when it sent an
// acknowledgement without gaps. That may be a later one than it names, but not one of
// less than a round trip ago, nor one that has overtaken those by more than a quarter of
// theirs.
func (o *Outstanding) known(now time.Duration, seq uint64, gapMs uint8) time.Duration {
	if gapMs == gapUnknown {
		return now
	}
	left := o.at(seq).at + time.Duration(gapMs)*time.Millisecond
	return max(now-o.rtt.least(now), left+(now-left)/4)
}

// allArrived takes note that all packets below end have arrived, or have been settled
// before, in the word of a peer that can have had no packet that left after known. Of
// what was given up after that it does not know, so that has arrived after all.
func (o *Outstanding) allArrived(now time.Duration, end uint64, known time.Duration) {
	known = min(known, o.at(o.next-1).at)
	for seq := min(o.low, max(o.lateFrom, o.oldest())); seq < end; seq++ {
		if e := o.at(seq); e.state == pending || e.state == lost && e.lostAt > known {
			o.newlyAcked(now, urcp.Acked{Seq: seq}, false, gapUnknown)
		}
	}
	o.lateFrom = max(o.lateFrom, min(end, o.low))
}

// newlyAcked takes note of a packet that the peer has, if that is news. The newest of
// an acknowledgement measures the round trip.
func (o *Outstanding) newlyAcked(now time.Duration, a urcp.Acked, newest bool, gapMs uint8) {
	e := o.at(a.Seq)
	switch e.state {
	case pending:
	case lost:
		o.stats.Late++
	default:
		return
	}
	e.state = received
	o.feedback.Acked = append(o.feedback.Acked, a)
	o.asking.acked(a.Seq)
	o.rtt.news()
	if a.Seq < o.high {
		o.reordering.seen(now, o.high-a.Seq, now-e.at, max(o.rtt.smoothed, o.rtt.latest))
	}
	if !newest || gapMs == gapUnknown {
		return
	}
	// A peer that says it held the packet for longer than we know of it lies.
	if rtt := now - e.at - time.Duration(gapMs)*time.Millisecond; rtt > 0 {
		o.feedback.RTT = rtt
		o.rtt.add(now, rtt)
		o.asking.adapt(now, &o.rtt, int(o.next-a.Seq))
	}
}

// understood takes note that the peer waits for nothing below low.
func (o *Outstanding) understood(low uint64) {
	if low >= o.settleLow {
		o.settle = false
	}
}
