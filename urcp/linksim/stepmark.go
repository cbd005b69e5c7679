package linksim

import (
	"math/rand/v2"
	"time"
)

// StepMark marks every packet of an L4S flow that has waited longer than At. Others
// pass, up to the bounds of the queue.
type StepMark struct {
	At time.Duration // Zero means 1 ms.
}

func (m StepMark) check() error { return checkDelays(m.At) }

func (m StepMark) queue(l *link, _ *rand.Rand) queue {
	if m.At == 0 {
		m.At = time.Millisecond
	}
	return &stepMark{StepMark: m, fifo: newFIFO(l)}
}

type stepMark struct {
	StepMark
	fifo
}

func (m *stepMark) pop(s *sim) uint32 {
	p := m.fifo.pop(s)
	if p == none {
		return p
	}
	if k := &s.packets[p]; k.ecn == ECT1 && s.now-k.arrived > m.At {
		s.signal(p, m.link)
	}
	return p
}
