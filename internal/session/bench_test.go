package session

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tlsPath is a path over TLS on a real loopback socket.
type tlsPath struct{ *tls.Conn }

func (p tlsPath) Abort() error { return p.NetConn().Close() }

// tlsPaths returns the two ends of a TLS connection.
func tlsPaths(t testing.TB) (tlsPath, tlsPath) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	accepted := make(chan *tls.Conn, 1)
	go func() {
		defer close(accepted)
		c, err := l.Accept()
		if err != nil {
			return
		}
		s := tls.Server(c, &tls.Config{
			Certificates:                []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
			SessionTicketsDisabled:      true,
			DynamicRecordSizingDisabled: true,
		})
		if s.Handshake() == nil {
			accepted <- s
		}
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true})
	require.NoError(t, c.Handshake())
	s := <-accepted
	require.NotNil(t, s)
	return tlsPath{c}, tlsPath{s}
}

// BenchmarkThroughput sends 64 KiB writes one way over TLS on loopback, as they
// are and through the sessions.
func BenchmarkThroughput(b *testing.B) {
	run := func(b *testing.B, w, r net.Conn) {
		const size = 64 << 10
		done := make(chan int64)
		go func() {
			buf := make([]byte, size)
			var n int64
			for {
				k, err := r.Read(buf)
				n += int64(k)
				if err != nil {
					done <- n
					return
				}
			}
		}()
		p := make([]byte, size)
		b.SetBytes(size)
		b.ReportAllocs()
		var sent int64
		for b.Loop() {
			n, err := w.Write(p)
			if err != nil {
				b.Fatal(err)
			}
			sent += int64(n)
		}
		require.NoError(b, w.(interface{ CloseWrite() error }).CloseWrite())
		require.Equal(b, sent, <-done)
		b.StopTimer()
	}
	b.Run("tls", func(b *testing.B) {
		c, s := tlsPaths(b)
		defer s.Close()
		defer c.Close()
		run(b, c, s)
	})
	b.Run("framed", func(b *testing.B) {
		c, s := tlsPaths(b)
		x, y := open(b, c, s, Config{}, Config{})
		defer y.Close()
		defer x.Close()
		run(b, x, y)
	})
	b.Run("raw", func(b *testing.B) {
		c, s := tlsPaths(b)
		x, y := OpenRaw(c, Config{Linger: time.Millisecond}), OpenRaw(s, Config{Linger: time.Millisecond})
		defer y.Close()
		defer x.Close()
		run(b, x, y)
	})
}

// BenchmarkRoundTrip sends 64 bytes there and back over TLS on loopback.
func BenchmarkRoundTrip(b *testing.B) {
	run := func(b *testing.B, c, s net.Conn) {
		go io.Copy(s, struct{ io.Reader }{s})
		p := make([]byte, 64)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Write(p); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(c, p); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("tls", func(b *testing.B) {
		c, s := tlsPaths(b)
		defer s.Close()
		defer c.Close()
		run(b, c, s)
	})
	b.Run("framed", func(b *testing.B) {
		c, s := tlsPaths(b)
		x, y := open(b, c, s, Config{}, Config{})
		defer y.Close()
		defer x.Close()
		run(b, x, y)
	})
}
