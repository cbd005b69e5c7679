package linksim

import (
	"errors"
	"time"
)

// Feedback is how a receiver reports what has arrived.
type Feedback struct {
	// Kind is the form: [Ideal], or [RDPUDP2].
	Kind FeedbackKind
	// Packets is after how many packets ideal feedback reports, and Delay how long it
	// keeps a packet to itself at most. Zero means 8 packets, and a quarter of the round
	// trip without queues. A packet that comes out of order is reported at once. With
	// RDP-UDP2 the sender asks for what it wants.
	Packets int
	Delay   time.Duration
}

// FeedbackKind is a form of feedback.
type FeedbackKind uint8

const (
	// Ideal feedback gives the exact time of every packet, and loses nothing: an
	// acknowledgement repeats what a lost one said. A packet is taken for lost when
	// three later ones have come, or after the timeout of RFC 6298.
	Ideal FeedbackKind = iota
	// RDPUDP2 is what [MS-RDPEUDP2] carries: encoded, with all that its format rounds
	// and leaves out, and decoded again. It has no room for marks of ECN.
	RDPUDP2
)

func (fb *Feedback) check() error {
	if fb.Kind > RDPUDP2 {
		return errors.New("an unknown form of feedback")
	}
	if fb.Packets < 0 || fb.Packets > 1000 || fb.Delay < 0 || fb.Delay > 10*time.Second {
		return errors.New("feedback after less than nothing, 1000 packets or 10 seconds")
	}
	return nil
}

// receiver is the far end of a flow.
type receiver struct {
	flow     *flow
	self     uint32
	back     *line // the way to the first link of the way back
	delay    time.Duration
	seen     seen
	reporter reporter
	ackAt    time.Duration // of the timer that counts; urcp.Never where none is set
}

// A reporter is a form of feedback at work, at both ends: it turns arrivals into
// acknowledgements, and those into what the controller is told.
type reporter interface {
	// room reports whether the receiver's window lets another packet go.
	room() bool
	// sending notes a packet that leaves, and may give it a payload.
	sending(s *sim, f *flow, k *packet)
	// arrived notes a packet, new or not, and sends the acknowledgements that are
	// due. It reports whether the packet may be used.
	arrived(s *sim, k *packet, fresh bool) bool
	// fire sends what has waited long enough.
	fire(s *sim)
	// read appends to f.acked and f.lost what p says, and returns the round trip that
	// it shows.
	read(s *sim, f *flow, p uint32) time.Duration
	// timer is when expire is to be called, in true time, and expire appends to
	// f.lost what nothing has been heard of for too long.
	timer(s *sim, f *flow) time.Duration
	expire(s *sim, f *flow)
	// copy and release manage the payloads of packets.
	copy(slot int32) int32
	release(slot int32)
}

// newReporter makes the flow's form of feedback. base is the round trip without
// queues.
func newReporter(s *sim, r *receiver, base time.Duration) reporter {
	if r.flow.cfg.Feedback.Kind == RDPUDP2 {
		return newUDP2(s, r, base)
	}
	return newIdeal(r, base)
}

func newReceiver(s *sim, f *flow) *receiver {
	r := &receiver{flow: f}
	r.self = s.register(r)
	r.back = newLine(s, hop{})
	there := f.cfg.Delay
	for _, l := range f.cfg.Path {
		there += s.sc.Links[l].delay(f.cfg.Start)
	}
	r.delay = f.cfg.Return
	if len(f.cfg.Back) == 0 && f.cfg.Return == 0 {
		r.delay = there
	}
	base := there + r.delay
	for _, l := range f.cfg.Back {
		base += s.sc.Links[l].delay(f.cfg.Start)
	}
	r.reporter = newReporter(s, r, base)
	f.result.BaseRTT = base
	return r
}

// take receives a data packet, and frees it.
func (r *receiver) take(s *sim, p uint32) {
	k := &s.packets[p]
	fresh := r.seen.add(k.seq)
	switch usable := r.reporter.arrived(s, k, fresh); {
	case !fresh:
		r.flow.result.Duplicates++
	case !usable:
		r.flow.result.drop(s, k)
	default:
		r.flow.result.deliver(s, k)
		if k.chunk >= 0 {
			r.flow.source.arrived(s, k.chunk)
		}
		s.log.received(s, k)
	}
	s.freePacket(p)
}

func (r *receiver) fire(s *sim, _ uint32) { r.reporter.fire(s) }

// clock is what the receiver takes for the time.
func (r *receiver) clock(s *sim) time.Duration { return r.flow.cfg.Receiver.read(s.now) }

// acknowledge sends an acknowledgement on its way.
func (r *receiver) acknowledge(s *sim, seq uint64, bytes, slot int32) {
	p := s.newPacket()
	s.packets[p] = packet{
		seq: seq, sent: s.now, flow: r.flow.index, bytes: bytes, ack: true, chunk: -1, slot: slot,
		ecn: NotECT,
	}
	r.back.send(s, p, s.now+r.delay)
}

// seen knows which of the newest numbers have been seen. What is older counts as
// seen.
type seen struct {
	bits [1 << 10]uint64
	next uint64 // one above the highest
}

const seenSize = 64 << 10

// add notes a number and reports whether it is new.
func (w *seen) add(seq uint64) bool {
	if seq+seenSize < w.next {
		return false
	}
	for ; w.next <= seq; w.next++ {
		w.bits[w.next/64%uint64(len(w.bits))] &^= 1 << (w.next % 64)
	}
	word, bit := &w.bits[seq/64%uint64(len(w.bits))], uint64(1)<<(seq%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}
