package linksim

import (
	"errors"
	"math/rand/v2"
	"time"
)

// OnOff makes short transfers with silences between them, as browsing does. Each
// transfer is a connection of its own, with a new controller.
type OnOff struct {
	Min, Max int64         // The size of a transfer, in bytes. Zero means 100 kB and 1 MB.
	Off      time.Duration // The mean of the silences, whose law is exponential. Zero means 10 s.
	// Late says that the flow begins with a silence.
	Late bool
}

func (o OnOff) check() error {
	if o.Min < 0 || o.Max < o.Min || o.Max > 1<<40 {
		return errors.New("transfers of an impossible size")
	}
	return checkDelays(o.Off)
}

func (o OnOff) source(f *flow, rng *rand.Rand) source {
	if o.Max == 0 {
		o.Min, o.Max = 100e3, 1e6
	}
	if o.Off == 0 {
		o.Off = 10 * time.Second
	}
	return &onOff{OnOff: o, stream: newStream(f), rng: rng}
}

type onOff struct {
	OnOff
	stream
	rng  *rand.Rand
	idle bool
	used bool // the flow's first controller has served a transfer
}

func (o *onOff) start(s *sim, f *flow) {
	if o.Late {
		o.rest(s, f)
		return
	}
	o.fire(s, f)
}

func (o *onOff) rest(s *sim, f *flow) {
	o.idle = true
	f.again(s, s.now+exponential(o.rng.Float64(), o.Off))
}

func (o *onOff) fire(s *sim, f *flow) {
	o.idle = false
	if f.paused(s.now) {
		o.rest(s, f)
		return
	}
	if o.used {
		f.renew(s)
	}
	o.used = true
	o.add(s.now, o.Min+o.rng.Int64N(o.Max-o.Min+1))
}

// settled ends a transfer when its sender knows that everything has arrived.
func (o *onOff) settled(s *sim, f *flow) {
	if !o.idle && o.all() && f.flights.out == 0 {
		o.rest(s, f)
	}
}

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
