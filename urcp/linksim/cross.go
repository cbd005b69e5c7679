package linksim

import (
	"time"

	"github.com/reachback/reachback/urcp"
)

// CBR is a controller that sends at a constant rate whatever comes back. The
// fractions of a nanosecond between packets are kept, so the rate is exact.
type CBR struct {
	Rate int64 // Bits per second. Zero means that nothing is sent.
	next time.Duration
	rest int64
}

// OnSent sets the time of the next packet.
func (c *CBR) OnSent(now time.Duration, p urcp.Packet) {
	if c.Rate <= 0 {
		return
	}
	if c.next < now {
		c.next, c.rest = now, 0
	}
	bits := int64(p.Bytes)*8e9 + c.rest
	c.next += time.Duration(bits / c.Rate)
	c.rest = bits % c.Rate
}

// NextSend returns when the last packet has been paid for.
func (c *CBR) NextSend(now time.Duration, _ int) time.Duration {
	if c.Rate <= 0 {
		return urcp.Never
	}
	return max(now, c.next)
}

// OnFeedback does nothing.
func (c *CBR) OnFeedback(time.Duration, *urcp.Feedback) {}

// OnTimer does nothing.
func (c *CBR) OnTimer(time.Duration) {}

// NextTimer is never.
func (c *CBR) NextTimer() time.Duration { return urcp.Never }

// Unlimited is a controller that lets everything go at once. It needs a source that
// has an end to what it sends, such as [Poisson].
type Unlimited struct{}

// OnSent does nothing.
func (Unlimited) OnSent(time.Duration, urcp.Packet) {}

// OnFeedback does nothing.
func (Unlimited) OnFeedback(time.Duration, *urcp.Feedback) {}

// OnTimer does nothing.
func (Unlimited) OnTimer(time.Duration) {}

// NextTimer is never.
func (Unlimited) NextTimer() time.Duration { return urcp.Never }

// NextSend is always now.
func (Unlimited) NextSend(now time.Duration, _ int) time.Duration { return now }
