// Package linksim is a deterministic simulator of network paths for rate
// controllers. It runs a [Controller] over links, queues, losses, clocks and cross
// traffic in virtual time, and measures what came of it.
//
// A [Scenario] has links and flows. A packet of a [Flow] crosses the links of its path
// one after the other, its acknowledgement those of the way back. At each [Link] it
// meets, in this order:
//
//   - a [Policer], if there is one;
//   - a queue with bounds, and perhaps with [CoDel], [RED], [StepMark] or [DualQ];
//   - the server: of a constant rate, of a [Service] that changes, as [Steps], [Sine]
//     or a recorded [Trace], and, in an [Outage], of none;
//   - elements that spoil what passes: [Loss], [BurstLoss], [Jitter], [Reorder],
//     [Duplicate], [Aggregate] and [HARQ];
//   - propagation, whose delay may change with the route.
//
// A link without a rate is a mere way: put elements on one to spoil a single flow, or
// acknowledgements alone.
//
// Any controller makes cross traffic: [Reno], [Cubic], [Copa], [NADA] and [BBR] are
// here for comparison, [CBR] and [Unlimited] do not react to anything. What a flow has to
// send comes from a [Source], such as [Frames] of video, a remote [Desktop], the short
// transfers of [OnOff], or [Poisson]; without one there is always more.
//
// Each end of a flow may have a [Clock] of its own. What the controller learns comes
// as [Ideal] feedback, exact and never lost, or as [RDPUDP2], encoded and decoded
// again by the code that serves real connections. The difference of the two is what
// the protocol costs.
//
// [Run] returns a [Result], which can be asked about any span of the run afterwards:
// use of the links, delays in queues weighted by packet or by time, the part of them
// that no sender could have avoided, losses, shares, convergence and recovery, and
// the latency of frames.
//
// # A controller of your own
//
// It needs the five methods of [Controller], and no goroutine and no clock: every time
// that it is given is the sender's clock, and every call comes from [Run]. NextSend is
// asked after each of the other calls and once more at the time that it named. A
// controller that only follows feedback names [urcp.Never] in NextTimer. The first example
// is one. To compare it with [urcp.Controller], give both flows the same Feedback, which
// is [Ideal] by default, and [urcp.Config] an MSS of the flow's PacketBytes.
//
// # Repeatability
//
// The same scenario with the same seed gives the same events to the last byte. There
// are no goroutines, and there is no clock but the simulator's. Events at the same
// moment happen in the order in which they were scheduled. Every element draws from a
// stream of randomness of its own, named after it, so adding one leaves the others as
// they were. Controllers that calculate with floating point may differ by the last
// bit between processor architectures.
//
// # Limits
//
// A packet is data of one flow and has one size on the wire; there is no link layer,
// no fragmentation and no competition for a shared medium. Feedback is never part of
// a data packet. Connections have no handshake: a flow knows the round trip without
// queues where a protocol would have measured it. A packet that is in service when
// its link stands still counts that time as service and not as waiting.
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
