package linksim

import (
	"errors"
	"math/rand/v2"
	"time"
)

// Jitter delays each packet by a time of its own.
type Jitter struct {
	Name string
	Law  JitterLaw
	// Max is the longest delay.
	Max time.Duration
	// Deviation is the standard deviation of [Normal], before it is cut off.
	Deviation time.Duration
	// P is the probability of a spike, per packet.
	P float64
	// Reorder lets packets overtake. Otherwise one that is delayed holds up those
	// behind it, and they arrive together.
	Reorder bool
}

// JitterLaw is a distribution of delays.
type JitterLaw uint8

const (
	Uniform JitterLaw = iota // Anything from zero to Max.
	Normal                   // About half of Max, drawn again where it falls outside of zero to Max.
	Spikes                   // Max with probability P, else nothing.
)

func (e Jitter) check() error {
	if e.Law > Spikes {
		return errors.New("jitter: an unknown law")
	}
	if err := checkDelays(e.Max, e.Deviation); err != nil {
		return err
	}
	return checkProbabilities(e.P)
}

func (e Jitter) kind() string  { return "jitter" }
func (e Jitter) label() string { return e.Name }

func (e Jitter) node(s *sim, at element, out node) node {
	return &jitterNode{Jitter: e, rng: s.random(at.name), line: newLine(s, out)}
}

type jitterNode struct {
	Jitter
	rng  *rand.Rand
	line *line
}

func (n *jitterNode) push(s *sim, p uint32) {
	at := s.now + n.draw()
	if !n.Reorder {
		at = max(at, n.line.last(s))
	}
	n.line.send(s, p, at)
}

func (n *jitterNode) draw() time.Duration {
	switch n.Law {
	case Normal:
		middle := n.Max / 2
		for range 32 {
			d := middle + time.Duration(n.rng.NormFloat64()*float64(n.Deviation))
			if d >= 0 && d <= n.Max {
				return d
			}
		}
		return middle
	case Spikes:
		if n.rng.Float64() < n.P {
			return n.Max
		}
		return 0
	default:
		return time.Duration(n.rng.Int64N(int64(n.Max) + 1))
	}
}
