package rdgateway

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/identity"
)

// The attack cases go through every way in: both transports of the RD Gateway
// protocol, and bare RDP in a WebSocket. A way in ends where its client has a
// session or a refusal.
var ways = []struct {
	name string
	call func(w *world, tok string) (io.ReadWriter, refused)
}{
	{"WebSocket", func(w *world, tok string) (io.ReadWriter, refused) { return w.callTunnel(true, tok) }},
	{"two connections", func(w *world, tok string) (io.ReadWriter, refused) { return w.callTunnel(false, tok) }},
	{"bare RDP", (*world).callRaw},
}

// refused is what a client was told, if its call was refused: a code where HTTP
// carries it, a status elsewhere.
type refused struct {
	code   reachback.Code
	status hresult
}

func inWays(t *testing.T, f func(t *testing.T, w *world, call func(tok string) (io.ReadWriter, refused))) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				f(t, w, func(tok string) (io.ReadWriter, refused) { return way.call(w, tok) })
			})
		})
	}
}

// require requires that the refusal is that of a code, as its client sees it, and
// that FreeRDP takes it for a failure.
func (r refused) require(t testing.TB, want reachback.Code, msg ...any) {
	t.Helper()
	if r.code != "" {
		require.Equal(t, want, r.code, msg...)
		return
	}
	require.Equal(t, statusOf(want), r.status, msg...)
	require.NotZero(t, r.status>>31, "a failure")
}

// callTunnel calls for "desktop" through a tunnel.
func (w *world) callTunnel(ws bool, tok string) (io.ReadWriter, refused) {
	w.t.Helper()
	c := &client{t: w.t, ws: ws}
	id := newConnectionID()
	head := webSocketRequest("RDG-Connection-Id: " + id)
	if !ws {
		head = halfRequest(methodOut, id, "Content-Length: 0")
	}
	c.dial(w, head)
	if resp := c.head(); resp.StatusCode >= 300 {
		defer c.quit()
		return nil, refused{code: reachback.CodeOf(carrier.ReadRefusal(resp))}
	}
	if !ws {
		_, err := io.ReadFull(c.r, make([]byte, seedLen))
		require.NoError(w.t, err)
		c.openIn(w, id)
	}
	for _, p := range [][]byte{handshakePacket(), createPacket(tok), authPacket(), channelPacket("desktop")} {
		c.send(p)
		kind := int(p[0]) + 1
		if s := status(w.t, kind, c.expect(kind)); s != ok {
			c.requireClosed()
			c.quit()
			return nil, refused{status: s}
		}
	}
	c.opened = true
	return c, refused{}
}

// callRaw calls with bare RDP.
func (w *world) callRaw(tok string) (io.ReadWriter, refused) {
	w.t.Helper()
	c := &client{t: w.t, ws: true}
	c.dial(w, rawRequest("Authorization: Bearer "+tok))
	resp := c.head()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer c.quit()
		return nil, refused{code: reachback.CodeOf(carrier.ReadRefusal(resp))}
	}
	return bare{c}, refused{}
}

// dial sends a head on a new connection.
func (c *client) dial(w *world, head string) {
	c.out = w.dial()
	c.r = bufio.NewReader(c.out)
	c.write(c.out, head)
}

// bare is a client of bare RDP as its session.
type bare struct{ *client }

func (b bare) Read(p []byte) (int, error) { return b.readPackets(p) }
func (b bare) Write(p []byte) (int, error) {
	b.sendBytes(p)
	return len(p), nil
}

// quit ends a session as its client does.
func quit(s io.ReadWriter) {
	switch c := s.(type) {
	case *client:
		c.quit()
	case bare:
		c.quit()
	}
}

// requireNothingLeft requires that neither the door nor the relay holds anything.
func requireNothingLeft(t *testing.T, w *world) {
	t.Helper()
	synctest.Wait()
	requireNothingHeld(t, w)
	require.Zero(t, w.relay.Stats().Waiting)
	require.Zero(t, w.relay.Stats().Joined)
}

// hosts gives the world a host CA of which several hosts are, instead of its own.
func (w *world) hosts(ids ...string) (certs []*tls.Certificate) {
	ca := newAuthority(w.t)
	w.trust.HostCA = ca.pool()
	for _, id := range ids {
		certs = append(certs, ca.issue(w.t, x509.ExtKeyUsageClientAuth, func(c *x509.Certificate) { c.URIs = []*url.URL{identity.HostURI(id)} }))
	}
	w.host = certs[0]
	return certs
}
