package linksim

import "math/rand/v2"

// Loss drops each packet with the same probability, whatever became of the others.
type Loss struct {
	Name string // Names its randomness; see [Scenario.Seed].
	P    float64
}

func (e Loss) check() error  { return checkProbabilities(e.P) }
func (e Loss) kind() string  { return "loss" }
func (e Loss) label() string { return e.Name }

func (e Loss) node(s *sim, at element, out node) node {
	return &lossNode{link: at.link, rng: s.random(at.name), good: e.P, out: out}
}

// BurstLoss drops in bursts (Gilbert and Elliott): the link is good or bad, and
// which one changes from packet to packet.
type BurstLoss struct {
	Name      string
	ToBad     float64 // The probability of turning bad, per packet.
	ToGood    float64 // And of turning good again.
	Good, Bad float64 // The loss in each.
}

func (e BurstLoss) check() error  { return checkProbabilities(e.ToBad, e.ToGood, e.Good, e.Bad) }
func (e BurstLoss) kind() string  { return "burstloss" }
func (e BurstLoss) label() string { return e.Name }

func (e BurstLoss) node(s *sim, at element, out node) node {
	return &lossNode{
		link: at.link, rng: s.random(at.name), out: out,
		good: e.Good, bad: e.Bad, toBad: e.ToBad, toGood: e.ToGood,
	}
}

type lossNode struct {
	link          *link
	rng           *rand.Rand
	good, bad     float64
	toBad, toGood float64
	isBad         bool
	out           node
}

func (n *lossNode) push(s *sim, p uint32) {
	if n.toBad > 0 || n.isBad {
		change := n.toBad
		if n.isBad {
			change = n.toGood
		}
		if n.rng.Float64() < change {
			n.isBad = !n.isBad
		}
	}
	loss := n.good
	if n.isBad {
		loss = n.bad
	}
	if n.rng.Float64() < loss {
		s.drop(p, n.link, dropElement)
		return
	}
	n.out.push(s, p)
}
