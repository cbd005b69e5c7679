package linksim

import (
	"time"

	"github.com/reachback/reachback/urcp"
)

// Reno is TCP NewReno: slow start, one full packet more per round trip, half the
// window after a loss (RFC 5681 and RFC 6582), with the initial window of RFC 6928.
// It counts acknowledged bytes (RFC 3465), so that delayed acknowledgements do not
// slow it down, and sends in bursts unless it is Paced.
//
// It is simpler than a real one in that a lost packet is found by the flow, from
// each packet's own acknowledgement, so that there is no inflation of the window
// by duplicate acknowledgements: after a loss it is silent until half of the
// window has been acknowledged, as in RFC 9002. When everything in flight is lost
// it begins again with one packet.
type Reno struct {
	// MSS is the size of a full packet in bytes; 0 means 1250.
	MSS int
	// MaxWindow is the largest window in bytes; 0 means 16384 full packets.
	MaxWindow int
	// Paced spaces packets at 1.2 windows in a round trip, and two in slow start, as
	// Linux does with the fq queue. A burst of one acknowledgement's packets else
	// overflows a buffer that is shorter.
	Paced bool

	window
}

var _ Controller = (*Reno)(nil)

// OnSent implements [Controller].
func (c *Reno) OnSent(now time.Duration, p urcp.Packet) {
	c.init(c.MSS, c.MaxWindow)
	c.paced = c.Paced
	c.leave(now, p)
}

// OnFeedback implements [Controller].
func (c *Reno) OnFeedback(_ time.Duration, f *urcp.Feedback) {
	c.init(c.MSS, c.MaxWindow)
	c.rtt.add(f.RTT)
	if episode, timeout := c.lost(f); timeout {
		// The threshold falls once in an episode (RFC 5681 section 3.1).
		if episode {
			c.ssthresh = max(c.cwnd/2, 2*c.mss)
		}
		c.cwnd = c.mss
	} else if episode {
		c.ssthresh = max(c.cwnd/2, 2*c.mss)
		c.cwnd = c.ssthresh
	}
	for i := range f.Acked {
		p, _, late := c.acked(&f.Acked[i])
		if p == nil || late || !c.usable(p) {
			continue
		}
		if c.slowStart() {
			c.cwnd += float64(p.bytes)
		} else {
			c.cwnd += c.mss * float64(p.bytes) / c.cwnd
		}
	}
	c.clamp(1)
}

// OnTimer implements [Controller]. Reno sets no timer.
func (c *Reno) OnTimer(time.Duration) {}

// NextTimer implements [Controller].
func (c *Reno) NextTimer() time.Duration { return urcp.Never }

// NextSend implements [Controller].
func (c *Reno) NextSend(now time.Duration, bytes int) time.Duration {
	c.init(c.MSS, c.MaxWindow)
	return c.nextSend(now, bytes)
}
