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
