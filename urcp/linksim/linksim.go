// Package linksim is a deterministic simulator of network paths for rate
// controllers. It runs a [Controller] over links, queues, losses, clocks and cross
// traffic in virtual time, and measures what came of it.
//
// The same scenario with the same seed gives the same events to the last byte. There
// are no goroutines and there is no clock but the simulator's.
package linksim

import (
	"time"

	"github.com/reachback/reachback/urcp"
)

// A Controller decides how fast a flow sends. [urcp.Controller] is one.
type Controller interface {
	// OnSent takes note of a packet that left at now.
	OnSent(now time.Duration, p urcp.Packet)
	// OnFeedback takes in what the receiver said. f is valid during the call only.
	OnFeedback(now time.Duration, f *urcp.Feedback)
	// OnTimer is called at NextTimer.
	OnTimer(now time.Duration)
	// NextTimer returns when OnTimer is to be called; urcp.Never where it is not.
	NextTimer() time.Duration
	// NextSend returns when a packet of so many bytes may leave: now or earlier
	// for at once, urcp.Never where the window is full until feedback comes.
	NextSend(now time.Duration, bytes int) time.Duration
}
