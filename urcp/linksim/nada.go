package linksim

import (
	"math"
	"time"

	"github.com/reachback/reachback/urcp"
)

// The constants of RFC 8698, figures 3 and 4.
const (
	nadaPriority     = 1.0
	nadaReference    = 10 * time.Millisecond  // XREF
	nadaKappa        = 0.5                    // KAPPA
	nadaEta          = 2.0                    // ETA
	nadaTau          = 500 * time.Millisecond // TAU
	nadaInterval     = 100 * time.Millisecond // DELTA
	nadaLogWindow    = 500 * time.Millisecond // LOGWIN
	nadaEmpty        = 10 * time.Millisecond  // QEPS
	nadaFilterDelay  = 120 * time.Millisecond // DFILT
	nadaMaxRampUp    = 0.5                    // GAMMA_MAX
	nadaRampUpQueue  = 50 * time.Millisecond  // QBOUND
	nadaMultiLoss    = 7                      // MULTILOSS
	nadaWarp         = 50 * time.Millisecond  // QTH
	nadaLambda       = 0.5                    // LAMBDA
	nadaLossRef      = 0.01                   // PLRREF
	nadaMarkRef      = 0.01                   // PMRREF
	nadaLossDelay    = 10 * time.Millisecond  // DLOSS
	nadaMarkDelay    = 2 * time.Millisecond   // DMARK
	nadaMaxSignal    = 500 * time.Millisecond // XMAX
	nadaSmoothing    = 0.1                    // ALPHA
	nadaMinRate      = 150e3                  // RMIN
	nadaMaxRate      = 1500e3                 // RMAX
	nadaDelaySamples = 15                     // of the minimum filter
)

// nadaWeights are those of RFC 5348 section 5.4, to which RFC 8698 refers.
var nadaWeights = [...]float64{1, 1, 1, 1, .8, .6, .4, .2}

// NADA is the rate controller for interactive media of RFC 8698. It sends at a
// reference rate, which it sets every 100 ms from the one-way queueing delay, with
// loss and marks counted as delay; alone on a link of rate R it settles where the
// queueing delay is 10 ms times MaxRate/R.
//
// The receiver's half (sections 4.2 and 5.1) runs at the sender, on the receive
// times in the feedback. It is simpler than the RFC in two ways: the media encoder
// and its buffer (section 5.2) are absent, so that a flow sends at the reference
// rate itself, and the base delay is the smallest of the whole session, which is
// one of the choices that the RFC allows.
type NADA struct {
	// MinRate and MaxRate bound the rate, in bits per second; 0 means 150 kbit/s and
	// 1.5 Mbit/s, the RFC's. The queueing delay at rest grows with MaxRate.
	MinRate, MaxRate float64

	sentLog
	pacer pacer
	rtt   rtt
	rate  float64 // R_ref, bits per second
	last  time.Duration

	base     time.Duration // one-way delay, offset included
	haveBase bool
	delays   [nadaDelaySamples]time.Duration
	delayed  int // samples ever

	log        ring[nadaEvent] // of the last LOGWIN
	loss, mark float64         // smoothed ratios
	previous   float64         // x of the last update, seconds

	// Packets received between one gap and the next, the newest first.
	intervals [len(nadaWeights) + 1]float64
	gaps      int
	inGap     bool
}

// A nadaEvent is one packet acknowledged or lost.
type nadaEvent struct {
	at           time.Duration
	queueing     time.Duration
	bytes        int
	lost, marked bool
}

var _ Controller = (*NADA)(nil)

func (c *NADA) minRate() float64 {
	if c.MinRate > 0 {
		return c.MinRate
	}
	return nadaMinRate
}

func (c *NADA) maxRate() float64 {
	if c.MaxRate > 0 {
		return c.MaxRate
	}
	return nadaMaxRate
}

func (c *NADA) start() {
	if c.rate == 0 {
		c.rate = c.minRate()
	}
}

// OnSent implements [Controller].
func (c *NADA) OnSent(now time.Duration, p urcp.Packet) {
	c.start()
	c.sent(now, p)
	c.pacer.sent(now, p.Bytes, c.rate/8)
}

// OnFeedback implements [Controller].
func (c *NADA) OnFeedback(now time.Duration, f *urcp.Feedback) {
	c.start()
	c.rtt.add(f.RTT)
	for i := range f.Acked {
		a := &f.Acked[i]
		p, _, late := c.acked(a)
		if p == nil || late {
			continue
		}
		e := nadaEvent{at: now, bytes: p.bytes, marked: a.Marked, queueing: -1}
		if a.Timed {
			e.queueing = c.delay(a.Received - p.at)
		}
		c.record(e)
		if c.inGap {
			copy(c.intervals[1:], c.intervals[:])
			c.intervals[0] = 0
			c.inGap = false
			c.gaps++
		}
		c.intervals[0]++
	}
	for _, seq := range f.Lost {
		if _, ok := c.lose(seq); !ok {
			continue
		}
		c.record(nadaEvent{at: now, lost: true, queueing: -1})
		c.inGap = true
	}
	if c.last == 0 {
		c.last = now
	}
	if now-c.last >= nadaInterval {
		c.update(now, now-c.last)
		c.last = now
	}
}

// delay takes in a one-way delay and returns what of it is queueing.
func (c *NADA) delay(oneWay time.Duration) time.Duration {
	if !c.haveBase || oneWay < c.base {
		c.base, c.haveBase = oneWay, true
	}
	queueing := oneWay - c.base
	c.delays[c.delayed%nadaDelaySamples] = queueing
	c.delayed++
	return queueing
}

// filtered is the smallest of the last samples.
func (c *NADA) filtered() time.Duration {
	if c.delayed == 0 {
		return 0
	}
	smallest := c.delays[0]
	for _, d := range c.delays[:min(c.delayed, nadaDelaySamples)] {
		smallest = min(smallest, d)
	}
	return smallest
}

func (c *NADA) record(e nadaEvent) {
	for c.log.n > 0 && c.log.at(0).at < e.at-nadaLogWindow {
		c.log.pop()
	}
	c.log.push(e)
}

// update sets the rate, sections 4.2 and 4.3.
func (c *NADA) update(now, interval time.Duration) {
	var received, lost, marked int
	empty := true // no loss and no queue in the log window
	for i := range c.log.n {
		e := c.log.at(i)
		if e.at < now-nadaLogWindow {
			continue
		}
		if e.lost {
			lost++
			empty = false
		}
		if e.marked {
			marked++
		}
		if e.queueing >= nadaEmpty {
			empty = false
		}
		received += e.bytes
	}
	if c.log.n > 0 {
		c.loss += nadaSmoothing * (float64(lost)/float64(c.log.n) - c.loss)
		c.mark += nadaSmoothing * (float64(marked)/float64(c.log.n) - c.mark)
	}
	x := c.warped(c.filtered().Seconds())
	x += nadaMarkDelay.Seconds() * square(c.mark/nadaMarkRef)
	x += nadaLossDelay.Seconds() * square(c.loss/nadaLossRef)
	x = min(x, nadaMaxSignal.Seconds())
	if empty {
		gamma := min(nadaMaxRampUp, nadaRampUpQueue.Seconds()/
			(c.rtt.smoothed+nadaInterval+nadaFilterDelay).Seconds())
		c.rate = max(c.rate, (1+gamma)*float64(received)*8/nadaLogWindow.Seconds())
	} else {
		tau := nadaTau.Seconds()
		offset := x - nadaPriority*nadaReference.Seconds()*c.maxRate()/c.rate
		c.rate -= nadaKappa*(interval.Seconds()/tau)*(offset/tau)*c.rate +
			nadaKappa*nadaEta*((x-c.previous)/tau)*c.rate
	}
	c.previous = x
	c.rate = max(c.minRate(), min(c.rate, c.maxRate()))
}

// warped is how much of a queueing delay counts, in seconds: less of a long one
// while losses say that the queue belongs to flows which fill it. Between seven and
// eight loss intervals after the last loss it comes to count in full again.
func (c *NADA) warped(queueing float64) float64 {
	threshold := nadaWarp.Seconds()
	if queueing <= threshold || c.gaps == 0 {
		return queueing
	}
	warped := threshold * math.Exp(-nadaLambda*(queueing-threshold)/threshold)
	full := c.intervals[0]/c.lossInterval() - nadaMultiLoss
	return warped + min(max(full, 0), 1)*(queueing-warped)
}

// lossInterval is the mean number of packets between gaps, weighted as in RFC 5348
// section 5.4. The interval that has not ended is left out: were it counted, it
// could never be seven times the mean.
func (c *NADA) lossInterval() float64 {
	var sum, weights float64
	for i, w := range nadaWeights[:min(c.gaps, len(nadaWeights))] {
		sum += w * c.intervals[i+1]
		weights += w
	}
	return max(sum, 1) / weights
}

func square(x float64) float64 { return x * x }

// Rate returns the rate at which the flow sends, in bits per second.
func (c *NADA) Rate() float64 {
	c.start()
	return c.rate
}

// OnTimer implements [Controller]. NADA sets no timer: without feedback the rate
// stays.
func (c *NADA) OnTimer(time.Duration) {}

// NextTimer implements [Controller].
func (c *NADA) NextTimer() time.Duration { return urcp.Never }

// NextSend implements [Controller].
func (c *NADA) NextSend(now time.Duration, _ int) time.Duration {
	return max(now, c.pacer.next)
}
