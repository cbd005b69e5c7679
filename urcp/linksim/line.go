package linksim

import "time"

// A node takes packets: a link, an element behind it, the way to the next hop.
type node interface {
	push(s *sim, p uint32)
}

// A line hands packets on, each at a time of its own. Those that leave in the order
// in which they came wait in a ring, with one event for all of them; one that
// overtakes has an event of its own.
type line struct {
	out  node
	self uint32
	ring ring[leaving]
}

type leaving struct {
	at time.Duration
	p  uint32
}

func newLine(s *sim, out node) *line {
	l := &line{out: out}
	l.self = s.register(l)
	return l
}

// send hands p on at the time at, which is now or later.
func (l *line) send(s *sim, p uint32, at time.Duration) {
	switch {
	case l.ring.n > 0 && at < l.ring.at(l.ring.n-1).at:
		s.events.push(at, l.self, p)
	default:
		l.ring.push(leaving{at, p})
		if l.ring.n == 1 {
			s.events.push(at, l.self, none)
		}
	}
}

// last is when the last of those that wait leaves, or now.
func (l *line) last(s *sim) time.Duration {
	if l.ring.n == 0 {
		return s.now
	}
	return l.ring.at(l.ring.n - 1).at
}

func (l *line) fire(s *sim, arg uint32) {
	if arg != none {
		l.out.push(s, arg)
		return
	}
	p := l.ring.pop().p
	if l.ring.n > 0 {
		s.events.push(l.ring.at(0).at, l.self, none)
	}
	l.out.push(s, p)
}
