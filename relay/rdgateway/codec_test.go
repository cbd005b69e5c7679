package rdgateway

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/spectest"
)

func TestHeader(t *testing.T) {
	for _, c := range []struct {
		name, hex string
		length    int // 0: refused
	}{
		{"nothing but a header", "0d00000008000000", 8},
		{"the longest DATA", "0a00000009000100", 0x10009},
		{"no length", "0a00000000000000", 0},
		{"shorter than itself", "0a00000007000000", 0},
		{"one more than the longest", "0a0000000a000100", 0},
		{"2 GiB", "0a00000000000080", 0},
		{"4 GiB less one, which is negative as signed", "0a000000ffffffff", 0},
	} {
		b, err := hex.DecodeString(c.hex)
		require.NoError(t, err)
		_, n, err := parseHeader(b)
		require.Equal(t, c.length, n, c.name)
		require.Equal(t, c.length == 0, err != nil, c.name)
	}
}

// The bodies of a client's packets, and what is read in them.
var bodies = []struct {
	name string
	body string
	read func(b []byte) (any, error)
	want any
}{
	{"handshake", "\x01\x00\x00\x00\x02\x00", func(b []byte) (any, error) { return parseHandshake(b) }, handshake{Major: 1, Auth: 2}},
	{"handshake of Windows", "\x01\x00\x07\x00\x03\x01", func(b []byte) (any, error) { return parseHandshake(b) }, handshake{Major: 1, Version: 7, Auth: 0x103}},
	{"tunnel with a cookie", "\x0d\x00\x00\x00\x01\x00\x00\x00" + counted(utf16z("e30.x")), func(b []byte) (any, error) { return parseTunnelCreate(b) }, "e30.x"},
	{"tunnel with a cookie behind a context of another tunnel", "\x3f\x00\x00\x00\x03\x00\x00\x00" + "12345678" + counted(utf16z("e30.x")),
		func(b []byte) (any, error) { return parseTunnelCreate(b) }, "e30.x"},
	{"tunnel without a cookie", "\x0d\x00\x00\x00\x00\x00\x00\x00", func(b []byte) (any, error) { return parseTunnelCreate(b) }, ""},
	{"tunnel with a cookie without its zero", "\x0d\x00\x00\x00\x01\x00\x00\x00" + "\x02\x00x\x00", func(b []byte) (any, error) { return parseTunnelCreate(b) }, "x"},
	{"authorization", "\x00\x00" + counted(utf16z("laptop")), func(b []byte) (any, error) { return parseTunnelAuth(b) }, "laptop"},
	{"channel", "\x01\x00\x3d\x0d\x03\x00" + counted(utf16z("desktop")), func(b []byte) (any, error) { return parseChannelCreate(b) },
		channel{[]string{"desktop"}, 3389, 3}},
	{"channel with alternatives", "\x02\x01\x3e\x0d\x03\x00" + counted(utf16z("a")) + counted(utf16z("ä")) + counted(utf16z("c")),
		func(b []byte) (any, error) { return parseChannelCreate(b) }, channel{[]string{"a", "ä", "c"}, 3390, 3}},
}

func TestBodies(t *testing.T) {
	for _, c := range bodies {
		got, err := c.read([]byte(c.body))
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, got, c.name)
		got, err = c.read([]byte(c.body + "a later version's"))
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, got, c.name)
		for n := range len(c.body) {
			_, err := c.read([]byte(c.body[:n]))
			require.Error(t, err, "%s cut to %d bytes", c.name, n)
		}
	}
}

func TestBodiesThatLie(t *testing.T) {
	names := func(n int) string { return strings.Repeat("\x02\x00x\x00", n) }
	for _, c := range []struct {
		name string
		body string
	}{
		{"no resource", "\x00\x01\x3d\x0d\x03\x00" + names(1)},
		{"51 resources", "\x33\x00\x3d\x0d\x03\x00" + names(51)},
		{"4 alternatives", "\x01\x04\x3d\x0d\x03\x00" + names(5)},
		{"half a character", "\x01\x00\x3d\x0d\x03\x00" + "\x03\x00x\x00y"},
		{"a zero within a name", "\x01\x00\x3d\x0d\x03\x00" + "\x06\x00x\x00\x00\x00y\x00"},
		{"a name longer than what came", "\x01\x00\x3d\x0d\x03\x00" + "\xff\xffx\x00"},
	} {
		_, err := parseChannelCreate([]byte(c.body))
		require.Error(t, err, c.name)
	}
	_, err := parseChannelCreate([]byte("\x32\x03\x3d\x0d\x03\x00" + names(53)))
	require.NoError(t, err)
}

// Every status of a refusal is one that FreeRDP takes for one.
func TestStatuses(t *testing.T) {
	for code, s := range statuses {
		require.NotEmpty(t, code.Text(), "%s is no code", code)
		require.Equal(t, code != reachback.CodeClosed, s>>31 == 1, "%s", code)
	}
	require.Equal(t, internalError, statusOf("a later version's"))
	for code, want := range map[reachback.Code]hresult{ // they tell the user what to do, so they differ
		reachback.CodeTokenExpired: 0x800759F8, reachback.CodeTokenReplayed: 0x800759FA,
		reachback.CodeKilled: 0x800759DB, reachback.CodeWrongResource: 0x800759DA, reachback.CodeNoHost: 0x800759DD,
	} {
		require.Equal(t, want, statusOf(code))
	}
}

func TestStatusesAreThoseOfTheSpecification(t *testing.T) {
	_, block, found := strings.Cut(spectest.Text(t), "```vectors statuses\n")
	require.True(t, found)
	block, _, _ = strings.Cut(block, "```")
	printed := make(map[reachback.Code]hresult)
	for line := range strings.Lines(block) {
		s, codes, _ := strings.Cut(strings.TrimSpace(line), ":")
		n, err := strconv.ParseUint(s, 0, 32)
		require.NoError(t, err)
		for c := range strings.FieldsSeq(codes) {
			printed[reachback.Code(c)] = hresult(n)
		}
	}
	require.Equal(t, printed, statuses)
}

func TestResponses(t *testing.T) {
	for _, c := range []struct{ want, got string }{
		{"0200000012000000" + "f9590780" + "0100" + "0000" + "0200", hex.EncodeToString(response(handshakeRequest, reachback.CodeTokenMissing))},
		{"0200000012000000" + "e9590780" + "0100" + "0000" + "0200", hex.EncodeToString(response(handshakeRequest, reachback.CodeVersionUnsupported))},
		{"0500000012000000" + "0000" + "f8590780" + "0000" + "0000", hex.EncodeToString(response(tunnelCreate, reachback.CodeTokenExpired))},
		{"0700000010000000" + "d8590780" + "0000" + "0000", hex.EncodeToString(response(tunnelAuth, reachback.CodeProtocolError))},
		{"0900000014000000" + "da590780" + "0100" + "0000" + "01000000", hex.EncodeToString(response(channelCreate, reachback.CodeWrongResource))},
	} {
		require.Equal(t, c.want, c.got)
	}
}

// requireStrips feeds stream to strip at once, in two parts cut anywhere, and byte by
// byte, and requires the same each time.
func requireStrips(t *testing.T, newStrip func() func([]byte) (int, []byte, error), stream, want, wantAnswer string, wantErr error) {
	t.Helper()
	run := func(parts ...string) (got, answer string, err error) {
		strip := newStrip()
		for _, p := range parts {
			b := []byte(p)
			n, a, err := strip(b)
			got, answer = got+string(b[:n]), answer+string(a)
			if err != nil {
				return got, answer, err
			}
		}
		return got, answer, nil
	}
	check := func(what string, parts ...string) {
		got, answer, err := run(parts...)
		require.Equal(t, want, got, what)
		require.Equal(t, wantAnswer, answer, what)
		require.Equal(t, wantErr, err, what)
	}
	check("at once", stream)
	for i := range len(stream) {
		check(fmt.Sprintf("cut at %d", i), stream[:i], stream[i:])
	}
	var bytewise []string
	for i := range len(stream) {
		bytewise = append(bytewise, stream[i:i+1])
	}
	check("byte by byte", bytewise...)
}

func TestUnpack(t *testing.T) {
	unpack := func() func([]byte) (int, []byte, error) { u := &unpacker{}; return u.strip }
	beat, bye := string(packet(0x0D, "")), string(closePacket("\x00\x00\x00\x00"))
	byeToo := string(newClose(closeChannelResponse, ok))
	for _, c := range []struct {
		name                 string
		stream, want, answer string
		err                  error
	}{
		{"packets joined", string(dataPacket("one")) + string(dataPacket("two")), "onetwo", "", nil},
		{"an empty one", string(dataPacket("")) + string(dataPacket("x")), "x", "", nil},
		{"bytes behind the data", string(packet(0x0A, counted("one")+"trail")) + string(dataPacket("two")), "onetwo", "", nil},
		{"keepalives are not answered", beat + string(dataPacket("one")) + beat, "one", "", nil},
		{"close is answered", string(dataPacket("one")) + bye, "one", byeToo, io.EOF},
		{"close without a status", string(dataPacket("one")) + string(packet(0x10, "")), "one", byeToo, io.EOF},
		{"the answer to a close of ours", string(packet(0x11, "\x00\x00\x00\x00")), "", "", io.EOF},
		{"more data than the packet holds", string(packet(0x0A, "\x04\x00one")), "", "", errPacket},
		{"DATA without a length", string(packet(0x0A, "\x04")), "", "", errPacket},
		{"another tunnel", string(createPacket("x")), "", "", errPacket},
		{"another channel", string(channelPacket("desktop")), "", "", errPacket},
		{"a packet of the server's", string(packet(0x09, "")), "", "", errPacket},
		{"of no type", string(packet(0, "")), "", "", errPacket},
	} {
		t.Run(c.name, func(t *testing.T) { requireStrips(t, unpack, c.stream, c.want, c.answer, c.err) })
	}
}

func TestDeframe(t *testing.T) {
	deframe := func() func([]byte) (int, []byte, error) { d := &deframer{}; return d.strip }
	frame := func(first byte, s string) string { return string(clientFrame(first, []byte(s))) }
	long := strings.Repeat("0123456789abcdef-", 20)
	huge := strings.Repeat("x", 70_000)
	pong := func(s string) string { return "\x8a" + string(rune(len(s))) + s }
	for _, c := range []struct {
		name                 string
		stream, want, answer string
		err                  error
	}{
		{"frames joined", frame(0x82, "one") + frame(0x82, "two"), "onetwo", "", nil},
		{"16 bits of length", frame(0x82, long), long, "", nil},
		{"a message in parts, with a ping within", frame(0x02, "one") + frame(0x89, "hi") + frame(0x00, "two") + frame(0x80, long), "onetwo" + long, pong("hi"), nil},
		{"pings joined", frame(0x89, "a") + frame(0x89, ""), "", pong("a") + pong(""), nil},
		{"a pong in answer to a close, as FreeRDP 2 sends it", frame(0x8A, "\x03\x68") + frame(0x82, "x"), "x", "", nil},
		{"empty frames", frame(0x82, "") + frame(0x82, "x"), "x", "", nil},
		{"close", frame(0x82, "x") + frame(0x88, "\x03\x68bye"), "x", "\x88\x02\x03\x68", io.EOF},
		{"close without a status", frame(0x88, ""), "", "\x88\x00", io.EOF},
		{"text", frame(0x81, "x"), "", "", errFrame},
		{"no mask", "\x82\x01x", "", "", errFrame},
		{"an extension", frame(0xC2, "x"), "", "", errFrame},
		{"an operation of no meaning", frame(0x83, "x"), "", "", errFrame},
		{"a part of nothing", frame(0x80, "x"), "", "", errFrame},
		{"a message within a message", frame(0x02, "x") + frame(0x82, "x"), "x", "", errFrame},
		{"a ping in parts", frame(0x09, "x"), "", "", errFrame},
		{"a long ping", frame(0x89, long), "", "", errFrame},
		{"a length with its first bit set", "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x01abcd", "", "", errFrame},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasSuffix(c.name, "length with its first bit set") {
				_, _, err := deframe()([]byte(c.stream))
				require.Equal(t, c.err, err)
				return
			}
			requireStrips(t, deframe, c.stream, c.want, c.answer, c.err)
		})
	}
	b := []byte(frame(0x82, huge))
	n, _, err := deframe()(b)
	require.NoError(t, err)
	require.Equal(t, huge, string(b[:n]))
}

// A frame of 2^63-1 bytes is read as it comes.
func TestD4_AFrameOfAnyLengthTakesNoMemory(t *testing.T) {
	d := &deframer{}
	head := []byte("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00")
	_, _, err := d.strip(head)
	require.NoError(t, err)
	b := make([]byte, 4096)
	require.Zero(t, testing.AllocsPerRun(10, func() {
		n, _, err := d.strip(b)
		if n != len(b) || err != nil {
			t.Fatal(n, err)
		}
	}))
}

// One piece with its headers is one TLS record.
func TestPiecesFitRecords(t *testing.T) {
	for name, f := range map[string]interface {
		Room() int
		MaxPiece() int
		Wrap(b []byte, n int) int
	}{"packets": &packetFraming{}, "WebSocket": &webSocketFraming{}, "bare RDP": &rawFraming{}} {
		require.Equal(t, 16384, f.Room()+f.MaxPiece(), name)
		for _, n := range []int{1, 115, 116, 125, 126, 127, f.MaxPiece()} {
			b := make([]byte, 16384)
			for i := range n {
				b[f.Room()+i] = byte(i)
			}
			want := slices.Clone(b[f.Room() : f.Room()+n])
			got := b[f.Wrap(b, n) : f.Room()+n]
			c := &client{t: t, ws: name != "packets", r: bufio.NewReader(bytes.NewReader(got))}
			if name == "bare RDP" {
				op, payload, err := c.readFrame()
				require.NoError(t, err)
				require.Equal(t, byte(2), op)
				require.Equal(t, want, payload)
				continue
			}
			kind, body, err := c.readPacket()
			require.NoError(t, err)
			require.Equal(t, 0x0A, kind)
			require.Equal(t, want, body[2:])
			require.Empty(t, c.frames)
			require.Zero(t, c.r.Buffered())
		}
	}
}

// FuzzPacket reads what a client may send in any way there is, and requires that it
// makes no difference where it was cut.
func FuzzPacket(f *testing.F) {
	for _, c := range bodies {
		f.Add([]byte(c.body), uint8(3))
	}
	f.Add(slices.Concat(dataPacket("one"), packet(0x0D, ""), dataPacket("two"), closePacket("\x00\x00\x00\x00")), uint8(9))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		parseHandshake(b)
		parseTunnelAuth(b)
		if s, err := parseTunnelCreate(b); err == nil {
			require.LessOrEqual(t, len(s), 3*len(b))
		}
		if c, err := parseChannelCreate(b); err == nil {
			require.NotEmpty(t, c.Names)
			c.pick("desktop")
		}
		requireSame(t, b, int(cut), func() func([]byte) (int, []byte, error) { u := &unpacker{}; return u.strip })
	})
}

func FuzzFrame(f *testing.F) {
	f.Add(slices.Concat(clientFrame(0x02, []byte("one")), clientFrame(0x89, []byte("p")), clientFrame(0x80, make([]byte, 300)), clientFrame(0x88, nil)), uint8(7))
	f.Add([]byte("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00data"), uint8(11))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		requireSame(t, b, int(cut), func() func([]byte) (int, []byte, error) { d := &deframer{}; return d.strip })
		requireSame(t, b, int(cut), func() func([]byte) (int, []byte, error) { w := &webSocketFraming{}; return w.Strip })
	})
}

// requireSame requires that a stream gives the same in one part and in two.
func requireSame(t *testing.T, stream []byte, cut int, newStrip func() func([]byte) (int, []byte, error)) {
	cut = min(cut, len(stream))
	whole := slices.Clone(stream)
	n, _, err := newStrip()(whole)
	require.LessOrEqual(t, n, len(stream))
	strip := newStrip()
	a, b := slices.Clone(stream[:cut]), slices.Clone(stream[cut:])
	m, _, aerr := strip(a)
	got := a[:m]
	if aerr == nil {
		m, _, aerr = strip(b)
		got = append(slices.Clip(got), b[:m]...)
	}
	require.Equal(t, whole[:n], got)
	require.Equal(t, err, aerr)
}
