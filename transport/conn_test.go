package transport

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/session"
)

// realLegs are two ends of a TLS connection on a loopback socket.
func realLegs(t testing.TB) (client, server *carrier.Conn) {
	t.Helper()
	cert, _, err := newKey()
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	var accepting sync.WaitGroup
	accepting.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		tc := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true})
		if tc.Handshake() == nil {
			server = &carrier.Conn{Conn: tc}
		}
	})
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	tc := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, tc.Handshake())
	accepting.Wait()
	require.NotNil(t, server)
	return &carrier.Conn{Conn: tc}, server
}

// framedPair is a framed session over real legs.
func framedPair(t testing.TB) (*Conn, *Conn) {
	t.Helper()
	a, b := realLegs(t)
	client, clientKey, err := newKey()
	require.NoError(t, err)
	host, hostKey, err := newKey()
	require.NoError(t, err)
	var answering sync.WaitGroup
	var h *session.Session
	answering.Go(func() { h, _ = openHost(context.Background(), b, host, clientKey, session.Config{}) })
	c, err := openClient(context.Background(), a, client, hostKey, session.Config{})
	require.NoError(t, err)
	answering.Wait()
	require.NotNil(t, h)
	return &Conn{stream: c}, &Conn{stream: h}
}

func TestConnIsANetConn(t *testing.T) {
	t.Run("framed", func(t *testing.T) {
		t.Parallel()
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
			a, b := framedPair(t)
			return a, b, func() { a.Close(); b.Close() }, nil
		})
	})
	t.Run("raw", func(t *testing.T) {
		t.Parallel()
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
			x, y := realLegs(t)
			cfg := session.Config{Linger: 10 * time.Millisecond}
			a, b := &Conn{stream: session.OpenRaw(x, cfg)}, &Conn{stream: session.OpenRaw(y, cfg)}
			return a, b, func() { a.Close(); b.Close() }, nil
		})
	})
}

// BenchmarkThroughput sends 64 KiB writes one way over real legs, through TLS in
// TLS as it is and through a session.
func BenchmarkThroughput(b *testing.B) {
	run := func(b *testing.B, w, r net.Conn) {
		const size = 64 << 10
		var reading sync.WaitGroup
		var got int64
		reading.Go(func() {
			buf := make([]byte, size)
			for {
				n, err := r.Read(buf)
				got += int64(n)
				if err != nil {
					return
				}
			}
		})
		p := make([]byte, size)
		var sent int64
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			n, err := w.Write(p)
			require.NoError(b, err)
			sent += int64(n)
		}
		require.NoError(b, w.(interface{ CloseWrite() error }).CloseWrite())
		reading.Wait()
		require.Equal(b, sent, got)
	}
	b.Run("tls in tls", func(b *testing.B) {
		x, y := realLegs(b)
		cert, _, err := newKey()
		require.NoError(b, err)
		c := tls.Client(x, &tls.Config{InsecureSkipVerify: true})
		s := tls.Server(y, &tls.Config{Certificates: []tls.Certificate{cert}})
		var handshaking sync.WaitGroup
		handshaking.Go(func() { s.Handshake() })
		require.NoError(b, c.Handshake())
		handshaking.Wait()
		run(b, c, s)
		c.Close()
		s.Close()
	})
	b.Run("session", func(b *testing.B) {
		x, y := framedPair(b)
		run(b, x, y)
		x.Close()
		y.Close()
	})
}
