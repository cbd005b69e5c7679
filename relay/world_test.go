package relay

import (
	"bufio"
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
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/identity"
	"github.com/reachback/reachback/internal/simnet"
	"github.com/reachback/reachback/internal/token"
)

const (
	gateway = "https://gw.example"
	nonce   = "0123456789abcdefNONCE"
)

// A world is a relay behind a real HTTP server with real TLS on a simulated
// network. It is its own orchestrator.
type world struct {
	t       testing.TB
	net     simnet.Network
	relay   *Relay
	server  *http.Server
	roots   *x509.CertPool
	version uint16 // the newest TLS that the parties know; 0 is the newest that there is
	hostCA  *authority
	signing ed25519.PrivateKey
	logs    lockedBuffer

	// decide answers Orchestrate; nil permits host-1 and hands the call to summons.
	decide  func(ctx context.Context, c *Call) (*Permit, error)
	summons chan *Call
	kills   chan Kill
	watches chan error // breaks the Watch under way
	trust   Trust

	mu     sync.Mutex
	events []Event
	// address, where set, is what the server sees all peers come from.
	address string
}

// inWorld runs f in virtual time. Everything must have ended when it returns.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
}

func newWorld(t testing.TB) *world { return newWorldWith(t, func(*world) {}) }

// newWorldWith is newWorld with a server that is changed before it is configured.
func newWorldWith(t testing.TB, edit func(w *world)) *world {
	w := &world{t: t, summons: make(chan *Call, 10_000), kills: make(chan Kill), watches: make(chan error, 1), hostCA: newAuthority(t)}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	w.signing = private
	w.trust = Trust{
		Keys:   &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "k1", Algorithm: "EdDSA"}}},
		HostCA: w.hostCA.pool(),
	}
	w.relay = &Relay{Orchestrator: w, URL: gateway, Logger: newJSONLogger(&w.logs)}

	ca := newAuthority(t)
	w.roots = ca.pool()
	cert := ca.issue(t, func(c *x509.Certificate) {
		c.DNSNames = []string{"gw.example", "other.example"}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	w.server = &http.Server{
		Handler:   w.relay,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{*cert}},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	edit(w)
	require.NoError(t, ConfigureServer(w.server))
	l, err := w.net.Listen("gw.example:443")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() { w.server.ServeTLS(NewListener(&seenFrom{l, w}), "", "") })
	t.Cleanup(func() {
		w.relay.Close()
		w.server.Close()
		serving.Wait()
	})
	return w
}

func newJSONLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// seenFrom is the world's listener with the world's address for all peers.
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
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if err != nil || l.w.address == "" {
		return c, err
	}
	return &seenConn{c, l.w.address}, nil
}

func (w *world) comeFrom(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.address = addr
}

// The world as Orchestrator.

func (w *world) Trust() *Trust { return &w.trust }

func (w *world) Watch(ctx context.Context, f func(Kill)) error {
	for {
		select {
		case err := <-w.watches:
			return err
		case k := <-w.kills:
			f(k)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *world) Orchestrate(ctx context.Context, c *Call) (*Permit, error) {
	if w.decide != nil {
		return w.decide(ctx, c)
	}
	w.summons <- c
	return &Permit{Session: "session-of-" + c.ID, Host: "host-1", Grant: "signed.grant"}, nil
}

func (w *world) Report(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// reported returns the events of these kinds, or all of them.
func (w *world) reported(kinds ...EventKind) []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.events), func(e Event) bool {
		return len(kinds) > 0 && !slices.Contains(kinds, e.Kind)
	})
}

// The parties.

func (w *world) dialer() *Dialer {
	return &Dialer{TLS: &tls.Config{RootCAs: w.roots, MaxVersion: w.version}, NetDial: w.net.Dial}
}

// token is a good connection token of user; edit may spoil it.
func (w *world) token(user string, edit ...func(*token.Connection)) string {
	c := &token.Connection{
		ID: rand.Text(), User: reachback.User{Issuer: "https://issuer", Tenant: "acme", Subject: user}, Resource: "desktop",
		ClientKey: [32]byte{1}, CorrelationID: "cid-of-" + user,
	}
	for _, f := range edit {
		f(c)
	}
	s, err := token.SignConnection("k1", w.signing, c, time.Now())
	require.NoError(w.t, err)
	return s
}

// host is the identity of a host.
func (w *world) host(id string) *tls.Certificate {
	return w.hostCA.issue(w.t, func(c *x509.Certificate) { c.URIs = []*url.URL{identity.HostURI(id)} })
}

type outcome struct {
	leg *Leg
	err error
}

// call calls in the background as user.
func (w *world) call(user string) <-chan outcome {
	return w.callWith(w.token(user), nonce)
}

func (w *world) callWith(tok, nonce string) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		leg, err := w.dialer().Call(w.t.Context(), gateway, tok, nonce)
		done <- outcome{leg, err}
	}()
	return done
}

// answer answers in the background.
func (w *world) answer(c *Call, cert *tls.Certificate) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		leg, err := w.dialer().Answer(w.t.Context(), gateway, c.ID, c.Ticket, cert)
		done <- outcome{leg, err}
	}()
	return done
}

// pair joins a call of user with host-1.
func (w *world) pair(user string) (client, host *Leg) {
	w.t.Helper()
	called := w.call(user)
	answered := w.answer(<-w.summons, w.host("host-1"))
	return must(w.t, called), must(w.t, answered)
}

func must(t testing.TB, o <-chan outcome) *Leg {
	t.Helper()
	got := <-o
	require.NoError(t, got.err)
	return got.leg
}

func requireCode(t testing.TB, want reachback.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want, reachback.CodeOf(err), "%v", err)
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

// raw opens a TLS connection as our programs do, for what our dialer never sends.
func (w *world) raw(cert *tls.Certificate) *tls.Conn {
	w.t.Helper()
	nc, err := w.net.Dial(w.t.Context(), "tcp", "gw.example:443")
	require.NoError(w.t, err)
	cfg := &tls.Config{RootCAs: w.roots, ServerName: "gw.example", NextProtos: []string{carrier.ALPN, "http/1.1"}}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	tc := tls.Client(nc, cfg)
	w.t.Cleanup(func() { nc.Close() })
	return tc
}

// ask sends a head of these lines, each without its end, and returns the code of
// the refusal, or "" with a 101.
func (w *world) ask(cert *tls.Certificate, lines ...string) reachback.Code {
	w.t.Helper()
	c := w.raw(cert)
	_, err := io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n\r\n")
	require.NoError(w.t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(w.t, err)
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return ""
	}
	return reachback.CodeOf(carrier.ReadRefusal(resp))
}

// head is the head of an Upgrade request with more lines.
func head(path string, more ...string) []string {
	return append([]string{"GET " + path + " HTTP/1.1", "Host: gw.example", "Connection: Upgrade", "Upgrade: reachback"}, more...)
}

func answerHead(c *Call) []string {
	return head(carrier.PathAnswer, carrier.HeaderCall+": "+c.ID, carrier.HeaderTicket+": "+string(c.Ticket))
}

// An authority is a CA with a P-256 key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
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

// issue makes a certificate for client authentication that is good for a day.
func (a *authority) issue(t testing.TB, edit func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return a.issueFor(t, key, key.Public(), edit)
}

func (a *authority) issueFor(t testing.TB, private, public any, edit func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	edit(c)
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, public, a.key)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
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
