// Package rdpudp is the data phase of RDP-UDP version 3, [MS-RDPEUDP2], without
// input or output: its packets, the receiver's acknowledgements, and what the sender
// learns from them. It reads no clock, starts no goroutine and allocates nothing per
// packet; datagrams and times are handed in and out.
//
// A [Packet] is one datagram. Two types stand on either side of a path:
//
//   - [Acknowledger] is told of every packet that arrives, and says which
//     acknowledgement is due when.
//   - [Outstanding] numbers every packet that leaves, and turns acknowledgements into
//     [urcp.Feedback]: what arrived, when, and what is lost.
//
// A sender asks its rate controller, a [urcp.Controller] or any other, when the next
// packet may leave, has [Outstanding.Send] number it, sends what [Packet.Append] makes of
// it, and tells the controller its number and its size on the wire. Each datagram that
// comes goes through [Packet.Parse] to [Outstanding.OnPacket]; what that returns is for
// the controller, and so is what [Outstanding.OnTimer] returns. An end that also receives
// shows the packet to [Acknowledger.OnPacket] too, and has [Acknowledger.Fill] look at
// each that leaves.
//
// Packet numbers count transmissions: a packet is never sent twice, and what a lost
// one carried goes into a new one. Where 16 bits of a number travel, both types know
// all 64.
//
// What is implemented of [MS-RDPEUDP2]: the packet with all its payloads (2.2.1), the
// prefix byte and the exchange of bytes (3.1.1.1.5), the reconstruction of numbers and
// times (3.1.1.1.3, 3.1.1.1.4), the sender's window and its losses (3.1.1.2), the
// receiver's window, and acknowledgements with and without gaps (3.1.5.6, 3.1.5.7).
//
// Where the specification leaves a choice: a vector whose first packet is missing says
// that all before it have arrived, so that a lost acknowledgement costs nothing, and
// one that goes on where another ended begins with a packet that has arrived. A packet
// that was taken for lost and arrives in time is acknowledged all the same. What a path
// reorders is learned, and the wait for a packet that was overtaken follows it.
//
// Nothing in a packet is authenticated. What lies outside of a window is ignored, and
// counted or reported to the caller, and never ends a connection; all memory is bounded
// by the windows.
//
// [MS-RDPEUDP2]: https://learn.microsoft.com/openspecs/windows_protocols/ms-rdpeudp2/
package rdpudp
