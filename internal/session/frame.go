package session

import (
	"encoding/binary"

	"github.com/reachback/reachback"
)

// A frameType is the first byte of a frame; SPEC.md, section 6.
type frameType byte

const (
	frameHello frameType = 0x01 // version 2, features 4, limit 8; what follows is a later version's
	frameData  frameType = 0x02 // flags 1, offset 8, bytes
	frameAck   frameType = 0x03 // offset 8, limit 8
	frameReset frameType = 0x04 // code, 1 to 64 characters
	framePing  frameType = 0x05 // 8 bytes of the sender's choice
	framePong  frameType = 0x06 // the 8 bytes of a PING
	// 0x07 to 0x0a are taken by sessions that move between paths.

	// Types from frameExtension up are skipped by who does not know them.
	frameExtension frameType = 0x80
)

const (
	version = 1

	headerLen   = 5 // type 1, length of the body 4
	dataHeadLen = 9 // flags and offset
	maxData     = 64 << 10
	maxHello    = 256
	maxCode     = 64

	flagFIN = 0x01
)

// checkLength bounds the body of a frame before anything is read or kept of it.
func checkLength(t frameType, n uint32) error {
	var low, high uint32
	switch t {
	case frameHello:
		low, high = 14, maxHello
	case frameData:
		low, high = dataHeadLen, dataHeadLen+maxData
	case frameAck:
		low, high = 16, 16
	case frameReset:
		low, high = 1, maxCode
	case framePing, framePong:
		low, high = 8, 8
	default:
		if t < frameExtension {
			return reachback.Refuse(reachback.CodeProtocolError)
		}
		low, high = 0, maxData
	}
	switch {
	case n > high:
		return reachback.Refuse(reachback.CodeFrameTooLarge)
	case n < low:
		return reachback.Refuse(reachback.CodeProtocolError)
	}
	return nil
}

// A frame is a frame of a known type with the fields that its type has.
type frame struct {
	typ      frameType
	version  uint16         // HELLO
	features uint32         // HELLO
	limit    uint64         // HELLO, ACK: the receiver takes bytes below this offset
	offset   uint64         // DATA: of its first byte; ACK: all below it was taken
	fin      bool           // DATA: nothing comes after it
	data     []byte         // DATA: part of what was parsed
	code     reachback.Code // RESET
	probe    uint64         // PING, PONG
}

// parseBody parses the body of a frame whose length was checked.
func parseBody(t frameType, b []byte) (frame, error) {
	f := frame{typ: t}
	switch t {
	case frameHello:
		f.version = binary.BigEndian.Uint16(b)
		f.features = binary.BigEndian.Uint32(b[2:])
		f.limit = binary.BigEndian.Uint64(b[6:])
		if f.version == 0 {
			return f, reachback.Refuse(reachback.CodeVersionUnsupported)
		}
	case frameData:
		if b[0]&^flagFIN != 0 {
			return f, reachback.Refuse(reachback.CodeProtocolError)
		}
		f.fin = b[0]&flagFIN != 0
		f.offset = binary.BigEndian.Uint64(b[1:])
		f.data = b[dataHeadLen:]
	case frameAck:
		f.offset = binary.BigEndian.Uint64(b)
		f.limit = binary.BigEndian.Uint64(b[8:])
	case frameReset:
		f.code = reachback.Code(b)
		if !f.code.Valid() {
			return f, reachback.Refuse(reachback.CodeProtocolError)
		}
	case framePing, framePong:
		f.probe = binary.BigEndian.Uint64(b)
	}
	return f, nil
}

func appendHeader(b []byte, t frameType, n int) []byte {
	b = append(b, byte(t))
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

func appendHello(b []byte, features uint32, limit uint64) []byte {
	b = appendHeader(b, frameHello, 14)
	b = binary.BigEndian.AppendUint16(b, version)
	b = binary.BigEndian.AppendUint32(b, features)
	return binary.BigEndian.AppendUint64(b, limit)
}

// appendData appends a DATA frame up to its n bytes, which the caller appends.
func appendData(b []byte, offset uint64, n int, fin bool) []byte {
	b = appendHeader(b, frameData, dataHeadLen+n)
	var flags byte
	if fin {
		flags = flagFIN
	}
	b = append(b, flags)
	return binary.BigEndian.AppendUint64(b, offset)
}

func appendAck(b []byte, offset, limit uint64) []byte {
	b = appendHeader(b, frameAck, 16)
	b = binary.BigEndian.AppendUint64(b, offset)
	return binary.BigEndian.AppendUint64(b, limit)
}

func appendReset(b []byte, c reachback.Code) []byte {
	return append(appendHeader(b, frameReset, len(c)), c...)
}

// appendProbe appends a PING or a PONG.
func appendProbe(b []byte, t frameType, probe uint64) []byte {
	return binary.BigEndian.AppendUint64(appendHeader(b, t, 8), probe)
}
