package rdpudp

import "encoding/binary"

const (
	maxElements = 127

	elementRun      = 0x80
	elementReceived = 0x40
	maxRun          = 63
	mapBits         = 7

	vectorTimed = 0x80
)

// An AckVector says of each packet from a base on whether it has arrived; [MS-RDPEUDP2]
// 2.2.1.2.6. It is sent while one is missing, and one that does not fit into a
// vector goes on in the next. Its wire format has 3 bytes, 4 with a time, and the
// elements.
type AckVector struct {
	// Base is the low half of the first packet number: the first that is missing,
	// unless the vector goes on where another ended.
	Base uint16
	// Timed says that Received and GapMs are there.
	Timed bool
	// Received is when the highest packet number arrived: the low 24 bits, in units
	// of 4 µs, of the receiver's clock.
	Received uint32
	// GapMs is how many milliseconds ago the latest packet arrived; 255 is not known.
	GapMs uint8
	// Elements are at most 127 maps of seven packets or runs of up to 63. Zeros at
	// the end of a map may lie beyond the highest packet that arrived.
	Elements []byte
}

func (v *AckVector) len() int {
	n := 3 + len(v.Elements)
	if v.Timed {
		n += 4
	}
	return n
}

func (v *AckVector) append(b []byte) []byte {
	if v.Received>>timeBits != 0 || len(v.Elements) > maxElements {
		panic("rdpudp: a vector that no peer would take")
	}
	b = binary.LittleEndian.AppendUint16(b, v.Base)
	n := byte(len(v.Elements))
	if v.Timed {
		n |= vectorTimed
	}
	b = append(b, n)
	if v.Timed {
		b = append(appendUint24(b, v.Received), v.GapMs)
	}
	return append(b, v.Elements...)
}

func (v *AckVector) parse(c *cursor) {
	v.Base = c.uint16()
	n := c.uint8()
	if v.Timed = n&vectorTimed != 0; v.Timed {
		v.Received, v.GapMs = c.uint24(), c.uint8()
	}
	v.Elements = c.take(int(n &^ vectorTimed))
}

// element returns what an element says: bit i of mask is set where the i-th of its n
// packets has arrived.
func element(e byte) (mask uint64, n int) {
	if e&elementRun == 0 {
		return uint64(e), mapBits
	}
	n = int(e & maxRun)
	if e&elementReceived != 0 {
		mask = 1<<n - 1
	}
	return mask, n
}

// run returns the element for n packets that all arrived, or did not.
func run(received bool, n int) byte {
	e := byte(elementRun | n)
	if received {
		e |= elementReceived
	}
	return e
}
