package linksim

import (
	"time"

	"github.com/reachback/reachback/urcp"
)

// maxSent is the largest number of packets that a flight knows. A controller
// that sends more forgets the oldest, as if they had been lost long ago.
const maxSent = 1 << 17

// A sentLog is what a reference controller knows of the packets that it has sent:
// those in flight, and the late ones that it took for lost, as long as their place
// in the ring has not been given to a newer packet.
type sentLog struct {
	ring  []sentPacket // len is a power of two; packet n lies at n modulo len
	first uint64       // nothing before it is in flight
	next  uint64       // one more than the newest packet
	bytes int          // in flight

	// The packet that the round trip of the feedback at hand belongs to.
	roundTrip, oneWay time.Duration
}

type sentPacket struct {
	seq        uint64
	at         time.Duration
	bytes      int
	state      packetState
	appLimited bool

	// What the delivery rate is estimated from; only BBR fills it in.
	delivered              int64
	deliveredAt, firstSent time.Duration
	rateAppLimited         bool
}

type packetState uint8

const (
	packetGone packetState = iota
	packetInFlight
	packetLost
)

func (fl *sentLog) slot(seq uint64) *sentPacket { return &fl.ring[seq&uint64(len(fl.ring)-1)] }

// sent adds a packet. The result is valid until the next call.
func (fl *sentLog) sent(now time.Duration, p urcp.Packet) *sentPacket {
	if fl.bytes == 0 {
		fl.first = p.Seq
	}
	for p.Seq-fl.first >= uint64(len(fl.ring)) {
		if len(fl.ring) < maxSent {
			fl.grow()
			continue
		}
		if _, ok := fl.lose(fl.first); !ok {
			fl.first++
		}
	}
	s := fl.slot(p.Seq)
	*s = sentPacket{seq: p.Seq, at: now, bytes: p.Bytes, state: packetInFlight, appLimited: p.AppLimited}
	fl.bytes += p.Bytes
	fl.next = p.Seq + 1
	return s
}

func (fl *sentLog) grow() {
	old := fl.ring
	fl.ring = make([]sentPacket, max(256, 2*len(old)))
	for i := range old {
		if old[i].state != packetGone {
			*fl.slot(old[i].seq) = old[i]
		}
	}
}

// lose marks a packet as lost. It returns false where the packet is not in flight.
func (fl *sentLog) lose(seq uint64) (*sentPacket, bool) {
	if len(fl.ring) == 0 {
		return nil, false
	}
	p := fl.slot(seq)
	if p.seq != seq || p.state != packetInFlight {
		return nil, false
	}
	p.state = packetLost
	fl.bytes -= p.bytes
	fl.advance()
	return p, true
}

func (fl *sentLog) advance() {
	for fl.first < fl.next {
		if p := fl.slot(fl.first); p.seq == fl.first && p.state == packetInFlight {
			return
		}
		fl.first++
	}
}

// begin looks for the packet whose round trip a feedback gives: the newest. acked
// derives the round trips of the others from it.
func (fl *sentLog) begin(f *urcp.Feedback) {
	fl.roundTrip, fl.oneWay = 0, 0
	if f.RTT <= 0 || len(fl.ring) == 0 {
		return
	}
	var newest uint64
	for i := range f.Acked {
		a := &f.Acked[i]
		if !a.Timed || fl.roundTrip != 0 && a.Seq < newest {
			continue
		}
		if p := fl.slot(a.Seq); p.seq == a.Seq && p.state != packetGone {
			newest = a.Seq
			fl.roundTrip, fl.oneWay = f.RTT, a.Received-p.at
		}
	}
}

// acked takes an acknowledged packet out. The round trip is that which the packet
// would have had with an acknowledgement of its own; zero where its arrival is not
// known. The result is nil where the packet is unknown or was acknowledged before,
// and valid until the next call; late says that it had been taken for lost.
func (fl *sentLog) acked(a *urcp.Acked) (p *sentPacket, roundTrip time.Duration, late bool) {
	if len(fl.ring) == 0 {
		return nil, 0, false
	}
	p = fl.slot(a.Seq)
	if p.seq != a.Seq || p.state == packetGone {
		return nil, 0, false
	}
	late = p.state == packetLost
	p.state = packetGone
	if !late {
		fl.bytes -= p.bytes
		fl.advance()
	}
	if a.Timed && fl.roundTrip > 0 {
		roundTrip = max(0, fl.roundTrip+a.Received-p.at-fl.oneWay)
	}
	return p, roundTrip, late
}
