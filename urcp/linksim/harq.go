package linksim

import (
	"errors"
	"math/rand/v2"
	"time"
)

// HARQ repeats transmissions as LTE does below IP: each fails with probability P and
// is repeated a step later, and packets are delivered in their order, so that one
// that is repeated holds up those behind it.
type HARQ struct {
	Name string
	P    float64
	Step time.Duration // Zero means 8 ms.
	// Tries is after how many transmissions the packet is delivered at all events.
	// Zero means 4.
	Tries int
}

func (e HARQ) check() error {
	if e.Tries < 0 || e.Tries > 100 {
		return errors.New("harq: a number of tries below zero or above 100")
	}
	return errors.Join(checkProbabilities(e.P), checkDelays(e.Step))
}

func (e HARQ) kind() string  { return "harq" }
func (e HARQ) label() string { return e.Name }

func (e HARQ) step() time.Duration {
	if e.Step == 0 {
		return 8 * time.Millisecond
	}
	return e.Step
}

func (e HARQ) tries() int {
	if e.Tries == 0 {
		return 4
	}
	return e.Tries
}

func (e HARQ) node(s *sim, at element, out node) node {
	return &harqNode{HARQ: e, rng: s.random(at.name), line: newLine(s, out)}
}

type harqNode struct {
	HARQ
	rng  *rand.Rand
	line *line
}

func (n *harqNode) push(s *sim, p uint32) {
	at := s.now
	for try := 1; try < n.tries() && n.rng.Float64() < n.P; try++ {
		at += n.step()
	}
	n.line.send(s, p, max(at, n.line.last(s)))
}
