package linksim

import (
	"errors"
	"time"
)

// Aggregate holds packets back and releases them together: when so many wait, or
// when the first has waited so long. It stands for what Wi-Fi does with frames and
// access networks with acknowledgements.
type Aggregate struct {
	Packets int           // Zero is no limit.
	Every   time.Duration // Zero is no limit; one of the two is given.
}

func (e Aggregate) check() error {
	if e.Packets < 0 || e.Packets > 1<<16 || e.Packets == 0 && e.Every == 0 {
		return errors.New("aggregate: no limit, or one of more than 65536 packets")
	}
	// Without a time, the last packets of a flow would be held for good.
	if e.Every == 0 && e.Packets > 1 {
		return errors.New("aggregate: packets without a time")
	}
	return checkDelays(e.Every)
}

func (e Aggregate) kind() string  { return "aggregate" }
func (e Aggregate) label() string { return "" }

func (e Aggregate) node(s *sim, _ element, out node) node {
	n := &aggregateNode{Aggregate: e, out: out}
	n.self = s.register(n)
	return n
}

type aggregateNode struct {
	Aggregate
	self  uint32
	held  ring[uint32]
	round uint32 // counts releases, so that a timer of an earlier one is known
	out   node
}

func (n *aggregateNode) push(s *sim, p uint32) {
	n.held.push(p)
	switch {
	case n.Packets > 0 && n.held.n >= n.Packets:
		n.release(s)
	case n.held.n == 1:
		s.events.push(s.now+n.Every, n.self, n.round)
	}
}

func (n *aggregateNode) fire(s *sim, round uint32) {
	if round == n.round {
		n.release(s)
	}
}

func (n *aggregateNode) release(s *sim) {
	n.round++
	for n.held.n > 0 {
		n.out.push(s, n.held.pop())
	}
}
