package linksim

import (
	"errors"
	"math/rand/v2"
	"time"
)

// RED marks, or drops, with a probability that rises with the time that the packet
// has waited: from 0 at Min to P at Max, and always above that. It looks at the
// packet's own time and not at an average.
type RED struct {
	Min, Max time.Duration
	P        float64
}

func (r RED) check() error {
	if r.Max <= r.Min {
		return errors.New("red: Max is not above Min")
	}
	return errors.Join(checkDelays(r.Min, r.Max), checkProbabilities(r.P))
}

func (r RED) queue(l *link, rng *rand.Rand) queue {
	return &red{RED: r, fifo: newFIFO(l), rng: rng}
}

type red struct {
	RED
	fifo
	rng *rand.Rand
}

func (r *red) pop(s *sim) uint32 {
	for {
		p := r.fifo.pop(s)
		if p == none {
			return p
		}
		waited := s.now - s.packets[p].arrived
		chance := float64(waited-r.Min) / float64(r.Max-r.Min) * r.P
		if waited > r.Max {
			chance = 1
		}
		if waited <= r.Min || r.rng.Float64() >= chance || s.signal(p, r.link) {
			return p
		}
	}
}
