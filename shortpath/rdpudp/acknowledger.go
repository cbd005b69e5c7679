package rdpudp

import (
	"time"

	"github.com/reachback/reachback/urcp"
)

const (
	// defaultLogWindow is for 4096 packets, five megabytes of them.
	defaultLogWindow = 12
	maxLogWindow     = 15

	// Until the peer says how long an acknowledgement may be held back.
	defaultMaxDelayed = 8
	defaultTimeout    = 25 * time.Millisecond

	minTimeout = time.Millisecond
	maxTimeout = 500 * time.Millisecond

	// firstNumber is what the first packet number is taken for whose upper bits
	// nobody knows: no number that comes before it is below zero.
	firstNumber = 1 << 16
)

// An Acknowledger is the receiver of packets: it keeps which ones have arrived and
// when, and says what acknowledgement is due. The zero Acknowledger is ready for the
// first packet. It is not safe for concurrent use.
//
// All times that it is given are durations since an instant of the caller's choice,
// the same for all calls, on a clock that does not go back.
//
// While no packet is missing it acknowledges several at once, as the peer has asked
// for; while one is missing it answers each arrival at once. It never sends more
// acknowledgements than packets came. Its memory is a bit for each packet of the
// window, and the arrivals of a few.
type Acknowledger struct {
	// LogWindow is the binary logarithm of the window in packets, up to 15. Zero
	// means 12. It is not changed after the first packet.
	LogWindow uint8

	arrived arrivals

	maxDelayed int // what the peer asked for
	timeout    time.Duration
	asked      bool
	rtt        time.Duration

	due      time.Duration // when an acknowledgement is to be sent
	reported uint64        // the lowest number that no Ack has covered
	since    time.Duration // when the first came that none has
	gapShown bool          // that one was missing since the last Ack

	fresh      int           // packets that came since the last vector, while one is missing
	freshSince time.Duration // when the first of them came
	part       uint64        // where the vector goes on that is half sent; zero without one
	parts      int           // vectors that it has taken so far
	lastParts  int           // vectors that the last whole one took

	additions [maxAdditions]byte
	elements  [maxElements]byte
}

func (a *Acknowledger) logWindow() uint8 {
	if a.LogWindow == 0 {
		return defaultLogWindow
	}
	return min(a.LogWindow, maxLogWindow)
}

// SetRTT says what the round trip is, for as long as the peer has not said how long
// acknowledgements may be held back: they are for half of it.
func (a *Acknowledger) SetRTT(rtt time.Duration) { a.rtt = rtt }

// delays returns how many packets besides the first may wait for their
// acknowledgement, and for how long.
func (a *Acknowledger) delays() (int, time.Duration) {
	switch {
	case a.asked:
		return a.maxDelayed, a.timeout
	case a.rtt > 0:
		return defaultMaxDelayed, min(max(a.rtt/2, minTimeout), maxTimeout)
	}
	return defaultMaxDelayed, defaultTimeout
}

// OnPacket takes note of a packet that arrived at now: its number, what the peer says
// is settled, and how it wants to be acknowledged. It reports whether the packet's
// data may be used; that of a packet beyond the window may not. A piece of the
// stream can come twice, also in packets with different numbers.
func (a *Acknowledger) OnPacket(now time.Duration, p *Packet) bool {
	if p.Has(FlagDelayAckInfo) {
		a.asked = true
		a.maxDelayed = min(int(p.DelayAckInfo.MaxDelayed), maxAdditions)
		a.timeout = min(max(time.Duration(p.DelayAckInfo.TimeoutMs)*time.Millisecond, minTimeout), maxTimeout)
	}
	if !a.arrived.started() {
		if !p.Has(FlagData) {
			return true
		}
		a.start(p)
	}
	idle := a.arrived.low == a.reported
	// The sender cannot be done with what it has not sent yet, nor with this very
	// packet. A lower number than the last is an old one.
	low, most := a.arrived.low, a.arrived.high+1
	seq := a.arrived.high
	if p.Has(FlagData) {
		seq = unwrap(a.arrived.high, p.Seq)
		most = seq
	}
	if p.Has(FlagAckOfAcks) {
		if n := unwrap(seq, p.AckOfAcks); n > low && n <= most {
			low = n
		}
	}
	if seq >= low+a.arrived.window {
		return false
	}
	if low > a.arrived.low {
		a.arrived.settle(low)
	}
	fresh := p.Has(FlagData) && a.arrived.add(seq, now)
	// What came in order, or filled the first gap, is for an Ack to say. While more is
	// missing a vector says it where the sender has but given something up, or where
	// the time has been forgotten that an Ack needs.
	inOrder := fresh && seq < a.arrived.low
	if a.arrived.missing() {
		if _, known := a.arrived.at(a.arrived.low - 1); !known || idle && !inOrder {
			a.reported, inOrder = a.arrived.low, false
		}
	}
	a.schedule(now, idle, fresh && !inOrder)
	return true
}

// start begins the window where the peer says that it waits for, or with its first
// packet that came.
func (a *Acknowledger) start(p *Packet) {
	seq := firstNumber + uint64(p.Seq)
	low := seq
	if p.Has(FlagAckOfAcks) {
		if n := unwrap(seq, p.AckOfAcks); n <= seq && seq-n < 1<<a.logWindow() {
			low = n
		}
	}
	a.arrived.start(low, a.logWindow())
	a.reported = low
}

// schedule decides when the next acknowledgement is due, after something came: where
// nothing had waited for an Ack, and perhaps a packet that only a vector can tell of.
func (a *Acknowledger) schedule(now time.Duration, idle, fresh bool) {
	if idle {
		a.since = now
	}
	if a.arrived.missing() {
		a.gapShown = true
		if fresh {
			if a.fresh == 0 {
				a.freshSince = now
			}
			a.fresh++
		}
	} else {
		a.fresh, a.part, a.lastParts = 0, 0, 0
	}
	a.reckon(now)
}

// reckon sets due from what is waiting to be said.
func (a *Acknowledger) reckon(now time.Duration) {
	maxDelayed, timeout := a.delays()
	waiting := a.arrived.low - a.reported
	a.due = urcp.Never
	switch {
	case a.arrived.missing():
		switch {
		case waiting > 0 || a.part != 0:
			a.due = now
		case a.fresh > 0 && a.fresh < a.lastParts:
			// A vector of several packets answers as many.
			a.due = a.freshSince + timeout
		case a.fresh > 0:
			a.due = now
		}
	case waiting > uint64(maxDelayed) || waiting > 0 && a.gapShown:
		a.due = now
	case waiting > 0:
		a.due = a.since + timeout
	}
}

// NextAck returns when an acknowledgement is to be sent, at the latest: now or earlier
// for at once, urcp.Never where there is nothing to acknowledge.
func (a *Acknowledger) NextAck() time.Duration {
	if !a.arrived.started() {
		return urcp.Never
	}
	return a.due
}

// Fill puts the window into a packet that leaves at now, and the acknowledgement that
// waits, due or not. It reports whether there was one. After a packet with one, NextAck
// says whether there is more for another packet. What the packet refers to is valid
// until the next call.
func (a *Acknowledger) Fill(now time.Duration, p *Packet) bool {
	p.LogWindow = a.logWindow()
	switch {
	case !a.arrived.started():
		return false
	case a.arrived.low > a.reported:
		// Also before a vector: what came in order is told with its times.
		a.fillAck(now, p, a.arrived.low-1)
		a.reported = a.arrived.low
		if !a.arrived.missing() {
			a.gapShown = false
		}
		a.reckon(now)
		return true
	case a.arrived.missing() && (a.fresh > 0 || a.part != 0):
		a.fillVector(now, p)
		a.reckon(now)
		return true
	}
	return false
}

// fillAck acknowledges seq, whose time is known, and all before it.
func (a *Acknowledger) fillAck(now time.Duration, p *Packet, seq uint64) {
	at, _ := a.arrived.at(seq)
	p.Flags |= FlagAck
	p.Ack = Ack{Seq: uint16(seq), Received: wireTime(at), GapMs: gapMs(now - at)}

	// The list ends where a packet came after its successor, or so long before that
	// no scale has room for it.
	var gaps [maxAdditions]time.Duration
	n, longest := 0, time.Duration(0)
	for later := at; n < maxAdditions && seq-uint64(n) > a.reported; n++ {
		earlier, ok := a.arrived.at(seq - uint64(n) - 1)
		gap := (later - earlier) / time.Microsecond
		if !ok || later < earlier || gap>>maxScale > 255 {
			break
		}
		gaps[n], longest, later = gap, max(longest, gap), earlier
	}
	for longest>>p.Ack.Scale > 255 {
		p.Ack.Scale++
	}
	for i := range n {
		a.additions[i] = byte(gaps[i] >> p.Ack.Scale)
	}
	p.Ack.Additions = a.additions[:n]
}

// fillVector says what came from the first missing packet on, or goes on with it.
func (a *Acknowledger) fillVector(now time.Duration, p *Packet) {
	base := a.part
	if base <= a.arrived.low {
		base, a.parts = a.arrived.low, 0
	}
	n, next := a.arrived.elements(a.elements[:], base)
	p.Flags |= FlagAckVector
	p.AckVector = AckVector{Base: uint16(base), Elements: a.elements[:n]}
	a.parts++
	if next <= a.arrived.high {
		a.part = next
		return
	}
	a.part, a.fresh, a.lastParts = 0, 0, a.parts
	if at, ok := a.arrived.at(a.arrived.high); ok {
		p.AckVector.Timed, p.AckVector.Received, p.AckVector.GapMs = true, wireTime(at), gapUnknown
		// The gap is that of the latest packet, and the time that of the highest.
		if a.arrived.latest == a.arrived.high {
			p.AckVector.GapMs = gapMs(now - at)
		}
	}
}

func gapMs(d time.Duration) uint8 {
	return uint8(min(max(d/time.Millisecond, 0), gapUnknown))
}
