package rdgateway

import (
	"cmp"
	"encoding/binary"
	"io"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/framing"
)

// maxContent is what a TLS record carries.
const maxContent = 16 << 10

// An unpacker takes the session's bytes out of a client's stream of packets once
// the channel is open. The stream may be cut anywhere. Its zero value is ready.
type unpacker struct {
	header [dataHeaderLen]byte
	have   int // bytes of the header
	left   int // of the DATA at hand
	skip   int // bytes to the end of the packet behind that
	ended  bool
}

// strip is [framing.Framing]'s. A client's keepalive is not answered: two that
// answer each other's never end.
func (u *unpacker) strip(p []byte) (n int, answer []byte, err error) {
	for in := p; ; {
		k := min(len(in), u.left)
		n += copy(p[n:], in[:k])
		in, u.left = in[k:], u.left-k
		if u.left == 0 {
			k = min(len(in), u.skip)
			in, u.skip = in[k:], u.skip-k
		}
		if u.ended && u.left+u.skip == 0 {
			return n, answer, io.EOF
		}
		if len(in) == 0 {
			return n, answer, nil
		}
		var t packetType
		if in, t, err = u.readHeader(in); err != nil {
			return n, answer, err
		}
		if t == closeChannel {
			answer = append(answer, newClose(closeChannelResponse, ok)...)
		}
		u.ended = t == closeChannel || t == closeChannelResponse
	}
}

// readHeader takes a packet's header from in, for DATA with the length of its
// bytes. The type is 0 while it is not whole.
func (u *unpacker) readHeader(in []byte) (rest []byte, t packetType, err error) {
	need := headerLen
	if u.have >= headerLen { // it is DATA, whose length of bytes has not come yet
		need = dataHeaderLen
	}
	for {
		k := copy(u.header[u.have:need], in)
		u.have, in = u.have+k, in[k:]
		if u.have < need {
			return in, 0, nil
		}
		t, length, err := parseHeader(u.header[:])
		switch {
		case err != nil:
			return nil, 0, err
		case t == data && need == headerLen:
			if length < dataHeaderLen {
				return nil, 0, errPacket
			}
			need = dataHeaderLen
			continue
		case t == data:
			u.left = int(binary.LittleEndian.Uint16(u.header[headerLen:]))
			if u.skip = length - dataHeaderLen - u.left; u.skip < 0 {
				return nil, 0, errPacket
			}
		case t == keepAlive, t == closeChannel, t == closeChannelResponse:
			u.skip = length - headerLen
		default:
			return nil, 0, errPacket
		}
		u.have = 0
		return in, t, nil
	}
}

// A wrapper is what both framings have of the RD Gateway protocol.
type wrapper struct {
	unpack unpacker
	every  time.Duration
}

// The framing of the two connections: bare packets on OUT, and chunks of them on IN.
type packetFraming struct {
	wrapper
	chunks dechunker
}

// The framing of the RD Gateway protocol in a WebSocket: a packet a frame.
type webSocketFraming struct {
	wrapper
	frames deframer
}

// The framing of bare RDP in a WebSocket.
type rawFraming struct {
	frames deframer
	accept string // the 101, sent when the call is ready
}

var (
	_ framing.Framing = (*packetFraming)(nil)
	_ framing.Framing = (*webSocketFraming)(nil)
	_ framing.Framing = (*rawFraming)(nil)
)

func (f *packetFraming) Room() int     { return dataHeaderLen }
func (f *packetFraming) MaxPiece() int { return maxContent - f.Room() }

func (f *packetFraming) Wrap(b []byte, n int) int {
	putDataHeader(b, n)
	return 0
}

func (f *packetFraming) Strip(p []byte) (n int, answer []byte, err error) {
	m, _, cerr := f.chunks.strip(p)
	n, answer, err = f.unpack.strip(p[:m])
	return n, answer, protocolError(cmp.Or(err, cerr))
}

func (f *packetFraming) Ready() []byte { return newChannelResponse(ok) }

func (f *packetFraming) Refusal(e *reachback.Error) []byte {
	return newChannelResponse(statusOf(e.Code))
}

func (f *packetFraming) End(c reachback.Code) []byte { return newClose(closeChannel, statusOf(c)) }

func (f *packetFraming) KeepAlive() ([]byte, time.Duration) {
	return appendPacket(nil, keepAlive), f.every
}

func (f *webSocketFraming) Room() int     { return wsRoom + dataHeaderLen }
func (f *webSocketFraming) MaxPiece() int { return maxContent - f.Room() }

func (f *webSocketFraming) Wrap(b []byte, n int) int {
	putDataHeader(b[wsRoom:], n)
	return putFrameHeader(b, wsRoom, opBinary, dataHeaderLen+n)
}

func (f *webSocketFraming) Strip(p []byte) (n int, answer []byte, err error) {
	m, answer, ferr := f.frames.strip(p)
	n, packets, err := f.unpack.strip(p[:m])
	if len(packets) > 0 {
		answer = append(newFrame(opBinary, packets), answer...)
	}
	return n, answer, protocolError(cmp.Or(err, ferr))
}

func (f *webSocketFraming) Ready() []byte { return newFrame(opBinary, newChannelResponse(ok)) }

func (f *webSocketFraming) Refusal(e *reachback.Error) []byte {
	return append(newFrame(opBinary, newChannelResponse(statusOf(e.Code))), newCloseFrame(closeCodeOf(e.Code))...)
}

func (f *webSocketFraming) End(c reachback.Code) []byte {
	return append(newFrame(opBinary, newClose(closeChannel, statusOf(c))), newCloseFrame(closeCodeOf(c))...)
}

// KeepAlive is a packet and no Ping: FreeRDP 3 aborts on an empty one.
func (f *webSocketFraming) KeepAlive() ([]byte, time.Duration) {
	return newFrame(opBinary, appendPacket(nil, keepAlive)), f.every
}

func (f *rawFraming) Room() int     { return wsRoom }
func (f *rawFraming) MaxPiece() int { return maxContent - wsRoom }

func (f *rawFraming) Wrap(b []byte, n int) int { return putFrameHeader(b, wsRoom, opBinary, n) }

func (f *rawFraming) Strip(p []byte) (int, []byte, error) {
	n, answer, err := f.frames.strip(p)
	return n, answer, protocolError(err)
}

func (f *rawFraming) Ready() []byte { return []byte(f.accept) }

func (f *rawFraming) Refusal(e *reachback.Error) []byte { return refusal(e) }

func (f *rawFraming) End(c reachback.Code) []byte { return newCloseFrame(closeCodeOf(c)) }

func (f *rawFraming) KeepAlive() ([]byte, time.Duration) { return nil, 0 }

// putDataHeader puts the header of a DATA packet with n bytes at the front of b.
func putDataHeader(b []byte, n int) {
	binary.LittleEndian.PutUint32(b, uint32(data))
	binary.LittleEndian.PutUint32(b[4:], uint32(dataHeaderLen+n))
	binary.LittleEndian.PutUint16(b[headerLen:], uint16(n))
}

// protocolError gives a fault of the client's its code.
func protocolError(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return reachback.Refuse(reachback.CodeProtocolError)
}
