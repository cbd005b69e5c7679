package transport

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/token"
)

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
