package linksim

import (
	"math"
	"time"

	"github.com/reachback/reachback/urcp"
)

// The constants of RFC 9438 sections 4.2, 4.3 and 4.6: segments per second cubed,
// the factor after a loss, and the growth per round trip that makes the
// Reno-friendly window as large on average as Reno's.
const (
	cubicC     = 0.4
	cubicBeta  = 0.7
	cubicAlpha = 3 * (1 - cubicBeta) / (1 + cubicBeta)
)

// Cubic is the TCP congestion control of RFC 9438 with its Reno-friendly region and
// fast convergence, started by HyStart++ (RFC 9406). It sends in bursts unless it is
// Paced.
//
// It is simpler than a real one as [Reno] is, and in these: a spurious loss is
// not undone, and the window before a reduction stands for the bytes in flight in
// section 4.6, as it does in Linux.
type Cubic struct {
	// MSS is the size of a full packet in bytes; 0 means 1250.
	MSS int
	// MaxWindow is the largest window in bytes; 0 means 16384 full packets.
	MaxWindow int
	// Paced spaces packets at 1.2 windows in a round trip, and two in slow start, as
	// Linux does with the fq queue. A burst of one acknowledgement's packets else
	// overflows a buffer that is shorter.
	Paced bool
	// NoHyStart makes slow start end with the first loss only.
	NoHyStart bool
	// NoReno leaves the Reno-friendly region (section 4.3) out: the window follows
	// the cubic function alone. It is for studies of that function; on paths of
	// small bandwidth and delay such a flow is far weaker than any in use.
	NoReno bool

	// NoFastConvergence leaves section 4.7 out: a flow whose window no longer
	// reaches the last one does not give way.
	NoFastConvergence bool

	window
	hystart hystart

	// Of the epoch, which begins with the first packet acknowledged after a loss
	// episode. Windows are in segments.
	running  bool
	start    time.Duration
	last     time.Duration // of the last growth
	wMax     float64
	k        float64 // seconds
	wEst     float64
	previous float64 // the window before the last reduction
}

var _ Controller = (*Cubic)(nil)

// OnSent implements [Controller].
func (c *Cubic) OnSent(now time.Duration, p urcp.Packet) {
	c.init(c.MSS, c.MaxWindow)
	c.paced = c.Paced
	c.leave(now, p)
}

// OnFeedback implements [Controller].
func (c *Cubic) OnFeedback(now time.Duration, f *urcp.Feedback) {
	c.init(c.MSS, c.MaxWindow)
	c.rtt.add(f.RTT)
	if episode, timeout := c.lost(f); episode || timeout {
		if episode {
			c.reduce()
		}
		if timeout {
			c.cwnd = c.mss
		}
	}
	c.begin(f)
	c.hystart.begin()
	for i := range f.Acked {
		p, roundTrip, late := c.acked(&f.Acked[i])
		if p == nil || late {
			continue
		}
		usable := c.usable(p)
		switch {
		case c.slowStart() && c.NoHyStart:
			if usable {
				c.cwnd += float64(p.bytes)
			}
		case c.slowStart():
			grow, done := c.hystart.acked(p, roundTrip, c.sentLog.next)
			if usable {
				c.cwnd += grow * c.mss
			}
			if done {
				c.ssthresh = c.cwnd
			}
		case usable:
			c.grow(now, float64(p.bytes)/c.mss)
		case !c.inEpisode && c.running:
			// Time without the need of a larger window does not count (section 5.8).
			c.start += now - c.last
			c.last = now
		}
	}
	c.clamp(1)
}

// reduce is sections 4.6 and 4.7.
func (c *Cubic) reduce() {
	w := c.cwnd / c.mss
	c.previous = w
	if w < c.wMax && !c.NoFastConvergence {
		c.wMax = w * (1 + cubicBeta) / 2
	} else {
		c.wMax = w
	}
	c.cwnd = max(c.cwnd*cubicBeta, 2*c.mss)
	c.ssthresh = c.cwnd
	c.running = false
	c.hystart.over = true
}

// grow is congestion avoidance, sections 4.2 to 4.5, for so many segments.
func (c *Cubic) grow(now time.Duration, segments float64) {
	w := c.cwnd / c.mss
	if !c.running {
		c.running = true
		c.start = now
		c.wEst = w
		c.k = 0
		if w < c.wMax {
			c.k = math.Cbrt((c.wMax - w) / cubicC)
		} else {
			c.wMax = w
		}
	}
	c.last = now
	t := (now - c.start).Seconds()
	if !c.NoReno {
		alpha := cubicAlpha
		if c.wEst >= c.previous {
			alpha = 1
		}
		c.wEst += alpha * segments / w
		if c.cubic(t) < c.wEst {
			c.cwnd = max(c.cwnd, c.wEst*c.mss)
			return
		}
	}
	target := min(max(c.cubic(t+c.rtt.smoothed.Seconds()), w), 1.5*w)
	c.cwnd += (target - w) / w * segments * c.mss
}

// cubic is the window at t seconds into the epoch, in segments.
func (c *Cubic) cubic(t float64) float64 {
	d := t - c.k
	return cubicC*d*d*d + c.wMax
}

// OnTimer implements [Controller]. Cubic sets no timer.
func (c *Cubic) OnTimer(time.Duration) {}

// NextTimer implements [Controller].
func (c *Cubic) NextTimer() time.Duration { return urcp.Never }

// NextSend implements [Controller].
func (c *Cubic) NextSend(now time.Duration, bytes int) time.Duration {
	c.init(c.MSS, c.MaxWindow)
	return c.nextSend(now, bytes)
}
