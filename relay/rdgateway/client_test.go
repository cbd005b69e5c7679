package rdgateway

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
)

// A client is a stock client as the tests have it, written by hand from the public
// specification: what it sends is in no part made by the code under test.
type client struct {
	t   testing.TB
	out *tls.Conn
	in  *tls.Conn // where there are two connections
	r   *bufio.Reader
	ws  bool

	frames []byte // what the WebSocket's frames have carried, not taken yet
	closed int    // the status of the server's Close frame
	opened bool   // DATA may come
	data   []byte // of DATA packets, not read yet
	beats  int    // keepalives of the server
}

// dial opens a TLS connection to the gateway as stock clients do.
func (w *world) dial() *tls.Conn {
	w.t.Helper()
	nc, err := w.net.Dial(w.t.Context(), "tcp", "gw.example:443")
	require.NoError(w.t, err)
	w.t.Cleanup(func() { nc.Close() })
	c := tls.Client(nc, &tls.Config{RootCAs: w.roots, ServerName: "gw.example", MaxVersion: w.version})
	require.NoError(w.t, c.Handshake())
	return c
}

// request is a head as FreeRDP sends it, with these further lines.
func request(method, path string, more ...string) string {
	lines := append([]string{method + " " + path + " HTTP/1.1", "Host: gw.example", "Accept: */*", "User-Agent: MS-RDGateway/1.0",
		"Cache-Control: no-cache", "Pragma: no-cache"}, more...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

func webSocketRequest(more ...string) string {
	return request(methodOut, Path, append([]string{"Connection: Upgrade", "Upgrade: websocket", "Sec-Websocket-Version: 13",
		"Sec-Websocket-Key: NRTMLQ\\ML_GJI_K", "RDG-Auth-Scheme: PAA", "Content-Length: 0"}, more...)...)
}

func halfRequest(method, id string, more ...string) string {
	return request(method, Path, append([]string{"Connection: Keep-Alive", "RDG-Connection-Id: " + id, "RDG-Auth-Scheme: PAA"}, more...)...)
}

// webSocket opens a tunnel in a WebSocket.
func (w *world) webSocket() *client {
	w.t.Helper()
	c := &client{t: w.t, out: w.dial(), ws: true}
	c.r = bufio.NewReader(c.out)
	c.write(c.out, webSocketRequest("RDG-Connection-Id: "+newConnectionID()))
	require.Equal(w.t, http.StatusSwitchingProtocols, c.head().StatusCode)
	return c
}

// twoConnections opens a tunnel as clients without WebSocket do.
func (w *world) twoConnections() *client {
	w.t.Helper()
	c := &client{t: w.t}
	id := newConnectionID()
	c.openOut(w, id)
	c.openIn(w, id)
	return c
}

func (c *client) openOut(w *world, id string) {
	c.t.Helper()
	c.out = w.dial()
	c.r = bufio.NewReader(c.out)
	c.write(c.out, halfRequest(methodOut, id, "Content-Length: 0"))
	resp := c.head()
	require.Equal(c.t, http.StatusOK, resp.StatusCode)
	require.Equal(c.t, int64(-1), resp.ContentLength)
	require.Empty(c.t, resp.TransferEncoding)
	_, err := io.ReadFull(c.r, make([]byte, 10))
	require.NoError(c.t, err)
}

func (c *client) openIn(w *world, id string) {
	c.t.Helper()
	c.in = w.dial()
	c.write(c.in, halfRequest(methodIn, id, "Content-Length: 0"))
	resp, err := http.ReadResponse(bufio.NewReader(c.in), nil)
	require.NoError(c.t, err)
	require.Equal(c.t, http.StatusOK, resp.StatusCode)
	require.Zero(c.t, resp.ContentLength)
	c.write(c.in, halfRequest(methodIn, id, "Transfer-Encoding: chunked"))
}

func newConnectionID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return fmt.Sprintf("{%x-%x-%x-%x-%x}", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (c *client) write(to io.Writer, s string) {
	c.t.Helper()
	_, err := io.WriteString(to, s)
	require.NoError(c.t, err)
}

// head reads the answer's head.
func (c *client) head() *http.Response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: "GET"})
	require.NoError(c.t, err)
	return resp
}

// send sends packets in one frame or chunk.
func (c *client) send(packets ...[]byte) {
	c.t.Helper()
	c.sendBytes([]byte(strings.Join(asStrings(packets), "")))
}

func asStrings(bs [][]byte) (s []string) {
	for _, b := range bs {
		s = append(s, string(b))
	}
	return s
}

// sendBytes sends b in one frame or chunk.
func (c *client) sendBytes(b []byte) {
	c.t.Helper()
	if c.ws {
		c.write(c.out, string(clientFrame(0x82, b)))
		return
	}
	c.write(c.in, fmt.Sprintf("%x\r\n%s\r\n", len(b), b))
}

// clientFrame is a masked frame whose first byte is given.
func clientFrame(first byte, b []byte) []byte {
	f := []byte{first}
	switch n := len(b); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	case n < 1<<16:
		f = binary.BigEndian.AppendUint16(append(f, 0x80|126), uint16(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x11, 0x22, 0x33, 0x44}
	f = append(f, mask[:]...)
	for i, x := range b {
		f = append(f, x^mask[i%4])
	}
	return f
}

// readFrame reads a frame of the server, which must be whole and unmasked.
func (c *client) readFrame() (op byte, payload []byte, err error) {
	var h [2]byte
	if _, err := io.ReadFull(c.r, h[:]); err != nil {
		return 0, nil, err
	}
	require.Equal(c.t, byte(0x80), h[0]&0xF0, "final, no extension")
	require.Zero(c.t, h[1]&0x80, "unmasked")
	n := int(h[1])
	require.NotEqual(c.t, 127, n, "a frame longer than a record")
	if n == 126 {
		var l [2]byte
		if _, err := io.ReadFull(c.r, l[:]); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(l[:]))
		require.GreaterOrEqual(c.t, n, 126, "the shortest form of a length")
	}
	if h[0]&0x0F == 0x9 {
		require.NotZero(c.t, n, "an empty Ping")
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.r, payload)
	return h[0] & 0x0F, payload, err
}

// Read reads the stream of packets.
func (c *client) readPackets(p []byte) (int, error) {
	if !c.ws {
		return c.r.Read(p)
	}
	for len(c.frames) == 0 {
		op, payload, err := c.readFrame()
		if err != nil {
			return 0, err
		}
		switch op {
		case 0x2:
			c.frames = payload
		case 0x8:
			c.closed = int(binary.BigEndian.Uint16(payload))
		case 0xA:
		default:
			require.Fail(c.t, "an unexpected frame")
		}
	}
	n := copy(p, c.frames)
	c.frames = c.frames[n:]
	return n, nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// readPacket reads the server's next packet.
func (c *client) readPacket() (t int, body []byte, err error) {
	r := readerFunc(c.readPackets)
	var h [8]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	require.Zero(c.t, binary.LittleEndian.Uint16(h[2:]))
	n := binary.LittleEndian.Uint32(h[4:])
	require.GreaterOrEqual(c.t, n, uint32(8))
	require.LessOrEqual(c.t, n, uint32(16384))
	body = make([]byte, n-8)
	_, err = io.ReadFull(r, body)
	return int(binary.LittleEndian.Uint16(h[:])), body, err
}

// expect reads a packet of that type, and returns it as hexadecimal digits.
func (c *client) expect(t int) string {
	c.t.Helper()
	got, body, err := c.readPacket()
	require.NoError(c.t, err)
	require.Equal(c.t, t, got, "packet type; body %x", body)
	return hex.EncodeToString(body)
}

// Packets as FreeRDP sends them.

func packet(t int, body string) []byte {
	b := binary.LittleEndian.AppendUint16(nil, uint16(t))
	b = append(b, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(8+len(body)))
	return append(b, body...)
}

func utf16z(s string) string {
	var b []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

func counted(s string) string {
	return string(binary.LittleEndian.AppendUint16(nil, uint16(len(s)))) + s
}

func handshakePacket() []byte { return packet(1, "\x01\x00\x00\x00\x02\x00") }
func createPacket(tok string) []byte {
	return packet(4, "\x0d\x00\x00\x00"+"\x01\x00\x00\x00"+counted(utf16z(tok)))
}
func authPacket() []byte { return packet(6, "\x00\x00"+counted(utf16z("laptop"))) }
func channelPacket(name string) []byte {
	return packet(8, "\x01\x00"+"\x3d\x0d"+"\x03\x00"+counted(utf16z(name)))
}
func dataPacket(b string) []byte       { return packet(0x0A, counted(b)) }
func closePacket(status string) []byte { return packet(0x10, status) }

// setUp goes up to the packet that names the resource, which it does not send.
func (c *client) setUp(tok string) {
	c.t.Helper()
	c.send(handshakePacket())
	require.Equal(c.t, "00000000"+"0100"+"0000"+"0200", c.expect(2))
	c.send(createPacket(tok))
	require.Equal(c.t, "0000"+"00000000"+"0300"+"0000"+"01000000"+"02000000", c.expect(5))
	c.send(authPacket())
	require.Equal(c.t, "00000000"+"0300"+"0000"+"00000080"+"00000000", c.expect(7))
}

// open goes on until the channel is open, with w's host.
func (c *client) open(tok, name string) {
	c.t.Helper()
	c.setUp(tok)
	c.send(channelPacket(name))
	c.opens()
}

func (c *client) opens() {
	c.t.Helper()
	require.Equal(c.t, "00000000"+"0100"+"0000"+"01000000", c.expect(9))
	c.opened = true
}

// Read and Write are for the session's bytes, once the channel is open.

func (c *client) Read(p []byte) (int, error) {
	for len(c.data) == 0 {
		t, body, err := c.readPacket()
		if err != nil {
			return 0, err
		}
		switch t {
		case 0x0A:
			require.Equal(c.t, len(body)-2, int(binary.LittleEndian.Uint16(body)))
			c.data = body[2:]
		case 0x0D:
			require.Empty(c.t, body)
			c.beats++
		case 0x10:
			return 0, closedWith(binary.LittleEndian.Uint32(body))
		default:
			require.Fail(c.t, "an unexpected packet", "type %d", t)
		}
	}
	n := copy(p, c.data)
	c.data = c.data[n:]
	return n, nil
}

func (c *client) Write(p []byte) (int, error) {
	c.send(dataPacket(string(p)))
	return len(p), nil
}

// closedWith is the status of a CLOSE_CHANNEL.
type closedWith uint32

func (s closedWith) Error() string { return fmt.Sprintf("closed with 0x%08X", uint32(s)) }

// requireClosed requires that the server closes the connection without anything
// more, within a second.
func (c *client) requireClosed() {
	c.t.Helper()
	c.out.SetReadDeadline(time.Now().Add(time.Second))
	for {
		_, _, err := c.readPacket()
		if err != nil {
			var ne net.Error
			if e, ok := err.(net.Error); ok {
				ne = e
			}
			require.False(c.t, ne != nil && ne.Timeout(), "still open")
			return
		}
	}
}

// quit closes the connections, as FreeRDP ends a session.
func (c *client) quit() {
	c.out.Close()
	if c.in != nil {
		c.in.Close()
	}
}

// requireQuiet requires that the server sends nothing for a while, and does not close.
func (c *client) requireQuiet() {
	c.t.Helper()
	c.out.SetReadDeadline(time.Now().Add(5 * time.Second))
	defer c.out.SetReadDeadline(time.Time{})
	_, err := c.r.Peek(1)
	var ne net.Error
	require.ErrorAs(c.t, err, &ne)
	require.True(c.t, ne.Timeout(), "%v", err)
}

func rawRequest(more ...string) string {
	return request("GET", RawPath, append([]string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, more...)...)
}
