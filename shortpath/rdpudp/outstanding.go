package rdpudp

import (
	"time"

	"github.com/reachback/reachback/urcp"
)

const (
	// defaultFirst is the packet number with which Windows begins.
	defaultFirst = 100
	// maxOutstanding is as many packets as their numbers can be told apart.
	maxOutstanding = 1<<15 - 1

	minRing = 256
	maxRing = 1 << 16

	// maxErrBound is by how much the time of an arrival may be wrong, or it is none.
	maxErrBound = 2 * time.Millisecond
)

// A state is that of a packet that was sent. It goes from pending to received or lost,
// and from lost to received where the packet was late only.
type state uint8

const (
	unsent state = iota
	pending
	received
	lost
)

type sent struct {
	at     time.Duration
	lostAt time.Duration // where state is or was lost
	state  state
}

// Outstanding are the packets of a sender that wait for their acknowledgement. It
// numbers packets, reads acknowledgements, and decides which packets are lost. The
// zero Outstanding is ready for the first packet. It is not safe for concurrent use.
//
// All times that it is given are durations since an instant of the caller's choice,
// the same for all calls, on a clock that does not go back.
//
// A packet is lost when packets that were sent after it were acknowledged and it was
// not, by a number of packets or a time that follows how much the path reorders, or
// when nothing was heard of it for the retransmission timeout. All before it that
// still wait are lost with it.
//
// Acknowledgements of packets that were never sent are ignored, and of those that are
// settled too, but for one: that a packet arrived that was taken for lost. Its memory
// grows with the packets that wait, to some 4 MiB with the largest window.
type Outstanding struct {
	// First is the number of the first packet. Zero means 100, as Windows has it.
	First uint64

	low  uint64 // the lowest that is pending, or next
	next uint64 // the number that the next packet gets
	high uint64 // the highest that was acknowledged, zero before the first
	ring []sent // by number; numbers below low are kept as long as there is room

	peerWindow int // packets that the peer lets wait
	clock      peerClock
	rtt        rttEstimate
	reordering reordering
	patience   time.Duration // as of the last look for losses
	asking     asking

	settle    bool   // low is to be told to the peer
	settleLow uint64 // up to where the peer must have understood it
	lateFrom  uint64 // no cumulative acknowledgement has spoken of what is lost from here on
	goesOn    uint64 // where a vector ended that another continues

	feedback urcp.Feedback // of the last call
	stats    OutstandingStats
}

// OutstandingStats count what happened to an Outstanding.
type OutstandingStats struct {
	Sent     uint64 // packets
	Lost     uint64 // packets taken for lost
	Late     uint64 // of those, that were acknowledged after all
	Timeouts uint64 // times that the oldest were lost for want of any news
	Ignored  uint64 // acknowledgements of what was not sent, or is long settled
}

// Stats returns the counters.
func (o *Outstanding) Stats() OutstandingStats { return o.stats }

// SetRTT says what the handshake's round trip was, before the first packet.
func (o *Outstanding) SetRTT(now, rtt time.Duration) {
	if rtt > 0 {
		o.rtt.add(now, rtt)
	}
}

// RTT returns the smoothed round trip, without the time for which the peer holds
// acknowledgements back; zero while it is not known.
func (o *Outstanding) RTT() time.Duration { return o.rtt.smoothed }

// InFlight returns how much of the peer's window is in use, in packets: all from the
// oldest that waits for its acknowledgement.
func (o *Outstanding) InFlight() int { return int(o.next - o.low) }

// Room returns how many more packets the peer's window has room for.
func (o *Outstanding) Room() int {
	window := o.peerWindow
	if window == 0 { // nothing came yet
		window = 1<<defaultLogWindow - 1
	}
	return max(min(window, maxOutstanding)-o.InFlight(), 0)
}

func (o *Outstanding) start() {
	if o.next != 0 {
		return
	}
	o.next = defaultFirst
	if o.First != 0 {
		o.next = o.First
	}
	o.low, o.lateFrom = o.next, o.next
	o.settle, o.settleLow = true, o.next
	o.ring = make([]sent, minRing)
}

// Send makes a data or dummy packet of p, that leaves at now: it gives it its number,
// which it returns whole, and what else the peer is to know. It reports false, and
// leaves p as it is, where the peer's window has no room.
func (o *Outstanding) Send(now time.Duration, p *Packet) (uint64, bool) {
	o.start()
	if o.Room() == 0 {
		return 0, false
	}
	if n := len(o.ring); o.InFlight() >= n/2 && n < maxRing {
		o.grow()
	}
	seq := o.next
	o.next++
	*o.at(seq) = sent{at: now, state: pending}
	o.stats.Sent++
	p.Flags |= FlagData
	p.Seq = uint16(seq)
	if o.settle {
		p.Flags |= FlagAckOfAcks
		p.AckOfAcks = uint16(o.low)
	}
	if info, ok := o.asking.next(seq); ok {
		p.Flags |= FlagDelayAckInfo
		p.DelayAckInfo = info
	}
	return seq, true
}

func (o *Outstanding) at(seq uint64) *sent { return &o.ring[seq&uint64(len(o.ring)-1)] }

// oldest is the lowest number of which the ring still knows.
func (o *Outstanding) oldest() uint64 {
	first := uint64(defaultFirst)
	if o.First != 0 {
		first = o.First
	}
	if n := uint64(len(o.ring)); o.next > n {
		return max(o.next-n, first)
	}
	return first
}

func (o *Outstanding) grow() {
	old, from := *o, o.oldest()
	o.ring = make([]sent, 2*len(old.ring))
	for seq := from; seq < o.next; seq++ {
		*o.at(seq) = *old.at(seq)
	}
}

// OnPacket takes in what a packet that arrived at now says of ours: the window that the
// peer grants, and an acknowledgement. It returns nil where that tells nothing new. The
// feedback is valid until the next call.
func (o *Outstanding) OnPacket(now time.Duration, p *Packet) *urcp.Feedback {
	o.start()
	// A window of one packet would be none.
	o.peerWindow = max(1<<p.LogWindow-1, 1)
	f := o.begin()
	known := false
	switch {
	case p.Has(FlagAck):
		known = o.onAck(now, &p.Ack)
	case p.Has(FlagAckVector):
		known = o.onVector(now, &p.AckVector)
	default:
		return nil
	}
	if !known {
		o.stats.Ignored++
		return nil
	}
	o.advance()
	o.detect(now)
	if len(f.Acked) == 0 && len(f.Lost) == 0 {
		return nil
	}
	return f
}

// begin returns an empty feedback.
func (o *Outstanding) begin() *urcp.Feedback {
	o.feedback = urcp.Feedback{Acked: o.feedback.Acked[:0], Lost: o.feedback.Lost[:0]}
	return &o.feedback
}

// advance moves low over all that is settled.
func (o *Outstanding) advance() {
	for o.low < o.next && o.at(o.low).state != pending {
		o.low++
	}
}

// OnTimer is called at NextTimer: packets may be lost for want of news. It returns nil
// where none is.
func (o *Outstanding) OnTimer(now time.Duration) *urcp.Feedback {
	f := o.begin()
	o.detect(now)
	if len(f.Lost) == 0 {
		return nil
	}
	return f
}

// NextTimer returns when OnTimer is to be called; urcp.Never where nothing waits.
func (o *Outstanding) NextTimer() time.Duration {
	if o.low == o.next {
		return urcp.Never
	}
	t := o.at(o.low).at + o.timeout()
	if o.high > o.low {
		t = min(t, o.at(o.low).at+o.patience)
	}
	return t
}

func (o *Outstanding) timeout() time.Duration { return o.rtt.timeout(o.asking.longest(o.rtt.smoothed)) }

// detect finds the packets that are lost: [MS-RDPEUDP2] 3.1.1.2.3.
func (o *Outstanding) detect(now time.Duration) {
	timeout, distance := o.timeout(), o.reordering.distance(now)
	o.patience = o.reordering.patience(now, max(o.rtt.smoothed, o.rtt.latest))
	timedOut := false
	for ; o.low < o.next; o.low++ {
		e := o.at(o.low)
		if e.state != pending {
			continue
		}
		overtaken := o.low < o.high && (o.high-o.low >= distance || now >= e.at+o.patience)
		late := now >= e.at+timeout
		if !overtaken && !late {
			break
		}
		timedOut = timedOut || !overtaken
		e.state, e.lostAt = lost, now
		o.feedback.Lost = append(o.feedback.Lost, o.low)
		o.stats.Lost++
	}
	o.advance()
	if len(o.feedback.Lost) == 0 {
		return
	}
	if timedOut {
		o.stats.Timeouts++
		o.rtt.backOff()
	}
	o.settle, o.settleLow = true, o.low
}
