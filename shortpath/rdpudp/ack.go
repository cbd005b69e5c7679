package rdpudp

import (
	"encoding/binary"
	"time"
)

const (
	// maxAdditions is as many packets as one acknowledgement gives a time besides
	// the newest.
	maxAdditions = 15
	maxScale     = 15

	// timeUnit is that of the receive times that travel, of which 24 bits do.
	timeUnit = 4 * time.Microsecond
	timeBits = 24

	// gapUnknown, in milliseconds, is also every longer gap.
	gapUnknown = 255
)

// An Ack acknowledges a packet and all before it; [MS-RDPEUDP2] 2.2.1.2.1. Its wire
// format has 7 bytes and one for each addition.
type Ack struct {
	// Seq is the low half of the highest packet number.
	Seq uint16
	// Received is when that packet arrived: the low 24 bits, in units of 4 µs, of
	// the receiver's clock.
	Received uint32
	// GapMs is for how many milliseconds the acknowledgement was held back; 255
	// is as many or more.
	GapMs uint8
	// Additions are the times between the arrivals of this packet and the one
	// before, of that and the one before it, and so on, in units of 2^Scale µs,
	// cut off; 15 at most.
	Additions []byte
	Scale     uint8 // 0 to 15
}

func (a *Ack) len() int { return 7 + len(a.Additions) }

func (a *Ack) append(b []byte) []byte {
	if a.Received>>timeBits != 0 || len(a.Additions) > maxAdditions || a.Scale > maxScale {
		panic("rdpudp: an acknowledgement that no peer would take")
	}
	b = binary.LittleEndian.AppendUint16(b, a.Seq)
	b = appendUint24(b, a.Received)
	b = append(b, a.GapMs, byte(len(a.Additions))|a.Scale<<4)
	return append(b, a.Additions...)
}

func (a *Ack) parse(c *cursor) {
	a.Seq, a.Received, a.GapMs = c.uint16(), c.uint24(), c.uint8()
	n := c.uint8()
	a.Scale, a.Additions = n>>4, c.take(int(n&0x0f))
}
