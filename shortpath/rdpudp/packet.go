package rdpudp

import (
	"encoding/binary"
	"errors"
)

const (
	// MTU is the largest datagram to send.
	MTU = 1232
	// MaxDatagram is the size of a buffer for any datagram that may come. Windows
	// counts only the data of a packet against the MTU.
	MaxDatagram = 1500

	// minDatagram is the prefix byte and a layout of seven bytes, padding included.
	minDatagram = 8
)

// Flags say which payloads a packet has.
type Flags uint16

// The payloads of a packet; [MS-RDPEUDP2] 2.2.1.1.
const (
	FlagAck          Flags = 0x001 // never together with FlagAckVector
	FlagData         Flags = 0x004
	FlagAckVector    Flags = 0x008
	FlagAckOfAcks    Flags = 0x010
	FlagOverhead     Flags = 0x040
	FlagDelayAckInfo Flags = 0x100

	allFlags = FlagAck | FlagData | FlagAckVector | FlagAckOfAcks | FlagOverhead | FlagDelayAckInfo

	// Newer Windows sets this one with data. No payload belongs to it.
	flagUndocumented Flags = 0x200
)

const (
	prefixReserved = 0x01
	prefixType     = 0x1e
	prefixDummy    = 0x10
	longLayout     = 7 // the length of a layout that needs no padding, or of a longer one
)

var errMalformed = errors.New("rdpudp: malformed packet")

// A Packet is one datagram of the data phase. Only the fields that Flags names count.
type Packet struct {
	Flags Flags
	// LogWindow is the binary logarithm of the receive window that the sender of
	// the packet grants, in packets; 0 to 15.
	LogWindow uint8
	// Dummy marks a packet that is numbered, acknowledged and timed as any other and
	// whose data is of no meaning. It has no channel number.
	Dummy bool

	Ack Ack
	// Overhead is how many bytes of the sender's packets precede the data.
	Overhead     uint8
	DelayAckInfo DelayAckInfo
	// AckOfAcks is the low half of the lowest packet number for which the sender
	// still waits: what is below is settled.
	AckOfAcks uint16
	// Seq is the low half of the packet's number.
	Seq       uint16
	AckVector AckVector
	// Channel is the low half of the number of this piece of the byte stream.
	Channel uint16
	// Data is what Parse was given, from here to its end.
	Data []byte
}

// A DelayAckInfo is how long the sender of a packet lets its peer hold
// acknowledgements back; [MS-RDPEUDP2] 2.2.1.2.3.
type DelayAckInfo struct {
	MaxDelayed uint8  // packets beyond the first that one acknowledgement covers; 15 at most
	TimeoutMs  uint16 // milliseconds
}

// IsPacket tells datagrams of the data phase from those of the handshake,
// [MS-RDPEUDP] 2.2.2.1, which always have one of two flags set where the prefix byte
// of the data phase is.
func IsPacket(datagram []byte) bool {
	if len(datagram) < minDatagram {
		return false
	}
	t := datagram[7] & (prefixType | prefixReserved)
	return t == 0 || t == prefixDummy
}

// Has reports whether the packet has all payloads of f.
func (p *Packet) Has(f Flags) bool { return p.Flags&f == f }

// Parse parses a datagram. It exchanges two bytes of it, also where it fails; the
// packet's slices are parts of it.
func (p *Packet) Parse(datagram []byte) error {
	if !IsPacket(datagram) || !p.parse(datagram) {
		*p = Packet{}
		return errMalformed
	}
	return nil
}

func (p *Packet) parse(datagram []byte) bool {
	*p = Packet{}
	datagram[0], datagram[7] = datagram[7], datagram[0]
	prefix, layout := datagram[0], datagram[1:]
	p.Dummy = prefix&prefixType == prefixDummy
	// Some senders leave the length of long layouts at zero.
	if n := int(prefix >> 5); n != 0 && n != longLayout {
		if len(layout) != longLayout {
			return false
		}
		layout = layout[:n]
	}

	c := cursor{rest: layout}
	head := c.uint16()
	p.Flags, p.LogWindow = Flags(head&0x0fff)&^flagUndocumented, uint8(head>>12)
	if p.Flags == 0 || p.Flags&^allFlags != 0 || p.Has(FlagAck|FlagAckVector) {
		return false
	}
	if p.Has(FlagAck) {
		p.Ack.parse(&c)
	}
	if p.Has(FlagOverhead) {
		p.Overhead = c.uint8()
	}
	if p.Has(FlagDelayAckInfo) {
		p.DelayAckInfo = DelayAckInfo{MaxDelayed: c.uint8(), TimeoutMs: c.uint16()}
	}
	if p.Has(FlagAckOfAcks) {
		p.AckOfAcks = c.uint16()
	}
	if p.Has(FlagData) {
		p.Seq = c.uint16()
	}
	if p.Has(FlagAckVector) {
		p.AckVector.parse(&c)
	}
	if p.Has(FlagData) {
		if !p.Dummy {
			p.Channel = c.uint16()
		}
		p.Data, c.rest = c.rest, nil
	}
	return !c.short && len(c.rest) == 0
}

// Len returns how many bytes Append appends.
func (p *Packet) Len() int {
	n := 1 + 2
	if p.Has(FlagAck) {
		n += p.Ack.len()
	}
	if p.Has(FlagOverhead) {
		n++
	}
	if p.Has(FlagDelayAckInfo) {
		n += 3
	}
	if p.Has(FlagAckOfAcks) {
		n += 2
	}
	if p.Has(FlagAckVector) {
		n += p.AckVector.len()
	}
	if p.Has(FlagData) {
		n += 2 + len(p.Data)
		if !p.Dummy {
			n += 2
		}
	}
	return max(n, minDatagram)
}

// Append appends the datagram to b. It panics where a field is out of its range, or
// where the flags cannot stand together.
func (p *Packet) Append(b []byte) []byte {
	if p.Flags == 0 || p.Flags&^allFlags != 0 || p.Has(FlagAck|FlagAckVector) || p.LogWindow > 15 {
		panic("rdpudp: a packet that no peer would take")
	}
	start := len(b)
	b = append(b, 0) // the prefix byte
	b = binary.LittleEndian.AppendUint16(b, uint16(p.Flags)|uint16(p.LogWindow)<<12)
	if p.Has(FlagAck) {
		b = p.Ack.append(b)
	}
	if p.Has(FlagOverhead) {
		b = append(b, p.Overhead)
	}
	if p.Has(FlagDelayAckInfo) {
		b = append(b, p.DelayAckInfo.MaxDelayed)
		b = binary.LittleEndian.AppendUint16(b, p.DelayAckInfo.TimeoutMs)
	}
	if p.Has(FlagAckOfAcks) {
		b = binary.LittleEndian.AppendUint16(b, p.AckOfAcks)
	}
	if p.Has(FlagData) {
		b = binary.LittleEndian.AppendUint16(b, p.Seq)
	}
	if p.Has(FlagAckVector) {
		b = p.AckVector.append(b)
	}
	if p.Has(FlagData) {
		if !p.Dummy {
			b = binary.LittleEndian.AppendUint16(b, p.Channel)
		}
		b = append(b, p.Data...)
	}

	prefix := byte(min(len(b)-start-1, longLayout)) << 5
	if p.Dummy {
		prefix |= prefixDummy
	}
	for len(b)-start < minDatagram {
		b = append(b, 0)
	}
	b[start], b[start+7] = b[start+7], prefix
	return b
}

// A cursor reads what is left of a layout. Past the end it reads zeros and is short.
type cursor struct {
	rest  []byte
	short bool
}

var zeros [127]byte // more than any payload takes at once

// take returns the next n bytes, which nobody writes to.
func (c *cursor) take(n int) []byte {
	if n > len(c.rest) {
		c.rest, c.short = nil, true
		return zeros[:n]
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) uint8() uint8   { return c.take(1)[0] }
func (c *cursor) uint16() uint16 { return binary.LittleEndian.Uint16(c.take(2)) }

func (c *cursor) uint24() uint32 {
	b := c.take(3)
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
}

func appendUint24(b []byte, v uint32) []byte {
	return append(b, byte(v), byte(v>>8), byte(v>>16))
}
