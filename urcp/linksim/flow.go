package linksim

import (
	"fmt"
	"time"

	"github.com/reachback/reachback/urcp"
)

// flow is the sender of a Flow at work.
type flow struct {
	cfg      *Flow
	index    int32
	self     uint32
	result   *FlowResult
	ctrl     Controller
	out      *line // the way to the first link
	receiver *receiver
	source   source

	state   flowState
	next    uint64 // number of the next packet
	first   uint64 // of the packets that the present controller sent
	earlier uint64 // competitions of earlier controllers
	flights flights
	rtt     rttEstimate

	// held says that the controller has made data wait since there last was none.
	held bool
	// Each timer has at most one event that counts: the one for the time noted here.
	wakeAt, timerAt, lossAt time.Duration

	// Reused for each feedback.
	acked    []urcp.Acked
	lost     []uint64
	feedback urcp.Feedback

	// burst and fires count what happened in one moment, to find a controller that
	// never lets time go on.
	moment       time.Duration
	burst, fires int
}

type flowState uint8

const (
	flowWaits flowState = iota
	flowRuns
	flowStopped
)

// What the arguments of a flow's events mean.
const (
	flowStart = iota
	flowStop
	flowWake
	flowTimer
	flowLoss
	flowSource
	flowResume
)

// Limits on what a controller may do in one moment, and leave unacknowledged.
const (
	maxBurst   = 1 << 17
	maxFires   = 1 << 12
	maxFlights = 1 << 20
)

func newFlow(s *sim, index int, cfg *Flow, result *FlowResult) *flow {
	f := &flow{
		cfg: cfg, index: int32(index), result: result,
		wakeAt: urcp.Never, timerAt: urcp.Never, lossAt: urcp.Never,
	}
	f.self = s.register(f)
	f.out = newLine(s, hop{})
	f.source = newSource(s, f)
	f.receiver = newReceiver(s, f)
	if cfg.Start < s.sc.Duration {
		s.events.push(cfg.Start, f.self, flowStart)
		if end := cfg.stop(s.sc); end < s.sc.Duration {
			s.events.push(end, f.self, flowStop)
		}
	}
	for _, p := range cfg.Pauses {
		s.events.push(p.To, f.self, flowResume)
	}
	return f
}

// clock is what the sender takes for the time.
func (f *flow) clock(s *sim) time.Duration { return f.cfg.Sender.read(s.now) }

// paused reports whether the source rests.
func (f *flow) paused(now time.Duration) bool {
	for _, p := range f.cfg.Pauses {
		if p.From <= now && now < p.To {
			return true
		}
	}
	return false
}

func (f *flow) fire(s *sim, arg uint32) {
	f.count(s)
	switch arg {
	case flowStart:
		f.state = flowRuns
		if f.renew(s); s.err != nil {
			return
		}
		f.source.start(s, f)
	case flowStop:
		f.state = flowStopped
		return
	case flowWake:
		if s.now != f.wakeAt {
			return
		}
		f.wakeAt = urcp.Never
	case flowTimer:
		if s.now != f.timerAt {
			return
		}
		f.timerAt = urcp.Never
		if f.fires++; f.fires > maxFires {
			s.err = fmt.Errorf("flow %q: its controller's timer does not advance", f.cfg.Name)
			return
		}
		// An earlier time may have been replaced by a later one.
		if now := f.clock(s); f.ctrl.NextTimer() <= now {
			f.ctrl.OnTimer(now)
		}
	case flowLoss:
		if s.now != f.lossAt {
			return
		}
		f.lossAt = urcp.Never
		if f.fires++; f.fires > maxFires {
			s.err = fmt.Errorf("flow %q: its loss timer does not advance", f.cfg.Name)
			return
		}
		f.expire(s)
	case flowSource:
		if f.state == flowRuns {
			f.source.fire(s, f)
		}
	case flowResume:
	}
	if f.ctrl != nil && s.err == nil {
		f.pump(s)
	}
}

// renew gives the flow a new controller.
func (f *flow) renew(s *sim) {
	f.rtt, f.first, f.earlier = rttEstimate{}, f.next, f.result.Competitions
	if f.ctrl = f.cfg.New(f.clock(s)); f.ctrl == nil {
		s.err = fmt.Errorf("flow %q: New returned nil", f.cfg.Name)
	}
}

// count starts the counts of a new moment.
func (f *flow) count(s *sim) {
	if f.moment != s.now {
		f.moment, f.burst, f.fires = s.now, 0, 0
	}
}

// pump sends what may leave, and sets the timers.
func (f *flow) pump(s *sim) {
	if f.state == flowRuns {
		f.send(s)
	}
	if at := f.cfg.Sender.when(s.now, f.ctrl.NextTimer()); at < f.timerAt {
		f.timerAt = at
		s.events.push(at, f.self, flowTimer)
	}
	if at := f.receiver.reporter.timer(s, f); at < f.lossAt {
		f.lossAt = at
		s.events.push(at, f.self, flowLoss)
	}
}

func (f *flow) send(s *sim) {
	f.count(s) // It may be called for an acknowledgement.
	now := f.clock(s)
	for s.err == nil {
		bytes := f.source.ready(s, f)
		if bytes == 0 {
			f.held = false
			return
		}
		if !f.receiver.reporter.room() {
			f.held = true
			return
		}
		at := f.ctrl.NextSend(now, bytes)
		if at > now {
			f.held = true
			if at = f.cfg.Sender.when(s.now, at); at < f.wakeAt {
				f.wakeAt = at
				s.events.push(at, f.self, flowWake)
			}
			return
		}
		f.sendOne(s, now, bytes)
		if f.burst++; f.burst > maxBurst {
			s.err = fmt.Errorf("flow %q: its controller lets packets go without end", f.cfg.Name)
		}
	}
}

func (f *flow) sendOne(s *sim, now time.Duration, bytes int) {
	chunk, greedy := f.source.take(s, f, bytes)
	seq := f.next
	f.next++
	limited := !greedy && !f.held
	if !f.flights.add(flight{seq: seq, sent: s.now, bytes: int32(bytes), chunk: chunk}) {
		s.err = fmt.Errorf("flow %q: more than %d packets on the way", f.cfg.Name, maxFlights)
		return
	}
	if limited {
		f.result.AppLimited++
	}
	f.ctrl.OnSent(now, urcp.Packet{Seq: seq, Bytes: bytes, AppLimited: limited})
	p := s.newPacket()
	s.packets[p] = packet{
		seq: seq, sent: s.now, flow: f.index, bytes: int32(bytes), chunk: chunk, slot: -1,
		ecn: f.cfg.ECN,
	}
	f.receiver.reporter.sending(s, f, &s.packets[p])
	f.result.send(s, bytes)
	s.log.sent(s, &s.packets[p])
	if f.cfg.Delay == 0 {
		hop{}.push(s, p)
		return
	}
	f.out.send(s, p, s.now+f.cfg.Delay)
}

// acknowledged takes in an acknowledgement.
func (f *flow) acknowledged(s *sim, p uint32) {
	f.result.Feedbacks++
	f.result.FeedbackBytes += int64(s.packets[p].bytes)
	f.acked, f.lost = f.acked[:0], f.lost[:0]
	rtt := f.receiver.reporter.read(s, f, p)
	s.freePacket(p)
	f.report(s, rtt)
	if f.ctrl != nil {
		f.pump(s)
	}
}

// expire gives up what has been on its way for too long.
func (f *flow) expire(s *sim) {
	f.acked, f.lost = f.acked[:0], f.lost[:0]
	f.receiver.reporter.expire(s, f)
	f.report(s, 0)
}

// report hands the controller what is new.
func (f *flow) report(s *sim, rtt time.Duration) {
	if len(f.acked) == 0 && len(f.lost) == 0 {
		return
	}
	f.result.Declared += int64(len(f.lost))
	s.log.feedback(s, f, rtt)
	f.feedback = urcp.Feedback{Acked: f.acked, Lost: f.lost, RTT: rtt}
	f.ctrl.OnFeedback(f.clock(s), &f.feedback)
	f.source.settled(s, f)
}
