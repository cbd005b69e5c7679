// Package urcp is a rate controller for interactive traffic: it keeps the queue at
// the bottleneck short, the link full, and shares fair. It is a pure algorithm:
// feedback and time go in; a rate, a window and the time of the next timer come
// out. It does no input or output, reads no clock and starts no goroutine.
//
// A sender asks [Controller.NextSend] when the next packet may leave, reports each
// packet that left with [Controller.OnSent], hands over what its peer acknowledged
// with [Controller.OnFeedback], and calls [Controller.OnTimer] when
// [Controller.NextTimer] has come.
//
// All times are durations since an instant of the caller's choice, the same one
// for all calls to a controller, on a clock that never goes back. Receive times
// are on the peer's clock, whose offset, drift and steps do not matter. Rates are
// bits per second. Bytes are those on the wire, overhead included.
package urcp

import (
	"math"
	"time"
)

// Never is the time of a timer that is not set.
const Never time.Duration = math.MaxInt64

// A Packet is one that the sender has sent: data, a retransmission or a probe.
type Packet struct {
	// Seq numbers packets in the order of their sending. Numbers rise and are
	// never used again; gaps are allowed.
	Seq   uint64
	Bytes int
	// AppLimited says that there was nothing else to send: the packet left while
	// rate and window would have allowed more.
	AppLimited bool
}

// An Acked is one packet that the peer has received.
type Acked struct {
	Seq uint64
	// Received is when it arrived, on the peer's clock. It is used only where Timed.
	Received time.Duration
	Timed    bool
	// ErrBound is by how much Received may be too late or too early.
	ErrBound time.Duration
	// Marked says that the network marked it: congestion experienced (RFC 3168).
	Marked bool
}

// Feedback is what one acknowledgement of the peer says. The controller keeps
// nothing of it.
type Feedback struct {
	Acked []Acked
	// Lost are the packets that the sender now takes for lost. One that is
	// acknowledged later after all may be in Acked of a later feedback.
	Lost []uint64
	// RTT is the round trip of the newest packet in Acked, without the time for
	// which the peer held the acknowledgement back; zero where it is not known.
	RTT time.Duration
}
