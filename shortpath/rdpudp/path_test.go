package rdpudp

import (
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
)

// A path carries packets of a sender to a receiver and acknowledgements back, as
// bytes, in virtual time. What arrived, and when, is known beside what the sender
// believes.
type path struct {
	t   testing.TB
	rng *rand.Rand

	delay      time.Duration // one way
	spacing    time.Duration // between packets that are sent
	jitter     time.Duration // up to which a packet is held back beyond that
	reordered  float64       // packets that jitter touches
	lost       float64
	lostAcks   float64
	duplicated float64
	offset     time.Duration                         // of the receiver's clock
	outage     [2]time.Duration                      // while nothing is carried
	held       [2]time.Duration                      // while nothing is carried on, but kept
	tick       time.Duration                         // of both clocks; exact where zero
	route      func(now time.Duration) time.Duration // one way, in the place of delay

	now    time.Duration
	events events
	order  int

	out Outstanding
	ack Acknowledger

	sentAt   map[uint64]time.Duration
	arrived  map[uint64]time.Duration // on the receiver's clock
	acked    map[uint64]urcp.Acked
	lostAt   map[uint64]time.Duration
	rtts     []time.Duration
	packets  int // acknowledgements that the receiver sent
	arrivals int
}

type eventKind int

const (
	eventSend eventKind = iota
	eventArrive
	eventAck
)

type event struct {
	at    time.Duration
	order int
	kind  eventKind
	b     []byte
	seq   uint64
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(v any)   { *e = append(*e, v.(event)) }
func (e *events) Pop() any {
	old := *e
	v := old[len(old)-1]
	*e = old[:len(old)-1]
	return v
}

func newPath(t testing.TB, seed uint64) *path {
	return &path{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), delay: 20 * time.Millisecond, spacing: time.Millisecond,
		sentAt: map[uint64]time.Duration{}, arrived: map[uint64]time.Duration{}, acked: map[uint64]urcp.Acked{}, lostAt: map[uint64]time.Duration{},
	}
}

func (p *path) at(at time.Duration, kind eventKind, b []byte, seq uint64) {
	p.order++
	heap.Push(&p.events, event{at, p.order, kind, b, seq})
}

func (p *path) chance(share float64) bool { return p.rng.Float64() < share }

// shown is what the clocks show, but for the offset of the receiver's.
func (p *path) shown() time.Duration { return p.ticked(p.now, 0) }

// ticked is the last tick at t+up.
func (p *path) ticked(t, up time.Duration) time.Duration {
	if p.tick == 0 {
		return t
	}
	return (t + up).Truncate(p.tick)
}

// way is how long the path is one way.
func (p *path) way() time.Duration {
	if p.route != nil {
		return p.route(p.now)
	}
	return p.delay
}

// cut reports whether the path carries nothing.
func (p *path) cut() bool { return p.now >= p.outage[0] && p.now < p.outage[1] }

// run sends n packets, and goes on until all of them are settled.
func (p *path) run(n int) {
	p.at(0, eventSend, nil, 0)
	for {
		next := urcp.Never
		if p.events.Len() > 0 {
			next = p.events[0].at
		}
		timer, ack := p.out.NextTimer(), p.ack.NextAck()
		if timer != urcp.Never {
			timer = p.ticked(timer, p.tick-1)
		}
		if ack != urcp.Never {
			ack = p.ticked(ack-p.offset, p.tick-1)
		}
		switch first := min(next, timer, ack); first {
		case urcp.Never:
			return
		case ack:
			p.now = max(p.now, ack)
			p.acknowledge()
			continue
		case timer:
			p.now = max(p.now, timer)
			p.feedback(p.out.OnTimer(p.shown()))
			if p.out.NextTimer() <= p.shown() {
				p.t.Fatal("the timer does not go on")
			}
			continue
		}
		e := heap.Pop(&p.events).(event)
		p.now = e.at
		switch e.kind {
		case eventSend:
			if n--; n > 0 {
				p.at(p.now+p.spacing, eventSend, nil, 0)
			}
			p.send()
		case eventArrive:
			p.arrive(e.b, e.seq)
		case eventAck:
			var pkt Packet
			if pkt.Parse(e.b) != nil {
				p.t.Fatal("an acknowledgement cannot be read")
			}
			p.feedback(p.out.OnPacket(p.shown(), &pkt))
		}
	}
}

func (p *path) send() {
	pkt := Packet{LogWindow: 12, Channel: 1, Data: []byte("data")}
	seq, ok := p.out.Send(p.shown(), &pkt)
	if !ok {
		return
	}
	p.sentAt[seq] = p.now
	for copies := 1; copies > 0; copies-- {
		if p.chance(p.duplicated) {
			copies++
		}
		delay := p.way()
		if p.chance(p.reordered) {
			delay += time.Duration(p.rng.Int64N(int64(p.jitter)))
		}
		at := p.now + delay
		if at >= p.held[0] && at < p.held[1] {
			at = p.held[1]
		}
		if !p.chance(p.lost) && !p.cut() {
			p.at(at, eventArrive, pkt.Append(nil), seq)
		}
	}
}

func (p *path) arrive(b []byte, seq uint64) {
	var pkt Packet
	if pkt.Parse(b) != nil || !p.ack.OnPacket(p.shown()+p.offset, &pkt) {
		p.t.Fatalf("%d was refused", seq)
	}
	if _, ok := p.arrived[seq]; !ok {
		p.arrived[seq] = p.shown() + p.offset
		p.arrivals++
	}
	p.acknowledge()
}

func (p *path) acknowledge() {
	for p.ack.NextAck() <= p.shown()+p.offset {
		var pkt Packet
		if !p.ack.Fill(p.shown()+p.offset, &pkt) {
			p.t.Fatal("what is due is not there")
		}
		p.packets++
		if !p.chance(p.lostAcks) && !p.cut() {
			p.at(p.now+p.way(), eventAck, pkt.Append(nil), 0)
		}
	}
}

// feedback checks what the sender has learned against the truth.
func (p *path) feedback(f *urcp.Feedback) {
	if f == nil {
		return
	}
	for _, seq := range f.Lost {
		_, twice := p.lostAt[seq]
		_, acked := p.acked[seq]
		if twice || acked {
			p.t.Fatalf("%d is lost, and was lost or acknowledged before", seq)
		}
		p.lostAt[seq] = p.now
	}
	for _, a := range f.Acked {
		_, twice := p.acked[a.Seq]
		at, ok := p.arrived[a.Seq]
		if twice || !ok {
			p.t.Fatalf("%d was acknowledged, and before, or has never arrived", a.Seq)
		}
		if a.Timed && ((a.Received-at).Abs() > a.ErrBound || a.ErrBound > 2*time.Millisecond) {
			p.t.Fatalf("%d arrived at %v, by its acknowledgement at %v ± %v", a.Seq, at, a.Received, a.ErrBound)
		}
		p.acked[a.Seq] = a
	}
	if f.RTT > 0 {
		p.rtts = append(p.rtts, f.RTT)
	}
}

// settled checks that every packet was acknowledged or lost, as it was.
func (p *path) settled() (timed int) {
	require.Zero(p.t, p.out.InFlight())
	require.Zero(p.t, p.out.Stats().Ignored)
	for seq := range p.sentAt {
		a, acked := p.acked[seq]
		_, lost := p.lostAt[seq]
		if !acked && !lost {
			p.t.Fatalf("nothing is known of %d", seq)
		}
		if a.Timed {
			timed++
		}
	}
	// No more acknowledgements than packets, but for those that repeat themselves at
	// the end of a vector that takes several.
	require.LessOrEqual(p.t, p.packets, p.arrivals+3)
	return timed
}

// On a path that loses and keeps the order, the sender knows the truth to the last packet.
func TestSenderKnowsWhatArrived(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*path)
	}{
		{"clean", func(p *path) {}},
		{"one in a hundred lost", func(p *path) { p.lost = 0.01 }},
		{"a third lost", func(p *path) { p.lost = 0.33 }},
		{"duplicates", func(p *path) { p.lost, p.duplicated = 0.05, 0.2 }},
		{"slow", func(p *path) { p.spacing, p.lost = 37*time.Millisecond, 0.1 }},
		{"fast", func(p *path) { p.spacing, p.lost = 10*time.Microsecond, 0.02 }},
		{"across the end of the receiver's time", func(p *path) { p.offset, p.lost = 60*time.Second, 0.05 }},
		{"across the end of numbers", func(p *path) { p.out.First, p.lost = 0xff00, 0.05 }},
		{"from number one", func(p *path) { p.out.First, p.lost = 1, 0.05 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(5) {
				p := newPath(t, seed)
				tt.change(p)
				p.run(4000)
				timed := p.settled()
				for seq := range p.sentAt {
					_, arrived := p.arrived[seq]
					_, acked := p.acked[seq]
					_, lost := p.lostAt[seq]
					if acked != arrived || lost == arrived {
						t.Fatalf("seed %d: %d arrived: %t, is acknowledged: %t, is lost: %t", seed, seq, arrived, acked, lost)
					}
				}
				require.Zero(t, p.out.Stats().Late)
				if p.lost < 0.1 && tt.name != "fast" {
					require.Greater(t, timed, len(p.acked)*98/100)
				}
				for _, rtt := range p.rtts {
					// The receiver counts whole milliseconds.
					require.GreaterOrEqual(t, rtt, 2*p.delay)
					require.Less(t, rtt, 2*p.delay+time.Millisecond)
				}
			}
		})
	}
}

// On one that also reorders and loses acknowledgements nothing is believed that is not
// so, and little is lost by mistake.
func TestSenderBelievesNothingWrong(t *testing.T) {
	for _, tt := range []struct {
		name   string
		late   float64 // most packets that are taken for lost by mistake
		seen   bool    // all mistakes are noticed
		change func(*path)
	}{
		{"acknowledgements lost", 0, false, func(p *path) { p.lostAcks = 0.2 }},
		{"both lost", 0.002, false, func(p *path) { p.lost, p.lostAcks = 0.05, 0.2 }},
		{"most acknowledgements lost", 0.02, false, func(p *path) { p.lost, p.lostAcks = 0.05, 0.7 }},
		{"two in a hundred reordered", 0.005, true, func(p *path) { p.reordered, p.jitter = 0.02, 10*time.Millisecond }},
		{"all reordered", 0.02, true, func(p *path) { p.reordered, p.jitter = 1, 20*time.Millisecond }},
		{"everything", 0.03, false, func(p *path) {
			p.lost, p.lostAcks, p.duplicated, p.reordered, p.jitter = 0.03, 0.2, 0.05, 0.3, 15*time.Millisecond
		}},
		{"held back", 0.002, true, func(p *path) { p.held = [2]time.Duration{time.Second, 2500 * time.Millisecond} }},
		{"a way that becomes shorter, and longer", 0.03, false, func(p *path) {
			p.lost, p.spacing = 0.05, 7*time.Millisecond
			p.route = func(now time.Duration) time.Duration {
				if now/(700*time.Millisecond)%2 == 1 {
					return 5 * time.Millisecond
				}
				return 50 * time.Millisecond
			}
		}},
		{"a handshake that took too long", 0.001, false, func(p *path) {
			p.lost = 0.3
			p.out.SetRTT(0, 3*time.Second)
		}},
		{"clocks of 50 ms", 0.001, false, func(p *path) { p.lost, p.tick = 0.05, 50*time.Millisecond }},
		{"clocks of 50 ms, reordered", 0.005, false, func(p *path) {
			p.lost, p.lostAcks, p.reordered, p.jitter, p.tick = 0.05, 0.2, 0.02, 10*time.Millisecond, 50*time.Millisecond
		}},
		{"an outage", 0.002, false, func(p *path) { p.outage = [2]time.Duration{time.Second, 2500 * time.Millisecond} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(5) {
				p := newPath(t, seed)
				tt.change(p)
				p.run(8000)
				p.settled()
				mistakes := 0
				for seq := range p.sentAt {
					_, arrived := p.arrived[seq]
					_, lost := p.lostAt[seq]
					if arrived && lost {
						mistakes++
					}
				}
				require.LessOrEqual(t, float64(mistakes), tt.late*float64(len(p.sentAt)), "seed %d, late %d", seed, p.out.Stats().Late)
				if tt.seen {
					require.EqualValues(t, mistakes, p.out.Stats().Late, "seed %d", seed)
				}
			}
		})
	}
}
