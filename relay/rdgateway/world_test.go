package rdgateway

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/identity"
	"github.com/reachback/reachback/internal/simnet"
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
)

const gateway = "https://gw.example"

// A world is a relay with this door, behind a real HTTP server with real TLS on a
// simulated network. It is the relay's orchestrator.
type world struct {
	t       testing.TB
	net     simnet.Network
	relay   *relay.Relay
	door    *Handler
	server  *http.Server
	roots   *x509.CertPool
	host    *tls.Certificate // of host-1
	signing ed25519.PrivateKey
	version uint16 // the newest TLS that clients know; 0 is the newest that there is
	logs    lockedBuffer

	// decide answers Orchestrate; nil permits host-1 and hands the call to summons.
	decide  func(ctx context.Context, c *relay.Call) (*relay.Permit, error)
	summons chan *relay.Call
	kills   chan relay.Kill
	trust   relay.Trust

	mu      sync.Mutex
	events  []relay.Event
	address string // where set, what the server sees all peers come from
}

// inWorld runs f in virtual time. Everything must have ended when it returns.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, summons: make(chan *relay.Call, 10_000), kills: make(chan relay.Kill)}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	w.signing = private
	hostCA, ca := newAuthority(t), newAuthority(t)
	w.trust = relay.Trust{
		Keys:   &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "k1", Algorithm: "EdDSA"}}},
		HostCA: hostCA.pool(),
	}
	w.host = hostCA.issue(t, x509.ExtKeyUsageClientAuth, func(c *x509.Certificate) { c.URIs = []*url.URL{identity.HostURI("host-1")} })
	logger := slog.New(slog.NewJSONHandler(&w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.relay = &relay.Relay{Orchestrator: w, URL: gateway, Logger: logger}
	w.door = &Handler{Relay: w.relay, Logger: logger}

	w.roots = ca.pool()
	cert := ca.issue(t, x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) { c.DNSNames = []string{"gw.example"} })
	mux := http.NewServeMux()
	mux.Handle("/", w.relay)
	mux.Handle(Path, w.door)
	mux.Handle(RawPath, w.door)
	w.server = &http.Server{
		Handler:   mux,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{*cert}},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	require.NoError(t, relay.ConfigureServer(w.server))
	l, err := w.net.Listen("gw.example:443")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() { w.server.ServeTLS(relay.NewListener(&seenFrom{l, w}), "", "") })
	t.Cleanup(func() {
		w.relay.Close()
		w.door.Close()
		w.server.Close()
		serving.Wait()
	})
	return w
}

// seenFrom is the world's listener with the world's address for all peers. Where it
// has none they come from 10.0.0.1, as one machine's connections do.
type seenFrom struct {
	net.Listener
	w *world
}

type seenConn struct {
	net.Conn
	addr string
}

func (c *seenConn) RemoteAddr() net.Addr { return simnet.Addr(c.addr) }

func (l *seenFrom) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	addr := l.w.address
	if addr == "" {
		addr = "10.0.0.1:40000"
	}
	return &seenConn{c, addr}, nil
}

// comeFrom sets the address of all who connect from now on.
func (w *world) comeFrom(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.address = addr
}

// The world as Orchestrator.

func (w *world) Trust() *relay.Trust { return &w.trust }

func (w *world) Watch(ctx context.Context, f func(relay.Kill)) error {
	for {
		select {
		case k := <-w.kills:
			f(k)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *world) Orchestrate(ctx context.Context, c *relay.Call) (*relay.Permit, error) {
	if w.decide != nil {
		return w.decide(ctx, c)
	}
	w.summons <- c
	return &relay.Permit{Session: "session-of-" + c.ID, Host: "host-1"}, nil
}

func (w *world) Report(e relay.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// reported returns the events of these kinds, or all of them.
func (w *world) reported(kinds ...relay.EventKind) []relay.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.events), func(e relay.Event) bool {
		return len(kinds) > 0 && !slices.Contains(kinds, e.Kind)
	})
}

// refuses makes the orchestrator refuse every call.
func (w *world) refuses(c reachback.Code) {
	w.decide = func(context.Context, *relay.Call) (*relay.Permit, error) { return nil, reachback.Refuse(c) }
}

// token is a good raw token of alice for the resource "desktop"; edit may spoil it.
func (w *world) token(edit ...func(*token.Connection)) string {
	c := &token.Connection{
		ID: rand.Text(), User: reachback.User{Issuer: "https://issuer", Tenant: "acme", Subject: "alice"}, Resource: "desktop",
		CorrelationID: "cid-of-alice",
	}
	at := time.Now()
	for _, f := range edit {
		f(c)
	}
	if !c.IssuedAt.IsZero() {
		at = c.IssuedAt
	}
	s, err := token.SignConnection("k1", w.signing, c, at)
	require.NoError(w.t, err)
	return s
}

// answer has host-1 answer the next call.
func (w *world) answer() *relay.Leg {
	w.t.Helper()
	leg, err := w.answerTo(<-w.summons)
	require.NoError(w.t, err)
	return leg
}

// answering has host-1 answer the next call in the background. Who asks for it must
// take the leg.
func (w *world) answering() <-chan *relay.Leg {
	leg := make(chan *relay.Leg, 1)
	go func() {
		l, err := w.answerTo(<-w.summons)
		if err != nil {
			w.t.Error(err)
		}
		leg <- l
	}()
	return leg
}

func (w *world) answerTo(c *relay.Call) (*relay.Leg, error) {
	d := &relay.Dialer{TLS: &tls.Config{RootCAs: w.roots}, NetDial: w.net.Dial}
	return d.Answer(w.t.Context(), gateway, c.ID, c.Ticket, w.host)
}

// requireCarries sends msg from a to b.
func requireCarries(t testing.TB, a io.Writer, b io.Reader, msg string) {
	t.Helper()
	_, err := io.WriteString(a, msg)
	require.NoError(t, err)
	got := make([]byte, len(msg))
	_, err = io.ReadFull(b, got)
	require.NoError(t, err)
	require.Equal(t, msg, string(got))
}

// requireEnd requires that the one pair there was has ended with that code.
func (w *world) requireEnd(t testing.TB, c reachback.Code) {
	t.Helper()
	ended := w.reported(relay.EventEnded)
	require.Len(t, ended, 1)
	require.Equal(t, c, ended[0].Code)
}

// An authority is a CA with a P-256 key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a := &authority{key: key, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA " + rand.Text()[:6]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return a
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) issue(t testing.TB, use x509.ExtKeyUsage, edit func(*x509.Certificate)) *tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
	}
	edit(c)
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), a.key)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
