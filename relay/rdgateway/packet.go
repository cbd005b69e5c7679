package rdgateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
)

// A packetType is that of an HTTP transport packet ([MS-TSGU] 2.2.5.3.3).
type packetType uint16

const (
	handshakeRequest     packetType = 0x01
	handshakeResponse    packetType = 0x02
	tunnelCreate         packetType = 0x04
	tunnelResponse       packetType = 0x05
	tunnelAuth           packetType = 0x06
	tunnelAuthResponse   packetType = 0x07
	channelCreate        packetType = 0x08
	channelResponse      packetType = 0x09
	data                 packetType = 0x0A
	keepAlive            packetType = 0x0D
	closeChannel         packetType = 0x10
	closeChannelResponse packetType = 0x11
)

func (t packetType) String() string {
	switch t {
	case handshakeRequest:
		return "HANDSHAKE_REQUEST"
	case handshakeResponse:
		return "HANDSHAKE_RESPONSE"
	case tunnelCreate:
		return "TUNNEL_CREATE"
	case tunnelResponse:
		return "TUNNEL_RESPONSE"
	case tunnelAuth:
		return "TUNNEL_AUTH"
	case tunnelAuthResponse:
		return "TUNNEL_AUTH_RESPONSE"
	case channelCreate:
		return "CHANNEL_CREATE"
	case channelResponse:
		return "CHANNEL_RESPONSE"
	case data:
		return "DATA"
	case keepAlive:
		return "KEEPALIVE"
	case closeChannel:
		return "CLOSE_CHANNEL"
	case closeChannelResponse:
		return "CLOSE_CHANNEL_RESPONSE"
	}
	return fmt.Sprintf("packet 0x%02x", uint16(t))
}

const (
	// headerLen is the length of type, reserved field and packet length.
	headerLen = 8
	// dataHeaderLen is that of a DATA packet in front of its bytes.
	dataHeaderLen = headerLen + 2
	// maxPacket bounds any packet of a client: the longest DATA.
	maxPacket = dataHeaderLen + 0xFFFF
)

var errPacket = errors.New("rdgateway: malformed packet")

// parseHeader reads a packet's header, at least headerLen bytes. The length counts
// the header too.
func parseHeader(b []byte) (t packetType, length int, err error) {
	n := binary.LittleEndian.Uint32(b[4:])
	if n < headerLen || n > maxPacket {
		return 0, 0, errPacket
	}
	return packetType(binary.LittleEndian.Uint16(b)), int(n), nil
}

// Extended authentication methods, and what fields are present in the packets.
const (
	authPAA = 0x02

	createHasCookie = 0x01
	createHasReauth = 0x02

	responseHasTunnelID = 0x01
	responseHasCaps     = 0x02

	authHasRedirection = 0x01
	authHasIdleTimeout = 0x02

	channelHasID = 0x01
)

const (
	// capIdleTimeout is the only capability that is offered: with the one of
	// quarantine a Windows client would append a statement of health.
	capIdleTimeout = 0x02
	// redirectAll leaves every redirection to the session: FreeRDP 3 drops the
	// channels that it is told to.
	redirectAll = 0x80000000
	// protocolRDP is the protocol of every channel.
	protocolRDP = 3
	// theID is that of every tunnel and its one channel. Windows wants a channel
	// to have one.
	theID = 1
)

// fields reads a packet's body. After a field that is not there bad is set, and
// what is read is zero.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) take(n int) []byte {
	if len(f.b) < n {
		f.b, f.bad = nil, true
		return make([]byte, min(n, 8)) // n is 8 or less but for blobs, which are not read when bad
	}
	p := f.b[:n]
	f.b = f.b[n:]
	return p
}

func (f *fields) u8() byte    { return f.take(1)[0] }
func (f *fields) u16() uint16 { return binary.LittleEndian.Uint16(f.take(2)) }
func (f *fields) u32() uint32 { return binary.LittleEndian.Uint32(f.take(4)) }

// blob is a length in bytes and so many bytes.
func (f *fields) blob() []byte {
	n := int(f.u16())
	if len(f.b) < n {
		f.b, f.bad = nil, true
		return nil
	}
	return f.take(n)
}

func (f *fields) err() error {
	if f.bad {
		return errPacket
	}
	return nil
}

// Bytes behind the fields of a packet are ignored: Windows sends a statement of
// health in some, and later versions may send more.

// A handshake is a HANDSHAKE_REQUEST ([MS-TSGU] 2.2.10.10).
type handshake struct {
	Major, Minor byte
	Version      uint16
	Auth         uint16 // extended authentication methods
}

func parseHandshake(body []byte) (handshake, error) {
	f := fields{b: body}
	h := handshake{f.u8(), f.u8(), f.u16(), f.u16()}
	return h, f.err()
}

// parseTunnelCreate returns the PAA cookie of a TUNNEL_CREATE (2.2.10.18), empty
// where there is none.
func parseTunnelCreate(body []byte) (cookie string, err error) {
	f := fields{b: body}
	f.u32() // capabilities: none of them matters
	present := f.u16()
	f.u16()
	if present&createHasReauth != 0 {
		f.take(8)
	}
	if present&createHasCookie == 0 {
		return "", f.err()
	}
	b := f.blob()
	if err := f.err(); err != nil {
		return "", err
	}
	return parseText(b)
}

// parseTunnelAuth returns the client's name in a TUNNEL_AUTH (2.2.10.16).
func parseTunnelAuth(body []byte) (name string, err error) {
	f := fields{b: body}
	f.u16() // says whether a statement of health follows the name
	b := f.blob()
	if err := f.err(); err != nil {
		return "", err
	}
	return parseText(b)
}

// A channel is what a CHANNEL_CREATE (2.2.10.2) asks for. Names are those of the
// resources, then those of the alternatives, in the order in which they are wanted.
type channel struct {
	Names    []string
	Port     uint16
	Protocol uint16
}

// The most names of either kind in a CHANNEL_CREATE.
const maxResources, maxAlternatives = 50, 3

func parseChannelCreate(body []byte) (channel, error) {
	f := fields{b: body}
	resources, alternatives := int(f.u8()), int(f.u8())
	c := channel{Port: f.u16(), Protocol: f.u16()}
	if f.bad || resources < 1 || resources > maxResources || alternatives > maxAlternatives {
		return channel{}, errPacket
	}
	for range resources + alternatives {
		b := f.blob()
		if f.bad {
			return channel{}, errPacket
		}
		name, err := parseText(b)
		if err != nil {
			return channel{}, err
		}
		c.Names = append(c.Names, name)
	}
	return c, nil
}

// parseText returns UTF-16LE text without the zero at its end, which clients send
// and count.
func parseText(b []byte) (string, error) {
	if len(b)%2 != 0 {
		return "", errPacket
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	if n := len(units); n > 0 && units[n-1] == 0 {
		units = units[:n-1]
	}
	for _, u := range units {
		if u == 0 {
			return "", errPacket
		}
	}
	return string(utf16.Decode(units)), nil
}

// appendPacket appends a packet with that body.
func appendPacket(b []byte, t packetType, body ...byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(t))
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(headerLen+len(body)))
	return append(b, body...)
}

func le16(b []byte, v uint16) []byte { return binary.LittleEndian.AppendUint16(b, v) }
func le32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }

// newHandshakeResponse answers a handshake (2.2.10.11) in the client's version.
func newHandshakeResponse(s hresult, h handshake) []byte {
	b := append(le32(nil, uint32(s)), h.Major, h.Minor)
	return appendPacket(nil, handshakeResponse, le16(le16(b, 0), authPAA)...)
}

// newTunnelResponse answers a TUNNEL_CREATE (2.2.10.20).
func newTunnelResponse(s hresult) []byte {
	present := uint16(responseHasTunnelID | responseHasCaps)
	if s != ok {
		present = 0
	}
	b := le16(le16(le32(le16(nil, 0), uint32(s)), present), 0)
	if s == ok {
		b = le32(le32(b, theID), capIdleTimeout)
	}
	return appendPacket(nil, tunnelResponse, b...)
}

// newTunnelAuthResponse answers a TUNNEL_AUTH (2.2.10.17): every redirection, and no
// idle timeout.
func newTunnelAuthResponse(s hresult) []byte {
	present := uint16(authHasRedirection | authHasIdleTimeout)
	if s != ok {
		present = 0
	}
	b := le16(le16(le32(nil, uint32(s)), present), 0)
	if s == ok {
		b = le32(le32(b, redirectAll), 0)
	}
	return appendPacket(nil, tunnelAuthResponse, b...)
}

// newChannelResponse answers a CHANNEL_CREATE (2.2.10.5). The channel's id is there
// in any case.
func newChannelResponse(s hresult) []byte {
	return appendPacket(nil, channelResponse, le32(le16(le16(le32(nil, uint32(s)), channelHasID), 0), theID)...)
}

// newClose is a CLOSE_CHANNEL or its response (2.2.10.4), always with its status:
// FreeRDP reads it without looking whether it is there.
func newClose(t packetType, s hresult) []byte { return appendPacket(nil, t, le32(nil, uint32(s))...) }
