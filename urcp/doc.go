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
//
// # How it works
//
// The lowest one-way delay ever seen is the path without a queue; what the lowest
// delays of the last half round trip have above it is the standing queue, and the
// congestion price, together with loss above the path's own and with marks. A flow of
// rate R raises its window while R times the price is under its operating level, two
// packets at first, and lowers it above that. Flows that share a queue see the same
// price, so their rates become equal; the queue empties every few round trips, so
// that all of them see the same bottom. Where it does not, the window is halved for
// a moment and the queue drained on purpose. Around this:
//
//   - Start-up doubles the window until delay rises or delivery does not. Its first
//     four packets leave together: how far apart they arrive tells the link's rate to
//     one that joins others.
//   - Loss without a queue is tested: less is sent for a moment. Where loss stays, it
//     is the path's own and is left out of account. Where it goes, a policer or a very
//     short buffer is in the way, and a slowly rising ceiling keeps under it.
//   - A standing queue that does not yield to yielding means flows that fill queues.
//     Against those the window grows as Cubic's does, and is cut the deeper the more of
//     the link this flow has. A flow that finds itself alone drains the queue; several of
//     this kind find out by halving their windows together for a moment.
//   - Paths with delays of their own, such as Wi-Fi's and LTE's, are known by the lumps
//     in which packets arrive. Where the lowest of their delays lie is measured in drains,
//     and how far they swing, all the time; so much of a queue costs nothing.
//   - How fast the bottleneck sends while it has something to send is measured packet by
//     packet. Where that changes all the time, as on mobile networks, the window goes for it
//     rather than feel its way up.
//   - While nothing is heard, a packet leaves now and then although the window is full:
//     what was lost at its end would else not be known for seconds.
//   - Drift and steps of the peer's clock are told from queues by the round trip, which
//     they leave alone; a longer way, by a queue that nothing moves.
//
// Everything that a peer reports is bounded: packets that were not sent or were
// acknowledged before count for nothing, a delivery rate is never above the rate at
// which the same packets were sent, and memory holds at most 32,767 packets.
//
// # Limits
//
// Flows of this kind that competed with another for a queue of hundreds of milliseconds and
// are left alone with each other find that out together, within seconds where they are two;
// three and more may take ten times as long, or now and then not find out, and keep that
// queue full. On paths whose delays have noise of their own, several flows share less
// evenly than elsewhere. RESULTS.md has figures for both, and for all else, beside those of
// other controllers.
//
// # Sources, and patents
//
// The name and the aim are those of Microsoft's URCP: S. Mehrotra, J. Li and others,
// "URCP: Universal Rate Control Protocol for Real-Time Communication Applications"
// (Microsoft Research). Its constants and equations are not published; those here are
// this package's own. The design also draws on Copa (V. Arun and H. Balakrishnan,
// NSDI 2018) for the cycle around a price of delay, on BBR (draft-ietf-ccwg-bbr) for the
// end of start-up and the drains, on CUBIC (RFC 9438) for growth against queue-filling
// flows, on DCTCP (RFC 8257) for fine-grained marks, and on NADA (RFC 8698) and SCReAM
// (RFC 8298) for the place of loss and marks beside delay.
//
// URCP is Microsoft's name and the subject of patents, among them US 9,088,510 (rate
// control with adapted parameters), US 8,553,540 and US 9,485,184 (congestion control
// for delay-sensitive applications), US 10,129,155 (coexistence with TCP) and
// US 10,341,240 (equation-based rate control). Whoever uses this package has to judge
// for their own case whether any of them bears on it.
package urcp
