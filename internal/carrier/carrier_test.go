package carrier

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/simnet"
)

// A far is the server's end of one scripted connection.
type far struct {
	network simnet.Network
	cert    tls.Certificate
	roots   *x509.CertPool
}

func newFar(t *testing.T) *far {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"far.example"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	f := &far{cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots: x509.NewCertPool()}
	f.roots.AddCert(leaf)
	return f
}

// serve runs script on the one connection that is accepted. The caller waits for
// it by the end of the bubble.
func (f *far) serve(t *testing.T, script func(nc net.Conn, tc *tls.Conn)) {
	t.Helper()
	l, err := f.network.Listen("far.example:443")
	require.NoError(t, err)
	go func() {
		defer l.Close()
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		script(nc, tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{f.cert}, NextProtos: []string{"http/1.1"}}))
	}()
	t.Cleanup(func() { l.Close() })
}

func (f *far) upgrade(ctx context.Context) (*Conn, error) {
	d := &Dialer{TLS: &tls.Config{RootCAs: f.roots}, NetDial: f.network.Dial}
	return d.Upgrade(ctx, "https://far.example/base/", PathCall, nil, nil, reachback.CodeGatewayUnreachable)
}

const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: reachback\r\nReachback-Correlation-Id: cid\r\n\r\n"

func TestUpgradeDeliversWhatFollowsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t)
		path := make(chan string, 1)
		f.serve(t, func(_ net.Conn, tc *tls.Conn) {
			r, err := http.ReadRequest(bufio.NewReader(tc))
			if err == nil {
				path <- r.URL.Path
			}
			io.WriteString(tc, switched+"right behind, ")
			io.WriteString(tc, "and later")
			tc.Close()
		})
		c, err := f.upgrade(t.Context())
		require.NoError(t, err)
		require.Equal(t, "/base"+PathCall, <-path)
		require.Equal(t, "cid", c.Header.Get(HeaderCorrelation))
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "right behind, and later", string(got))
		c.Close()
	})
}

func TestUpgradeFails(t *testing.T) {
	answer := func(s string) func(net.Conn, *tls.Conn) {
		return func(_ net.Conn, tc *tls.Conn) {
			http.ReadRequest(bufio.NewReader(tc))
			io.WriteString(tc, s)
			io.Copy(io.Discard, tc)
		}
	}
	for _, tt := range []struct {
		name   string
		script func(nc net.Conn, tc *tls.Conn)
		want   reachback.Code
		took   time.Duration
	}{
		{"a refusal", answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 23\r\n\r\n{\"code\":\"wrong_host\"}\r\n"), reachback.CodeWrongHost, 0},
		{"another server's page", answer("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"), reachback.CodeProtocolError, 0},
		{"another protocol", answer("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), reachback.CodeProtocolError, 0},
		{"an endless head", func(_ net.Conn, tc *tls.Conn) {
			io.WriteString(tc, "HTTP/1.1 101 Switching Protocols\r\n")
			for {
				if _, err := fmt.Fprintf(tc, "X: %s\r\n", strings.Repeat("x", 1000)); err != nil {
					return
				}
			}
		}, reachback.CodeGatewayUnreachable, 0},
		{"no TLS", func(nc net.Conn, _ *tls.Conn) { io.WriteString(nc, "SSH-2.0-OpenSSH_9.9\r\n") }, reachback.CodeGatewayUnreachable, 0},
		{"silence below TLS", func(nc net.Conn, _ *tls.Conn) { io.Copy(io.Discard, nc) }, reachback.CodeGatewayUnreachable, HandshakeTimeout},
		{"silence after TLS", func(_ net.Conn, tc *tls.Conn) { io.Copy(io.Discard, tc) }, reachback.CodeGatewayUnreachable, 20 * time.Second},
		{"cut before the answer", func(nc net.Conn, tc *tls.Conn) { tc.Handshake() }, reachback.CodeGatewayUnreachable, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFar(t)
				f.serve(t, tt.script)
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				_, err := f.upgrade(ctx)
				require.Equal(t, tt.want, reachback.CodeOf(err), "%v", err)
				require.Equal(t, tt.took, time.Since(start))
			})
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		_, err := newFar(t).upgrade(t.Context())
		require.Equal(t, reachback.CodeGatewayUnreachable, reachback.CodeOf(err))
	})
	t.Run("another authority", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFar(t)
			f.serve(t, func(_ net.Conn, tc *tls.Conn) { tc.Handshake() })
			f.roots = newFar(t).roots
			_, err := f.upgrade(t.Context())
			require.Equal(t, reachback.CodeCertificateUntrusted, reachback.CodeOf(err))
		})
	})
	t.Run("not a URL of ours", func(t *testing.T) {
		for _, base := range []string{"", "http://far.example", "https://", "https://user:pw@far.example", "::"} {
			_, err := (&Dialer{}).Upgrade(t.Context(), base, PathCall, nil, nil, reachback.CodeGatewayUnreachable)
			require.Equal(t, reachback.CodeBadRequest, reachback.CodeOf(err), base)
		}
	})
}

// An end of the transport without TLS's goodbye is never a regular end.
func TestStrict(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(nc net.Conn, tc *tls.Conn)
		ok   bool
	}{
		{"close_notify", func(_ net.Conn, tc *tls.Conn) { tc.Close() }, true},
		{"half-close", func(_ net.Conn, tc *tls.Conn) { tc.CloseWrite() }, true},
		{"the process was killed", func(nc net.Conn, _ *tls.Conn) { nc.Close() }, false},
		{"abort", func(_ net.Conn, tc *tls.Conn) { (&Conn{Conn: tc}).Abort() }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFar(t)
				f.serve(t, func(nc net.Conn, tc *tls.Conn) {
					http.ReadRequest(bufio.NewReader(tc))
					io.WriteString(tc, switched+"data")
					tt.end(nc, tc)
				})
				c, err := f.upgrade(t.Context())
				require.NoError(t, err)
				got, err := io.ReadAll(c)
				require.Equal(t, "data", string(got))
				require.Equal(t, tt.ok, err == nil, "%v", err)
				c.Abort()
			})
		})
	}
}

func TestProxyOfTheEnvironmentIsUsed(t *testing.T) {
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer proxy.Close()
	asked := make(chan *http.Request, 1)
	go func() {
		c, err := proxy.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err == nil {
			asked <- r
		}
		io.WriteString(c, "HTTP/1.1 403 Not For You\r\n\r\n")
	}()
	t.Setenv("HTTPS_PROXY", "http://alice:pw@"+proxy.Addr().String())
	t.Setenv("NO_PROXY", "")
	_, err = (&Dialer{}).Upgrade(t.Context(), "https://far.example", PathCall, nil, nil, reachback.CodeGatewayUnreachable)
	require.Equal(t, reachback.CodeGatewayUnreachable, reachback.CodeOf(err))
	require.ErrorContains(t, err, "403 Not For You")
	r := <-asked
	require.Equal(t, http.MethodConnect, r.Method)
	require.Equal(t, "far.example:443", r.Host)
	require.Equal(t, "Basic YWxpY2U6cHc=", r.Header.Get("Proxy-Authorization"))
}
