package linksim

import (
	"errors"
	"math/rand/v2"
	"time"
)

// Poisson makes packets at random, independently of each other: the traffic of many
// who do not react. What is lost is not repeated. [Unlimited] is its controller.
type Poisson struct {
	Rate int64 // The mean, in bits per second.
}

func (p Poisson) check() error {
	if p.Rate <= 0 || p.Rate > maxRate {
		return errors.New("an impossible rate")
	}
	return nil
}

func (p Poisson) source(f *flow, rng *rand.Rand) source {
	bits := float64(f.cfg.packetBytes() * 8)
	return &poisson{rng: rng, mean: time.Duration(bits / float64(p.Rate) * 1e9)}
}

type poisson struct {
	rng     *rand.Rand
	mean    time.Duration
	waiting int
}

// poissonMost is how many packets wait for a controller that holds them; more are
// not made.
const poissonMost = 1000

func (p *poisson) start(s *sim, f *flow) { f.again(s, s.now+exponential(p.rng.Float64(), p.mean)) }

func (p *poisson) fire(s *sim, f *flow) {
	if !f.paused(s.now) && p.waiting < poissonMost {
		p.waiting++
	}
	p.start(s, f)
}

func (p *poisson) ready(_ *sim, f *flow) int {
	if p.waiting == 0 {
		return 0
	}
	return f.cfg.packetBytes()
}

func (p *poisson) take(*sim, *flow, int) (int32, bool) {
	p.waiting--
	return -1, false
}

func (p *poisson) arrived(*sim, int32) {}
func (p *poisson) acked(*flight)       {}
func (p *poisson) lost(*flight)        {}
func (p *poisson) settled(*sim, *flow) {}
