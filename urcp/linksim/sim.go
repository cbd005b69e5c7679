package linksim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"
)

// sim is one run. One goroutine owns it.
type sim struct {
	sc      *Scenario
	now     time.Duration
	events  schedule
	targets []timed
	packets []packet
	free    []uint32
	links   []*link
	flows   []*flow
	log     *eventLog
	result  *Result
	err     error // the first fault of a controller; ends the run
}

// Run simulates a scenario and returns what was measured. Runs at the same time may
// share a scenario whose New gives each a controller of its own. An error says what is
// wrong with the scenario, or which controller did what none may do: let packets go
// without end in one moment, ask for its timer again and again in one, or fill the
// memory with packets of which it awaits news.
func Run(sc *Scenario) (*Result, error) {
	if err := sc.check(); err != nil {
		return nil, fmt.Errorf("linksim: scenario %q: %w", sc.Name, err)
	}
	s := newSim(sc)
	if err := s.run(); err != nil {
		return nil, fmt.Errorf("linksim: scenario %q: %w", sc.Name, err)
	}
	return s.result, nil
}

func newSim(sc *Scenario) *sim {
	s := &sim{sc: sc, result: newResult(sc), log: newEventLog(sc.Log)}
	for i := range sc.Links {
		s.links = append(s.links, newLink(s, i, &sc.Links[i], s.result.Links[i]))
	}
	for i := range sc.Flows {
		s.flows = append(s.flows, newFlow(s, i, &sc.Flows[i], s.result.Flows[i]))
	}
	sampler := &sampler{}
	sampler.self = s.register(sampler)
	s.events.push(sc.bin(), sampler.self, 0)
	return s
}

// run lets events happen until the scenario's end.
func (s *sim) run() error {
	for s.err == nil && len(s.events.heap) > 0 && s.events.heap[0].at < s.sc.Duration {
		e := s.events.pop()
		s.now = e.at
		s.targets[e.to].fire(s, e.arg)
	}
	if s.err != nil {
		return fmt.Errorf("at %v: %w", s.now, s.err)
	}
	if err := s.log.flush(); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}

func (s *sim) register(t timed) uint32 {
	s.targets = append(s.targets, t)
	return uint32(len(s.targets) - 1)
}

// random is the stream of randomness of the element with this name.
func (s *sim) random(name string) *rand.Rand {
	h := sha256.New()
	_ = binary.Write(h, binary.BigEndian, s.sc.Seed)
	h.Write([]byte(name))
	sum := h.Sum(nil)
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum), binary.BigEndian.Uint64(sum[8:])))
}

// A dropReason says what a packet was lost to.
type dropReason uint8

const (
	dropOverflow dropReason = iota
	dropAQM
	dropPoliced
	dropFlushed
	dropElement
	dropReasons
)

func (d dropReason) String() string {
	return [dropReasons]string{"overflow", "aqm", "policed", "flushed", "element"}[d]
}

func (s *sim) drop(p uint32, l *link, why dropReason) {
	k := &s.packets[p]
	l.result.Dropped.count(why)
	if !k.ack && !k.copied {
		s.flows[k.flow].result.drop(s, k)
	}
	s.log.dropped(s, k, l, why)
	s.freePacket(p)
}

// sampler looks at each controller once a bin.
type sampler struct{ self uint32 }

func (sm *sampler) fire(s *sim, _ uint32) {
	for _, f := range s.flows {
		f.sample(s)
	}
	s.events.push(s.now+s.sc.bin(), sm.self, 0)
}
