package rdgateway

import (
	"encoding/binary"
	"errors"
	"io"
)

// An opcode is that of a WebSocket frame (RFC 6455, section 5.2).
type opcode byte

const (
	opContinuation opcode = 0x0
	opBinary       opcode = 0x2
	opClose        opcode = 0x8
	opPing         opcode = 0x9
	opPong         opcode = 0xA

	finBit  = 0x80
	maskBit = 0x80
)

// maxControl is the most that a control frame carries (section 5.5).
const maxControl = 125

// wsRoom is the most that stands in front of a frame of ours, whose length has 16
// bits: it is sent unmasked, as a server's must be.
const wsRoom = 4

var errFrame = errors.New("rdgateway: malformed WebSocket frame")

// putFrameHeader puts the header of a frame with n bytes in front of b[at:], and
// returns where it begins. at is no less than wsRoom, n no more than 65535.
func putFrameHeader(b []byte, at int, op opcode, n int) int {
	if n <= maxControl {
		b[at-1] = byte(n)
		b[at-2] = finBit | byte(op)
		return at - 2
	}
	binary.BigEndian.PutUint16(b[at-2:], uint16(n))
	b[at-3] = 126
	b[at-4] = finBit | byte(op)
	return at - 4
}

// newFrame returns a frame with these bytes.
func newFrame(op opcode, payload []byte) []byte {
	b := append(make([]byte, wsRoom, wsRoom+len(payload)), payload...)
	return b[putFrameHeader(b, wsRoom, op, len(payload)):]
}

// newCloseFrame returns a Close frame with that status.
func newCloseFrame(status uint16) []byte {
	return newFrame(opClose, binary.BigEndian.AppendUint16(nil, status))
}

// A deframer takes the frames of a client out of its stream, which may be cut
// anywhere. Nothing is allocated for a length that a frame announces: what it
// carries is passed on as it comes. Its zero value is ready.
type deframer struct {
	header [14]byte
	have   int // bytes of the header

	op       opcode
	left     uint64  // bytes of the frame that are still to come
	mask     [8]byte // twice, from the byte on that is next
	message  bool    // within a message of several frames
	fin      bool
	control  [maxControl]byte // what the control frame at hand carries
	controls int
}

// strip moves what the frames in p carry to its front. answer is what is to be sent:
// the pongs, and the close that answers one, after which the error is io.EOF.
func (d *deframer) strip(p []byte) (n int, answer []byte, err error) {
	for in := p; ; {
		if d.left == 0 {
			var whole bool
			if in, whole, err = d.readHeader(in); err != nil || !whole {
				return n, answer, err
			}
		}
		k := int(min(uint64(len(in)), d.left))
		d.unmask(in[:k])
		if d.op < opClose {
			n += copy(p[n:], in[:k])
		} else {
			d.controls += copy(d.control[d.controls:], in[:k])
		}
		in, d.left = in[k:], d.left-uint64(k)
		if d.left > 0 {
			return n, answer, nil
		}
		switch d.op {
		case opPing:
			// The answers to what came at once are one write.
			answer = append(answer, newFrame(opPong, d.control[:d.controls])...)
		case opClose:
			return n, append(answer, newFrame(opClose, d.control[:min(d.controls, 2)])...), io.EOF
		}
	}
}

// readHeader takes a frame's header from in, and says whether it is whole now.
func (d *deframer) readHeader(in []byte) (rest []byte, whole bool, err error) {
	if d.have < 2 {
		k := copy(d.header[d.have:2], in)
		d.have, in = d.have+k, in[k:]
		if d.have < 2 {
			return in, false, nil
		}
		// It is refused before more of it is waited for.
		if err := d.check(); err != nil {
			return nil, false, err
		}
	}
	need := 2 + extended(d.header[1]) + 4
	k := copy(d.header[d.have:need], in)
	d.have, in = d.have+k, in[k:]
	if d.have < need {
		return in, false, nil
	}
	n := uint64(d.header[1] &^ maskBit)
	switch at := d.header[2:]; extended(d.header[1]) {
	case 2:
		n = uint64(binary.BigEndian.Uint16(at))
	case 8:
		n = binary.BigEndian.Uint64(at)
	}
	if n>>63 != 0 {
		return nil, false, errFrame
	}
	copy(d.mask[:4], d.header[d.have-4:d.have])
	copy(d.mask[4:], d.mask[:4])
	d.op, d.fin, d.left = opcode(d.header[0]&0x0F), d.header[0]&finBit != 0, n
	if d.op < opClose {
		d.message = !d.fin
	}
	d.have, d.controls = 0, 0
	return in, true, nil
}

// extended is how many bytes of length follow the first two.
func extended(b byte) int {
	switch b &^ maskBit {
	case 126:
		return 2
	case 127:
		return 8
	}
	return 0
}

// check refuses what the first two bytes of a header show to be wrong. Text is
// refused too: nobody sends it here.
func (d *deframer) check() error {
	op, fin := opcode(d.header[0]&0x0F), d.header[0]&finBit != 0
	if d.header[0]&0x70 != 0 || d.header[1]&maskBit == 0 { // an extension that was not agreed on, or no mask
		return errFrame
	}
	switch op {
	case opBinary:
		if d.message {
			return errFrame
		}
	case opContinuation:
		if !d.message {
			return errFrame
		}
	case opClose, opPing, opPong:
		if !fin || d.header[1]&^maskBit > maxControl {
			return errFrame
		}
	default:
		return errFrame
	}
	return nil
}

// unmask takes the mask off p, eight bytes at a time (section 5.3).
func (d *deframer) unmask(p []byte) {
	m := binary.LittleEndian.Uint64(d.mask[:])
	for len(p) >= 32 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^m)
		binary.LittleEndian.PutUint64(p[8:], binary.LittleEndian.Uint64(p[8:])^m)
		binary.LittleEndian.PutUint64(p[16:], binary.LittleEndian.Uint64(p[16:])^m)
		binary.LittleEndian.PutUint64(p[24:], binary.LittleEndian.Uint64(p[24:])^m)
		p = p[32:]
	}
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^m)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= d.mask[i]
	}
	if n := len(p) & 3; n > 0 { // the next part of the frame goes on within the mask
		m = m>>(8*n) | m<<(64-8*n)
		binary.LittleEndian.PutUint64(d.mask[:], m)
	}
}
