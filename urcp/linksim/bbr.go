package linksim

import (
	"time"

	"github.com/reachback/reachback/urcp"
)

// The constants of version 1.
const (
	bbrHighGain       = 2.885 // 2/ln 2
	bbrWindowGain     = 2.0
	bbrRateRounds     = 10
	bbrMinRTT         = 10 * time.Second
	bbrProbeRTT       = 200 * time.Millisecond
	bbrMinWindow      = 4 // full packets
	bbrFullRounds     = 3
	bbrFullGrowth     = 1.25
	bbrSmallRate      = 1.2e6 / 8 // bytes per second; one packet at a time below it
	bbrMediumRate     = 24e6 / 8  // and two below this
	bbrMaxQuantum     = 64 << 10  // bytes
	bbrQuantumSeconds = 1e-3
)

// bbrCycle is the pacing gain of one phase after the other, a round trip each.
var bbrCycle = [...]float64{1.25, 0.75, 1, 1, 1, 1, 1, 1}

type bbrMode uint8

const (
	bbrStartup bbrMode = iota
	bbrDrain
	bbrProbeBandwidth
	bbrProbeShortest
)

// BBR is a sketch of version 1 of the congestion control of Cardwell, Cheng, Gunn,
// Yeganeh and Jacobson (ACM Queue, 2016;
// draft-cardwell-iccrg-bbr-congestion-control-00). It paces at the largest delivery
// rate of ten round trips, probes for more in one of eight round trips, holds at most
// two bandwidth-delay products in flight, and falls to four packets for 200 ms when it
// has not seen its smallest round trip for ten seconds. Losses do not lower its rate.
//
// It is a sketch in that the long-term rate against policers, the extra window for
// aggregated acknowledgements and the undoing of spurious losses, which Linux has,
// are absent, and in that the phase in which it begins to probe follows from the
// time at which it does, so that a run can be repeated.
type BBR struct {
	// MSS is the size of a full packet in bytes; 0 means 1250.
	MSS int
	// MaxWindow is the largest window in bytes; 0 means 16384 full packets.
	MaxWindow int

	window

	mode       bbrMode
	pacingGain float64
	windowGain float64
	rate       float64 // pacing, bytes per second

	// Delivery rate (draft-cheng-iccrg-delivery-rate-estimation-00).
	delivered   int64 // bytes
	deliveredAt time.Duration
	firstSent   time.Duration
	limitedTo   int64 // app-limited until so much is delivered; 0 is not
	bandwidth   extreme

	rounds         int64
	roundDelivered int64
	roundStart     bool

	full        bool // the pipe has been filled
	fullRate    float64
	fullRounds  int
	phase       int
	phaseStart  time.Duration
	shortest    time.Duration // RTprop
	shortestAt  time.Duration
	probeDone   time.Duration // 0 until the flight is small enough
	probeRound  bool          // a round has passed since then
	priorWindow float64       // before recovery or probing
	conserving  bool          // first round of recovery
	recovering  bool
	episodeFrom int64 // rounds at the start of recovery
}

var _ Controller = (*BBR)(nil)

func (c *BBR) start() {
	if c.mss != 0 {
		return
	}
	c.init(c.MSS, c.MaxWindow)
	c.bandwidth.largest = true
	c.pacingGain, c.windowGain = bbrHighGain, bbrHighGain
}

// Bandwidth returns the largest delivery rate of the last ten round trips, in bits
// per second.
func (c *BBR) Bandwidth() float64 { return 8 * c.bw() }

func (c *BBR) bw() float64 {
	v, _ := c.bandwidth.value()
	return float64(v)
}

// OnSent implements [Controller].
func (c *BBR) OnSent(now time.Duration, p urcp.Packet) {
	c.start()
	if c.sentLog.bytes == 0 {
		c.firstSent, c.deliveredAt = now, now
	}
	s := c.sent(now, p)
	s.delivered, s.deliveredAt, s.firstSent = c.delivered, c.deliveredAt, c.firstSent
	s.rateAppLimited = c.limitedTo > 0
	if p.AppLimited {
		c.limitedTo = max(1, c.delivered+int64(c.sentLog.bytes))
	}
	if c.rate > 0 {
		c.pacer.sent(now, p.Bytes, c.rate)
	}
}

// OnFeedback implements [Controller].
func (c *BBR) OnFeedback(now time.Duration, f *urcp.Feedback) {
	c.start()
	c.rtt.add(f.RTT)
	c.begin(f)
	var newest sentPacket
	var acked int
	var roundTrip time.Duration
	found := false
	for i := range f.Acked {
		p, r, _ := c.acked(&f.Acked[i])
		if p == nil {
			continue
		}
		c.delivered += int64(p.bytes)
		c.deliveredAt = now
		acked += p.bytes
		if r > 0 && (roundTrip == 0 || r < roundTrip) {
			roundTrip = r
		}
		if !found || p.delivered > newest.delivered || p.delivered == newest.delivered && p.at > newest.at {
			newest, found = *p, true
		}
		if c.recovering && p.seq >= c.episodeEnd {
			c.leaveRecovery()
		}
	}
	lostBefore := c.sentLog.bytes
	episode, timeout := c.window.lost(f)
	lost := lostBefore - c.sentLog.bytes
	if c.limitedTo > 0 && c.delivered > c.limitedTo {
		c.limitedTo = 0
	}
	c.roundStart = false
	if found {
		c.sample(now, &newest)
	}
	c.fill()
	c.cycle(now, lost > 0)
	c.probe(now, roundTrip)
	c.setRate()
	c.setWindow(acked, lost, episode, timeout)
}

// sample takes in the delivery rate that the newest acknowledged packet shows.
func (c *BBR) sample(now time.Duration, p *sentPacket) {
	if p.delivered >= c.roundDelivered {
		c.roundDelivered = c.delivered
		c.rounds++
		c.roundStart = true
	}
	interval := max(p.at-p.firstSent, now-p.deliveredAt)
	c.firstSent = p.at
	if interval <= 0 || c.shortest > 0 && interval < c.shortest {
		return
	}
	rate := float64(c.delivered-p.delivered) / interval.Seconds()
	if !p.rateAppLimited || rate >= c.bw() {
		c.bandwidth.add(c.rounds, bbrRateRounds, int64(rate))
	}
}

// fill notices that the delivery rate has stopped to grow.
func (c *BBR) fill() {
	if c.full || !c.roundStart || c.limitedTo > 0 {
		return
	}
	if c.bw() >= bbrFullGrowth*c.fullRate {
		c.fullRate, c.fullRounds = c.bw(), 0
		return
	}
	c.fullRounds++
	c.full = c.fullRounds >= bbrFullRounds
}

// cycle moves between startup, drain and the phases of probing for bandwidth.
func (c *BBR) cycle(now time.Duration, loss bool) {
	if c.mode == bbrStartup && c.full {
		c.mode, c.pacingGain, c.windowGain = bbrDrain, 1/bbrHighGain, bbrHighGain
	}
	if c.mode == bbrDrain && float64(c.sentLog.bytes) <= c.inFlight(1) {
		c.probeBandwidth(now)
	}
	if c.mode != bbrProbeBandwidth {
		return
	}
	flight := float64(c.sentLog.bytes)
	done := now-c.phaseStart > c.shortest
	switch {
	case c.pacingGain > 1:
		done = done && (loss || flight >= c.inFlight(c.pacingGain))
	case c.pacingGain < 1:
		done = done || flight <= c.inFlight(1)
	}
	if done {
		c.phase = (c.phase + 1) % len(bbrCycle)
		c.phaseStart, c.pacingGain = now, bbrCycle[c.phase]
	}
}

// probeBandwidth begins in any phase but that which lowers the rate.
func (c *BBR) probeBandwidth(now time.Duration) {
	c.mode, c.windowGain = bbrProbeBandwidth, bbrWindowGain
	c.phase = int(uint64(now/time.Microsecond) % uint64(len(bbrCycle)-1))
	if c.phase > 0 {
		c.phase++
	}
	c.phaseStart, c.pacingGain = now, bbrCycle[c.phase]
}

// probe follows the smallest round trip, and looks for it anew when it is old.
func (c *BBR) probe(now, roundTrip time.Duration) {
	expired := c.shortest > 0 && now > c.shortestAt+bbrMinRTT
	if roundTrip > 0 && (c.shortest == 0 || roundTrip <= c.shortest || expired) {
		c.shortest, c.shortestAt = roundTrip, now
	}
	if expired && c.mode != bbrProbeShortest {
		c.mode, c.pacingGain, c.windowGain = bbrProbeShortest, 1, 1
		c.saveWindow()
		c.probeDone, c.probeRound = 0, false
	}
	if c.mode != bbrProbeShortest {
		return
	}
	// What is delivered now says nothing about the bandwidth.
	c.limitedTo = max(1, c.delivered+int64(c.sentLog.bytes))
	if c.probeDone == 0 {
		if float64(c.sentLog.bytes) <= bbrMinWindow*c.mss {
			c.probeDone = now + bbrProbeRTT
			c.roundDelivered = c.delivered
		}
		return
	}
	c.probeRound = c.probeRound || c.roundStart
	if c.probeRound && now > c.probeDone {
		c.shortestAt = now
		c.cwnd = max(c.cwnd, c.priorWindow)
		if c.full {
			c.probeBandwidth(now)
		} else {
			c.mode, c.pacingGain, c.windowGain = bbrStartup, bbrHighGain, bbrHighGain
		}
	}
}

func (c *BBR) saveWindow() {
	if c.recovering {
		c.priorWindow = max(c.priorWindow, c.cwnd)
	} else {
		c.priorWindow = c.cwnd
	}
}

// inFlight is so many bandwidth-delay products, and what the bursts of sender and
// receiver need above them.
func (c *BBR) inFlight(gain float64) float64 {
	if c.shortest == 0 {
		return initialWindow * c.mss
	}
	quantum := 2 * c.mss
	switch {
	case c.rate < bbrSmallRate:
		quantum = c.mss
	case c.rate >= bbrMediumRate:
		quantum = max(quantum, min(c.rate*bbrQuantumSeconds, bbrMaxQuantum))
	}
	return gain*c.bw()*c.shortest.Seconds() + 3*quantum
}

// setRate leaves the rate alone until there is a sample; during startup it never
// falls.
func (c *BBR) setRate() {
	rate := c.pacingGain * c.bw()
	if rate > 0 && (c.full || rate > c.rate) {
		c.rate = rate
	}
}

func (c *BBR) setWindow(acked, lost int, episode, timeout bool) {
	if lost > 0 {
		c.cwnd = max(c.cwnd-float64(lost), c.mss)
	}
	switch {
	case timeout:
		c.saveWindow()
		c.recovering, c.conserving = true, false
		c.cwnd = c.mss
	case episode && !c.recovering:
		c.priorWindow = c.cwnd + float64(lost)
		c.recovering, c.conserving, c.episodeFrom = true, true, c.rounds
		c.cwnd = float64(c.sentLog.bytes) + max(float64(acked), c.mss)
	}
	if c.conserving && c.rounds > c.episodeFrom {
		c.conserving = false
	}
	if c.conserving {
		c.cwnd = max(c.cwnd, float64(c.sentLog.bytes+acked))
	} else {
		target := c.inFlight(c.windowGain)
		if c.full {
			c.cwnd = min(c.cwnd+float64(acked), target)
		} else if c.cwnd < target || c.delivered < int64(initialWindow*c.mss) {
			c.cwnd += float64(acked)
		}
		c.cwnd = max(c.cwnd, bbrMinWindow*c.mss)
	}
	if c.mode == bbrProbeShortest {
		c.cwnd = min(c.cwnd, bbrMinWindow*c.mss)
	}
	c.clamp(1)
}

func (c *BBR) leaveRecovery() {
	c.recovering, c.conserving = false, false
	c.cwnd = max(c.cwnd, c.priorWindow)
}

// OnTimer implements [Controller]. BBR sets no timer.
func (c *BBR) OnTimer(time.Duration) {}

// NextTimer implements [Controller].
func (c *BBR) NextTimer() time.Duration { return urcp.Never }

// NextSend implements [Controller].
func (c *BBR) NextSend(now time.Duration, bytes int) time.Duration {
	c.start()
	return c.nextSend(now, bytes)
}
