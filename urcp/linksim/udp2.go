package linksim

import (
	"fmt"
	"time"

	"github.com/reachback/reachback/shortpath/rdpudp"
	"github.com/reachback/reachback/urcp"
)

const (
	// udpHeaders is what IPv4 and UDP add to a datagram.
	udpHeaders = 28
	// udp2First is the number of the first packet, as Windows has it.
	udp2First = 100
	// udp2Window is the binary logarithm of the receiver's window, in packets: the
	// most that there is, so that it is the controller that is tried.
	udp2Window = 15
	// udp2Payload is room for the largest acknowledgement, of 127 elements.
	udp2Payload = 192
)

// udp2 is the feedback of [MS-RDPEUDP2] with the receiver and the sender that a real
// connection has. What they tell each other goes through the bytes of its packets; of
// data packets everything but the data.
type udp2 struct {
	receiver *receiver
	ack      rdpudp.Acknowledger
	out      rdpudp.Outstanding
	packet   rdpudp.Packet // reused
	slots    []udp2Slot
	free     []int32
}

type udp2Slot struct {
	n int
	b [udp2Payload]byte
}

// newUDP2 makes both ends, which know the round trip as from a handshake.
func newUDP2(s *sim, r *receiver, base time.Duration) *udp2 {
	u := &udp2{receiver: r}
	u.ack.LogWindow = udp2Window
	u.ack.SetRTT(base)
	u.out.First = udp2First
	if base > 0 {
		u.out.SetRTT(r.flow.clock(s), base)
	}
	f := r.flow
	f.next, f.first = udp2First, udp2First
	f.flights.base, f.flights.next = udp2First, udp2First
	r.ackAt = urcp.Never
	return u
}

// put encodes u.packet into a slot.
func (u *udp2) put() int32 {
	slot := u.slot()
	k := &u.slots[slot]
	k.n = len(u.packet.Append(k.b[:0]))
	return slot
}

func (u *udp2) slot() int32 {
	if n := len(u.free); n > 0 {
		slot := u.free[n-1]
		u.free = u.free[:n-1]
		return slot
	}
	u.slots = append(u.slots, udp2Slot{})
	return int32(len(u.slots) - 1)
}

func (u *udp2) release(slot int32) { u.free = append(u.free, slot) }

func (u *udp2) copy(slot int32) int32 {
	c := u.slot()
	u.slots[c] = u.slots[slot]
	return c
}

// parse decodes a packet's payload into u.packet.
func (u *udp2) parse(s *sim, k *packet) bool {
	payload := &u.slots[k.slot]
	if err := u.packet.Parse(payload.b[:payload.n]); err != nil {
		s.err = fmt.Errorf("flow %q: %w", u.receiver.flow.cfg.Name, err)
		return false
	}
	return true
}

func (u *udp2) room() bool { return u.out.Room() > 0 }

func (u *udp2) sending(s *sim, f *flow, k *packet) {
	u.packet = rdpudp.Packet{}
	seq, ok := u.out.Send(f.clock(s), &u.packet)
	if !ok || seq != k.seq {
		s.err = fmt.Errorf("flow %q: packet %d was numbered %d", f.cfg.Name, k.seq, seq)
		return
	}
	k.slot = u.put()
}

func (u *udp2) arrived(s *sim, k *packet, _ bool) bool {
	if !u.parse(s, k) {
		return false
	}
	usable := u.ack.OnPacket(u.receiver.clock(s), &u.packet)
	u.acknowledge(s)
	return usable
}

func (u *udp2) fire(s *sim) {
	if u.receiver.ackAt == s.now {
		u.receiver.ackAt = urcp.Never
	}
	u.acknowledge(s)
}

// acknowledge sends what is due, and sets the timer for what is not yet.
func (u *udp2) acknowledge(s *sim) {
	r := u.receiver
	now := r.clock(s)
	for u.ack.NextAck() <= now {
		u.packet = rdpudp.Packet{}
		if !u.ack.Fill(now, &u.packet) {
			break
		}
		slot := u.put()
		r.acknowledge(s, 0, int32(udpHeaders+u.slots[slot].n), slot)
	}
	next := u.ack.NextAck()
	if next == urcp.Never {
		return
	}
	if at := r.flow.cfg.Receiver.when(s.now, next); at < r.ackAt {
		r.ackAt = at
		s.events.push(at, r.self, 0)
	}
}

func (u *udp2) read(s *sim, f *flow, p uint32) time.Duration {
	if !u.parse(s, &s.packets[p]) {
		return 0
	}
	return u.tell(f, u.out.OnPacket(f.clock(s), &u.packet))
}

func (u *udp2) timer(s *sim, f *flow) time.Duration {
	return f.cfg.Sender.when(s.now, u.out.NextTimer())
}

func (u *udp2) expire(s *sim, f *flow) { u.tell(f, u.out.OnTimer(f.clock(s))) }

// tell passes feedback on, without what an earlier controller of the flow had sent.
func (u *udp2) tell(f *flow, fb *urcp.Feedback) time.Duration {
	if fb == nil {
		return 0
	}
	for _, a := range fb.Acked {
		if f.flights.ack(f, a.Seq) != nil {
			f.acked = append(f.acked, a)
		}
	}
	for _, seq := range fb.Lost {
		if seq >= f.first {
			f.flights.lose(f, f.flights.at(seq))
		}
	}
	f.flights.oldest() // lets go of what is settled
	return fb.RTT
}
