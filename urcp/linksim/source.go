package linksim

import (
	"math/rand/v2"
	"time"
)

// A Source is what a flow has to send: [Frames], [Desktop], [OnOff] or [Poisson].
// What they send in a pause of the flow is not made at all, and a source ends with
// its flow. Their packets count as application-limited as long as the controller has
// let everything go at once since the source last had something new.
type Source interface {
	check() error
	source(f *flow, rng *rand.Rand) source
}

// source is a Source at work.
type source interface {
	start(s *sim, f *flow)
	// ready is the size of the next packet, zero where there is nothing to send.
	ready(s *sim, f *flow) int
	// take gives out the next packet's data. greedy says that there is always more.
	take(s *sim, f *flow, bytes int) (chunk int32, greedy bool)
	// fire is called for the source's own events.
	fire(s *sim, f *flow)
	// arrived is told what the receiver has got, acked what the sender knows of it,
	// and lost what the sender gives up.
	arrived(s *sim, chunk int32)
	acked(k *flight)
	lost(k *flight)
	// settled is called after the controller has had feedback.
	settled(s *sim, f *flow)
}

func newSource(s *sim, f *flow) source {
	if f.cfg.Source == nil {
		return greedy{}
	}
	return f.cfg.Source.source(f, s.random(f.cfg.Name+"/source"))
}

// greedy always has more. What is lost need not be repeated: one packet's worth is
// as good as another's.
type greedy struct{}

func (greedy) ready(s *sim, f *flow) int {
	if len(f.cfg.Pauses) > 0 && f.paused(s.now) {
		return 0
	}
	return f.cfg.packetBytes()
}

func (greedy) start(*sim, *flow)                   {}
func (greedy) take(*sim, *flow, int) (int32, bool) { return -1, true }
func (greedy) fire(*sim, *flow)                    {}
func (greedy) arrived(*sim, int32)                 {}
func (greedy) acked(*flight)                       {}
func (greedy) lost(*flight)                        {}
func (greedy) settled(*sim, *flow)                 {}

// again asks for the source's next event.
func (f *flow) again(s *sim, at time.Duration) { s.events.push(at, f.self, flowSource) }
