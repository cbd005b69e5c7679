package linksim

import (
	"errors"
	"math/rand/v2"
	"time"
)

// Reorder delays each packet with probability P by the same time, in which others
// overtake it.
type Reorder struct {
	Name string
	P    float64
	By   time.Duration
}

func (e Reorder) check() error {
	return errors.Join(checkProbabilities(e.P), checkDelays(e.By))
}

func (e Reorder) kind() string  { return "reorder" }
func (e Reorder) label() string { return e.Name }

func (e Reorder) node(s *sim, at element, out node) node {
	return &reorderNode{Reorder: e, rng: s.random(at.name), late: newLine(s, out), out: out}
}

type reorderNode struct {
	Reorder
	rng  *rand.Rand
	late *line
	out  node
}

func (n *reorderNode) push(s *sim, p uint32) {
	if n.rng.Float64() < n.P {
		n.late.send(s, p, s.now+n.By)
		return
	}
	n.out.push(s, p)
}
