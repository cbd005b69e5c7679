package transport

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/spectest"
	"github.com/reachback/reachback/internal/token"
)

// A liar is a gateway of the test's making, with a broker that is honest: it signs
// the connection token and, when asked, grants.
type liar struct {
	w       *world
	signing ed25519.PrivateKey
	keys    []byte
	claims  token.Connection // of the token given last
	calls   int
	// call answers a call that was made with nonce; it owns the leg.
	call func(leg *carrier.Conn, nonce string)
}

const liarURL = "https://liar.example"

func newLiar(w *world, call func(leg *carrier.Conn, nonce string)) *liar {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(w.t, err)
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "k1", Algorithm: "EdDSA"}}})
	require.NoError(w.t, err)
	l := &liar{w: w, signing: private, keys: keys, call: call}
	cert, err := w.broker.Keys.ServerCertificate("liar.example")
	require.NoError(w.t, err)
	stop := w.serve("liar.example:443", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != carrier.PathCall {
			rw.WriteHeader(http.StatusOK)
			return
		}
		l.calls++
		leg, err := carrier.Hijack(rw)
		if err != nil {
			return
		}
		l.call(leg, r.Header.Get(carrier.HeaderNonce))
	}), cert)
	w.t.Cleanup(stop)
	return l
}

func (l *liar) connect(_ context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
	l.claims = token.Connection{
		ID: "jti", User: reachback.User{Issuer: "https://idp.example", Subject: "alice", Tenant: "lab"},
		Resource: resource, ClientKey: key, CorrelationID: "cid-1",
	}
	t, err := token.SignConnection("k1", l.signing, &l.claims, time.Now())
	return &reachback.Connection{Gateways: []string{liarURL}, Token: t, Keys: l.keys, CorrelationID: "cid-1"}, err
}

// grant is what the broker would say of the last call.
func (l *liar) grant(hostKey [32]byte) *reachback.Grant {
	return &reachback.Grant{
		User: "alice", Tenant: "lab", Resource: l.claims.Resource, Session: "s-1", CorrelationID: "cid-1",
		Host: "h-1", HostKey: hostKey, ClientKey: l.claims.ClientKey,
	}
}

// join answers 101 with a grant.
func (l *liar) join(leg *carrier.Conn, grant string) {
	leg.Switch(http.Header{carrier.HeaderGrant: {grant}, carrier.HeaderCorrelation: {"cid-1"}})
}

func (l *liar) sign(g *reachback.Grant, nonce string, at time.Time) string {
	s, err := token.SignGrant("k1", l.signing, g, nonce, at)
	require.NoError(l.w.t, err)
	return s
}

func (l *liar) dial(ctx context.Context) (net.Conn, error) {
	d := &Dialer{Connect: l.connect, Relay: l.w.relayDialer()}
	return d.DialContext(ctx, "tcp", "desktop")
}

// A gateway shows a grant that is not the answer to this call. The client refuses
// it before it sends a byte.
func TestG2_GrantsOfOtherCallsAreRefused(t *testing.T) {
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	for _, tt := range []struct {
		name  string
		want  reachback.Code
		grant func(l *liar, g *reachback.Grant, nonce string) string
	}{
		{"none", reachback.CodeGrantInvalid, func(l *liar, g *reachback.Grant, nonce string) string { return "" }},
		{"other nonce", reachback.CodeGrantMismatch, func(l *liar, g *reachback.Grant, nonce string) string {
			return l.sign(g, newNonce(), time.Now())
		}},
		{"no nonce", reachback.CodeGrantMismatch, func(l *liar, g *reachback.Grant, nonce string) string {
			return l.sign(g, "", time.Now())
		}},
		{"expired", reachback.CodeGrantExpired, func(l *liar, g *reachback.Grant, nonce string) string {
			return l.sign(g, nonce, time.Now().Add(-token.GrantLife-token.Leeway-2*time.Second))
		}},
		{"other user", reachback.CodeGrantMismatch, func(l *liar, g *reachback.Grant, nonce string) string {
			g.User = "mallory"
			return l.sign(g, nonce, time.Now())
		}},
		{"other tenant", reachback.CodeGrantMismatch, func(l *liar, g *reachback.Grant, nonce string) string {
			g.Tenant = ""
			return l.sign(g, nonce, time.Now())
		}},
		{"other resource", reachback.CodeGrantMismatch, func(l *liar, g *reachback.Grant, nonce string) string {
			g.Resource = "notepad"
			return l.sign(g, nonce, time.Now())
		}},
		{"other correlation id", reachback.CodeGrantMismatch, func(l *liar, g *reachback.Grant, nonce string) string {
			g.CorrelationID = "cid-2"
			return l.sign(g, nonce, time.Now())
		}},
		{"other client key", reachback.CodeGrantMismatch, func(l *liar, g *reachback.Grant, nonce string) string {
			g.ClientKey[0] ^= 1
			return l.sign(g, nonce, time.Now())
		}},
		{"raw", reachback.CodeGrantMismatch, func(l *liar, g *reachback.Grant, nonce string) string {
			g.Raw = true
			return l.sign(g, nonce, time.Now())
		}},
		{"raw without client key", reachback.CodeGrantMismatch, func(l *liar, g *reachback.Grant, nonce string) string {
			g.Raw, g.ClientKey = true, [32]byte{}
			return l.sign(g, nonce, time.Now())
		}},
		{"signed by another", reachback.CodeGrantInvalid, func(l *liar, g *reachback.Grant, nonce string) string {
			s, err := token.SignGrant("k1", stranger, g, nonce, time.Now())
			require.NoError(t, err)
			return s
		}},
		{"a connection token", reachback.CodeGrantInvalid, func(l *liar, g *reachback.Grant, nonce string) string {
			s, err := token.SignConnection("k1", l.signing, &l.claims, time.Now())
			require.NoError(t, err)
			return s
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				sent := make(chan int64, 1)
				var l *liar
				l = newLiar(w, func(leg *carrier.Conn, nonce string) {
					l.join(leg, tt.grant(l, l.grant([32]byte{1}), nonce))
					n, _ := io.Copy(io.Discard, leg)
					leg.Close()
					sent <- n
				})
				_, err := l.dial(t.Context())
				requireCode(t, tt.want, err)
				require.Equal(t, "cid-1", reachback.AsError(err).CorrelationID)
				require.Zero(t, <-sent)
			})
		})
	}
}

// The gateway has the client's token, the call and the grant, and makes the inner
// TLS itself, with a key of its own.
func TestG1_GatewayInTheClientsPlaceIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.listen(w.config())
		_, key, err := newKey()
		require.NoError(t, err)
		conn, err := w.connect(t.Context(), "desktop", key)
		require.NoError(t, err)
		a := &attempt{nonce: newNonce()}
		leg, err := w.relayDialer().Call(t.Context(), gateway, conn.Token, a.nonce)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(conn.Keys, &a.keys))
		g, err := token.VerifyGrant(&a.keys, leg.Grant, a.nonce, time.Now())
		require.NoError(t, err)

		own, _, err := newKey()
		require.NoError(t, err)
		s, err := openClient(t.Context(), leg, own, g.HostKey, sessionConfig)
		require.Nil(t, s)
		requireCode(t, reachback.CodeClientKeyMismatch, err)
		synctest.Wait()
		require.Empty(t, l.queue)
		require.Empty(t, handler{l}.Sessions())
	})
}

func TestG1_GatewayInTheHostsPlaceIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		own, _, err := newKey()
		require.NoError(t, err)
		_, hostKey, err := newKey()
		require.NoError(t, err)
		answered := make(chan error, 1)
		var l *liar
		l = newLiar(w, func(leg *carrier.Conn, nonce string) {
			l.join(leg, l.sign(l.grant(hostKey), nonce, time.Now()))
			_, err := openHost(t.Context(), leg, own, l.claims.ClientKey, sessionConfig)
			answered <- err
		})
		_, err = l.dial(t.Context())
		requireCode(t, reachback.CodeHostKeyMismatch, err)
		require.Error(t, <-answered)
	})
}

// A host that refuses after the handshake, when TLS has let the client go ahead.
func TestG14_ClientThatTheHostRefusesGetsNoConn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		host, hostKey, err := newKey()
		require.NoError(t, err)
		answered := make(chan error, 1)
		var l *liar
		l = newLiar(w, func(leg *carrier.Conn, nonce string) {
			l.join(leg, l.sign(l.grant(hostKey), nonce, time.Now()))
			_, err := openHost(t.Context(), leg, host, [32]byte{1}, sessionConfig)
			answered <- err
		})
		c, err := l.dial(t.Context())
		require.Nil(t, c)
		requireCode(t, reachback.CodeClientKeyMismatch, err)
		require.Equal(t, "cid-1", reachback.AsError(err).CorrelationID)
		requireCode(t, reachback.CodeClientKeyMismatch, <-answered)
	})
	inWorld(t, func(t *testing.T, w *world) {
		host, hostKey, err := newKey()
		require.NoError(t, err)
		closing, end := context.WithCancelCause(t.Context())
		var l *liar
		l = newLiar(w, func(leg *carrier.Conn, nonce string) {
			l.join(leg, l.sign(l.grant(hostKey), nonce, time.Now()))
			p := &innerPath{tls.Server(leg, hostConfig(host)), leg}
			require.NoError(t, p.Handshake())
			end(reachback.Refuse(reachback.CodeDraining))
			greet(closing, p, l.claims.ClientKey, sessionConfig)
		})
		_, err = l.dial(t.Context())
		requireCode(t, reachback.CodeDraining, err)
	})
}

func TestSilentHostIsGivenUpAfter10s(t *testing.T) {
	host, hostKey, err := newKey()
	require.NoError(t, err)
	for _, tt := range []struct {
		name string
		host func(leg *carrier.Conn)
	}{
		{"silent at once", func(leg *carrier.Conn) {}},
		{"silent after the handshake", func(leg *carrier.Conn) { tls.Server(leg, hostConfig(host)).Handshake() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				ended := make(chan struct{})
				var l *liar
				l = newLiar(w, func(leg *carrier.Conn, nonce string) {
					defer close(ended)
					l.join(leg, l.sign(l.grant(hostKey), nonce, time.Now()))
					tt.host(leg)
					io.Copy(io.Discard, leg)
					leg.Close()
				})
				start := time.Now()
				_, err := l.dial(t.Context())
				requireCode(t, reachback.CodePathLost, err)
				require.Equal(t, setupTimeout, time.Since(start))
				<-ended
			})
		})
	}
}

// Whoever holds the leg must speak exactly our TLS, even if he goes on as he should.
func TestInnerTLSTakesNoOtherTLS(t *testing.T) {
	host, hostKey, err := newKey()
	require.NoError(t, err)
	client, clientKey, err := newKey()
	require.NoError(t, err)
	hello := spectest.Vectors(t, "session")[0].Bytes
	for _, tt := range []struct {
		name   string
		change func(c *tls.Config)
	}{
		{"version 1.2", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }},
		{"no ALPN", func(c *tls.Config) { c.NextProtos = nil }},
		{"other ALPN", func(c *tls.Config) { c.NextProtos = []string{"h2"} }},
		{"no certificate", func(c *tls.Config) { c.Certificates = nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := legs()
				go func() {
					c := innerConfig(client)
					c.InsecureSkipVerify = true
					tt.change(c)
					tc := tls.Client(a, c)
					tc.Write(hello)
					io.Copy(io.Discard, tc)
					a.Close()
				}()
				_, err := openHost(t.Context(), b, host, clientKey, sessionConfig)
				require.Error(t, err)
			})
			synctest.Test(t, func(t *testing.T) {
				a, b := legs()
				go func() {
					c := hostConfig(host)
					tt.change(c)
					tc := tls.Server(b, c)
					tc.Write(hello)
					io.Copy(io.Discard, tc)
					b.Close()
				}()
				_, err := openClient(t.Context(), a, client, hostKey, sessionConfig)
				require.Error(t, err)
			})
		})
	}
}

func TestGatewaysThatFailArePassedOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.listen(w.config())
		d := w.dialer()
		d.Connect = func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
			c, err := w.connect(ctx, resource, key)
			c.Gateways = []string{"https://nobody.example", gateway}
			return c, err
		}
		c, err := d.DialContext(t.Context(), "tcp", "desktop")
		require.NoError(t, err)
		h, err := l.Accept()
		require.NoError(t, err)
		c.Close()
		h.Close()

		d.Connect = func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
			c, err := w.connect(ctx, resource, key)
			c.Gateways = []string{"https://nobody.example", "https://nobody2.example"}
			return c, err
		}
		_, err = d.DialContext(t.Context(), "tcp", "desktop")
		requireCode(t, reachback.CodeGatewayUnreachable, err)
		require.NotEmpty(t, reachback.AsError(err).CorrelationID)
	})
}

func TestDialErrors(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.dialer()
		_, err := d.DialContext(t.Context(), "udp", "desktop")
		var unknown net.UnknownNetworkError
		require.ErrorAs(t, err, &unknown)
		_, err = d.DialContext(t.Context(), "tcp", "nothing")
		requireCode(t, reachback.CodeResourceNotFound, err)
		_, err = d.DialContext(t.Context(), "tcp", "desktop")
		requireCode(t, reachback.CodeNoHost, err)
		require.NotEmpty(t, reachback.AsError(err).CorrelationID)
		_, err = (&Dialer{}).DialContext(t.Context(), "tcp", "desktop")
		require.Error(t, err)

		// What connect answers must be for what was asked.
		d.Connect = func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
			return w.connect(ctx, resource, [32]byte{7})
		}
		_, err = d.DialContext(t.Context(), "tcp", "desktop")
		requireCode(t, reachback.CodeTokenInvalid, err)
		d.Connect = func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
			c, err := w.connect(ctx, resource, key)
			c.Keys = []byte("{")
			return c, err
		}
		_, err = d.DialContext(t.Context(), "tcp", "desktop")
		requireCode(t, reachback.CodeProtocolError, err)
	})
}

func TestDialEndsWithItsContext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		held := make(chan struct{})
		l := newLiar(w, func(leg *carrier.Conn, nonce string) {
			defer close(held)
			io.Copy(io.Discard, bufio.NewReader(leg)) // no answer at all
			leg.Close()
		})
		cause := errors.New("the user went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		start := time.Now()
		_, err := l.dial(ctx)
		require.ErrorIs(t, err, cause)
		require.Equal(t, time.Second, time.Since(start))
		<-held
	})
}
