package linksim

import "time"

// none is the packet that is not there.
const none = ^uint32(0)

// A packet is one on its way. Packets live in one slice and are named by their
// index; a freed one is used again, so nothing is allocated in the steady state.
type packet struct {
	seq     uint64 // data: the sender's number; acknowledgement: how far the receiver's log is told
	sent    time.Duration
	arrived time.Duration // at the queue that it is in
	queued  time.Duration // in all queues so far
	wait    time.Duration // the part of it that no sender could have avoided
	flow    int32
	bytes   int32
	chunk   int32 // of the source's data; -1 where the source counts none
	slot    int32 // of the encoded acknowledgement; -1 where there is none
	hop     uint8
	ack     bool
	ecn     ECN
	marked  bool
	copied  bool // by the network; the first counts
}

// newPacket returns the index of a packet to be filled in whole.
func (s *sim) newPacket() uint32 {
	if n := len(s.free); n > 0 {
		p := s.free[n-1]
		s.free = s.free[:n-1]
		return p
	}
	s.packets = append(s.packets, packet{})
	return uint32(len(s.packets) - 1)
}

func (s *sim) freePacket(p uint32) {
	if k := &s.packets[p]; k.slot >= 0 {
		s.flows[k.flow].receiver.reporter.release(k.slot)
	}
	s.free = append(s.free, p)
}

// copyPacket returns a second packet that is as the first.
func (s *sim) copyPacket(p uint32) uint32 {
	c := s.newPacket()
	s.packets[c] = s.packets[p]
	s.packets[c].copied = true
	if k := &s.packets[c]; k.slot >= 0 {
		k.slot = s.flows[k.flow].receiver.reporter.copy(k.slot)
	}
	return c
}
