package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/simnet"
)

const spliceTimeout = 2 * time.Minute

// A peer is the far end of a leg.
type peer struct {
	net.Conn
	wire *peerWire
}

func (p *peer) CloseWrite() error { return p.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// peerWire is what a peer's TLS runs over. Unlike crypto/tls by itself it does not
// take the end of the connection for the end of the stream.
type peerWire struct{ net.Conn }

var errBareEnd = errors.New("ended without close_notify")

func (w *peerWire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err == io.EOF {
		err = errBareEnd
	}
	return n, err
}

// A kind of leg is made of the two ends of a transport connection.
type legKind struct {
	name     string
	make     func(t *testing.T, near, far net.Conn) (leg net.Conn, far2 *peer)
	takeOver bool // the relay takes the records over
}

// splice joins two legs as the relay joins legs of that kind.
func (k legKind) splice(t *testing.T, client, host net.Conn, o spliceOptions) spliceResult {
	if !k.takeOver {
		return splice(client, host, o)
	}
	var legs [2]*recordLeg
	for i, c := range []net.Conn{client, host} {
		var err error
		if !canTakeOver(c.(*carrier.Conn)) {
			t.Error("the records cannot be taken over")
		} else if legs[i], err = takeOver(c.(*carrier.Conn), o.WriteTimeout); err != nil {
			t.Error(err)
		}
	}
	return spliceRecords(legs[0], legs[1], o)
}

var (
	recordLegs = legKind{"records taken over", wiredLeg, true}
	wiredLegs  = legKind{"over a wire", wiredLeg, false}
	tlsLegs    = legKind{"TLS of another listener", tlsLeg, false}
	bareLegs   = legKind{"without TLS", func(t *testing.T, near, far net.Conn) (net.Conn, *peer) {
		return near, &peer{far, &peerWire{far}}
	}, false}
	legKinds = []legKind{recordLegs, wiredLegs, tlsLegs, bareLegs}
)

func wiredLeg(t *testing.T, near, far net.Conn) (net.Conn, *peer) {
	return tlsLeg(t, &wire{Conn: near}, far)
}

func tlsLeg(t *testing.T, near, far net.Conn) (net.Conn, *peer) {
	return tlsLegWith(t, near, far, &tls.Config{InsecureSkipVerify: true}) // who it is, other tests check
}

func tlsLegWith(t *testing.T, near, far net.Conn, cfg *tls.Config) (net.Conn, *peer) {
	s := serverLeg(t, near)
	w := &peerWire{far}
	c := tls.Client(w, cfg)
	var hand sync.WaitGroup
	hand.Go(func() { s.Handshake() })
	require.NoError(t, c.Handshake())
	hand.Wait()
	return s, &peer{c, w}
}

// serverLeg is a relay's end of a leg before its handshake.
func serverLeg(t *testing.T, near net.Conn) *carrier.Conn {
	cert := newAuthority(t).issue(t, func(c *x509.Certificate) {
		c.DNSNames = []string{"gw.example"}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	cfg := &tls.Config{Certificates: []tls.Certificate{*cert}, SessionTicketsDisabled: true}
	return &carrier.Conn{Conn: tls.Server(near, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return offerHandover(hello, cfg), nil
	}})}
}

// A splicing is a running splice with its far ends.
type splicing struct {
	client, host *peer
	result       chan spliceResult
	up, down     atomic.Int64
}

func (s *splicing) clientEnd() *peer { return s.client }
func (s *splicing) hostEnd() *peer   { return s.host }

func startSplice(t *testing.T, k legKind, connect func() (near, far net.Conn)) *splicing {
	s := &splicing{result: make(chan spliceResult, 1)}
	near, far := connect()
	cl, client := k.make(t, near, far)
	near, far = connect()
	hl, host := k.make(t, near, far)
	s.client, s.host = client, host
	t.Cleanup(func() {
		client.wire.Close()
		host.wire.Close()
	})
	go func() {
		s.result <- k.splice(t, cl, hl, spliceOptions{WriteTimeout: spliceTimeout, ToHost: &s.up, ToClient: &s.down})
	}()
	return s
}

func simulated() (near, far net.Conn) { return simnet.Pipe("relay:443", "peer:1") }

// loopback is a connection of real sockets.
func loopback(t *testing.T) func() (near, far net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return func() (net.Conn, net.Conn) {
		far, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		near, err := l.Accept()
		require.NoError(t, err)
		return near, far
	}
}

// inSplice runs f in virtual time for each kind of leg. No goroutine may be left.
func inSplice(t *testing.T, f func(t *testing.T, k legKind, s *splicing)) {
	for _, k := range legKinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, k, startSplice(t, k, simulated)) })
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
