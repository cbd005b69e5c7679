package transport

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"net"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
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
