package linksim

import (
	"time"

	"github.com/reachback/reachback/urcp"
)

// idealBytes is the size of an ideal acknowledgement on the wire.
const idealBytes = 64

// idealLog is how much news the receiver keeps while no acknowledgement gets through.
const idealLog = 1 << 16

// ideal reports without loss of detail. The receiver writes a log; an
// acknowledgement says how far the log was written, and its arrival lets the sender
// read so far.
type ideal struct {
	receiver *receiver
	packets  int
	delay    time.Duration
	log      ring[receipt]
	written  uint64 // entries ever written
	told     uint64 // how many an acknowledgement has been sent for
	next     uint64 // one above the highest number received
}

type receipt struct {
	seq    uint64
	at     time.Duration // true time
	local  time.Duration // on the receiver's clock
	marked bool
}

func newIdeal(r *receiver, base time.Duration) *ideal {
	fb := r.flow.cfg.Feedback
	id := &ideal{receiver: r, packets: fb.Packets, delay: fb.Delay}
	if id.packets == 0 {
		id.packets = 8
	}
	if id.delay == 0 {
		id.delay = base / 4
	}
	r.ackAt = urcp.Never
	return id
}

func (id *ideal) room() bool                   { return true }
func (id *ideal) sending(*sim, *flow, *packet) {}

func (id *ideal) arrived(s *sim, k *packet, fresh bool) bool {
	if !fresh {
		return true
	}
	if id.log.n == idealLog {
		id.log.pop()
	}
	id.log.push(receipt{k.seq, s.now, id.receiver.clock(s), k.marked})
	id.written++
	inOrder := k.seq == id.next
	id.next = max(id.next, k.seq+1)
	if !inOrder || id.written-id.told >= uint64(id.packets) {
		id.send(s)
		return true
	}
	if r := id.receiver; r.ackAt == urcp.Never {
		r.ackAt = s.now + id.delay
		s.events.push(r.ackAt, r.self, 0)
	}
	return true
}

func (id *ideal) send(s *sim) {
	id.told = id.written
	id.receiver.acknowledge(s, id.written, idealBytes, -1)
}

// fire sends what has waited for the whole delay, and waits on for the rest.
func (id *ideal) fire(s *sim) {
	r := id.receiver
	r.ackAt = urcp.Never
	waiting := int(id.written - id.told)
	if waiting == 0 {
		return
	}
	if waiting > id.log.n {
		waiting = id.log.n
	}
	due := id.log.at(id.log.n-waiting).at + id.delay
	if due <= s.now {
		id.send(s)
		return
	}
	r.ackAt = due
	s.events.push(due, r.self, 0)
}

func (id *ideal) read(s *sim, f *flow, p uint32) time.Duration {
	k := &s.packets[p]
	var rtt time.Duration
	var newest uint64
	for id.log.n > 0 && id.written-uint64(id.log.n) < k.seq {
		r := id.log.pop()
		fl := f.flights.ack(f, r.seq)
		if fl == nil {
			continue
		}
		f.acked = append(f.acked, urcp.Acked{Seq: r.seq, Received: r.local, Timed: true, Marked: r.marked})
		f.rtt.sample(s.now - fl.sent)
		if r.seq+1 > newest {
			newest = r.seq + 1
			rtt = f.clock(s) - f.cfg.Sender.read(fl.sent) - (k.sent - r.at)
		}
	}
	f.flights.reordered(f)
	return max(rtt, 0)
}

func (id *ideal) timer(s *sim, f *flow) time.Duration {
	at := f.flights.oldest()
	if at == urcp.Never {
		return at
	}
	return max(s.now, at+f.rtt.timeout())
}

func (id *ideal) expire(s *sim, f *flow) {
	f.flights.expire(f, s.now-f.rtt.timeout())
	if len(f.lost) > 0 {
		f.rtt.backOff()
	}
}

// An ideal acknowledgement has no payload.
func (id *ideal) copy(slot int32) int32 { return slot }
func (id *ideal) release(int32)         {}
