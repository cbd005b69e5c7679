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
