package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/internal/session"
	"github.com/reachback/reachback/internal/simnet"
	"github.com/reachback/reachback/relay"
)

const gateway = "https://gw.example"

// A world is a gateway and a broker in one server on a simulated network. Every
// user may open "desktop", whose pool takes raw calls too.
type world struct {
	t      testing.TB
	net    simnet.Network
	tls    *tls.Config
	dir    *broker.MemoryDirectory
	broker *broker.Broker
	relay  *relay.Relay
}

// inWorld runs f in virtual time. Everything must have ended when it returns.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
}

func newWorld(t testing.TB) *world {
	keys, err := broker.NewKeys()
	require.NoError(t, err)
	cert, err := keys.ServerCertificate("gw.example")
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(keys.ServerCA()))
	w := &world{t: t, tls: &tls.Config{RootCAs: roots}, dir: &broker.MemoryDirectory{}}
	require.NoError(t, w.dir.Apply(w.t.Context(), &broker.Seed{
		Pools:     []broker.SeedPool{{Name: "desktops", Raw: true}},
		Resources: []broker.SeedResource{{ID: "desktop", Title: "Desktop", Pool: "desktops", Kind: reachback.KindDesktop, Assign: []string{"group:everybody"}}},
	}))
	w.broker = &broker.Broker{Keys: keys, Directory: w.dir, Gateways: []string{gateway}}
	w.relay = &relay.Relay{Orchestrator: w.broker, URL: gateway}
	mux := http.NewServeMux()
	mux.Handle("/reachback/v1/control", w.broker)
	mux.Handle("/reachback/v1/enrol", w.broker)
	mux.Handle("/", w.relay)
	stop := w.serve("gw.example:443", mux, cert)
	t.Cleanup(func() {
		w.relay.Close()
		w.broker.Close()
		stop()
	})
	return w
}

// serve serves h at addr until stop is called.
func (w *world) serve(addr string, h http.Handler, cert tls.Certificate) (stop func()) {
	l, err := w.net.Listen(addr)
	require.NoError(w.t, err)
	srv := &http.Server{
		Handler:   h,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	require.NoError(w.t, relay.ConfigureServer(srv))
	var serving sync.WaitGroup
	serving.Go(func() { srv.ServeTLS(l, "", "") })
	return func() {
		srv.Close()
		serving.Wait()
	}
}

func (w *world) relayDialer() *relay.Dialer {
	return &relay.Dialer{TLS: w.tls, NetDial: w.net.Dial}
}

// config is the configuration of a newly enrolled host.
func (w *world) config() *ListenConfig {
	id, err := broker.NewIdentity()
	require.NoError(w.t, err)
	registration, _, err := w.broker.NewRegistrationToken(w.t.Context(), broker.TokenOptions{Pool: "desktops"})
	require.NoError(w.t, err)
	agent := &broker.Agent{Server: gateway, Identity: id, TLS: w.tls, NetDial: w.net.Dial}
	_, err = agent.Enrol(w.t.Context(), broker.EnrolOptions{Token: registration})
	require.NoError(w.t, err)
	return &ListenConfig{Agent: agent, Relay: w.relayDialer(), AllowRaw: true}
}

func (w *world) listen(lc *ListenConfig) *Listener {
	l, err := lc.Listen(w.t.Context())
	require.NoError(w.t, err)
	w.t.Cleanup(func() { l.Close() })
	return l
}

func (w *world) connect(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
	u := &reachback.User{Issuer: "https://idp.example", Subject: "alice", Groups: []string{"everybody"}}
	return w.broker.Connect(ctx, u, resource, key)
}

func (w *world) dialer() *Dialer {
	return &Dialer{Connect: w.connect, Relay: w.relayDialer()}
}

// pair opens a session and returns both ends.
func (w *world) pair(l *Listener) (client, host *Conn) {
	c, err := w.dialer().DialContext(w.t.Context(), "tcp", "desktop")
	require.NoError(w.t, err)
	h, err := l.Accept()
	require.NoError(w.t, err)
	return c.(*Conn), h.(*Conn)
}

var sessionConfig = session.Config{CorrelationID: "cid-1"}

// A simLeg is a leg on the simulated network.
type simLeg struct{ *simnet.Conn }

func (l simLeg) Abort() error { return l.Close() }

func legs() (simLeg, simLeg) {
	a, b := simnet.Pipe("10.0.0.1:1", "10.0.0.2:2")
	return simLeg{a}, simLeg{b}
}

func requireCode(t testing.TB, want reachback.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want, reachback.CodeOf(err), "%v", err)
}

func readAll(t testing.TB, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	return string(b)
}
