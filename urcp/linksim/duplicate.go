package linksim

import (
	"errors"
	"math/rand/v2"
	"time"
)

// Duplicate sends a copy of each packet with probability P, a while after it.
type Duplicate struct {
	Name  string
	P     float64
	After time.Duration
}

func (e Duplicate) check() error {
	return errors.Join(checkProbabilities(e.P), checkDelays(e.After))
}

func (e Duplicate) kind() string  { return "duplicate" }
func (e Duplicate) label() string { return e.Name }

func (e Duplicate) node(s *sim, at element, out node) node {
	return &duplicateNode{Duplicate: e, rng: s.random(at.name), copies: newLine(s, out), out: out}
}

type duplicateNode struct {
	Duplicate
	rng    *rand.Rand
	copies *line
	out    node
}

func (n *duplicateNode) push(s *sim, p uint32) {
	if n.rng.Float64() < n.P {
		n.copies.send(s, s.copyPacket(p), s.now+n.After)
	}
	n.out.push(s, p)
}
