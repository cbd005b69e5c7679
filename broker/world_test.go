package broker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/simnet"
	"github.com/reachback/reachback/relay"
)

const (
	server  = "https://broker.example"
	gateway = "https://gw.example"
	nonce   = "0123456789abcdefNONCE"
)

const seedText = `{
 "pools": [
  {"name": "desktops", "max_sessions": 4},
  {"name": "open", "raw": true, "policy": {"shortpath": true, "networks": ["10.0.0.0/8"], "dscp": 46, "max_rate": 1000000}},
  {"name": "own", "kind": "personal"}],
 "resources": [
  {"id": "desktop", "title": "Desktop", "pool": "desktops", "assign": ["user:alice", "group:staff"]},
  {"id": "secret", "title": "Secret", "pool": "desktops", "assign": ["user:carol"]},
  {"id": "stock", "title": "Any client", "pool": "open", "assign": ["group:staff"]},
  {"id": "mine", "title": "My own", "pool": "own", "assign": ["group:staff"]}]
}`

func alice() *reachback.User {
	return &reachback.User{Issuer: "https://idp.example", Subject: "alice", Groups: []string{"staff"}}
}

func user(name string) *reachback.User {
	return &reachback.User{Issuer: "https://idp.example", Subject: name, Groups: []string{"staff"}}
}

// A world is a broker behind a real HTTP server with real TLS on a simulated network.
type world struct {
	t       testing.TB
	net     simnet.Network
	dir     *MemoryDirectory
	broker  *Broker
	server  *http.Server
	tls     *tls.Config // for clients
	logs    lockedBuffer
	serving sync.WaitGroup

	mu    sync.Mutex
	conns []*simnet.Conn // as dialled by agents, in order
}

// inWorld runs f in virtual time. Everything must have ended when it returns.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
}

func newWorld(t testing.TB) *world {
	keys, err := NewKeys()
	require.NoError(t, err)
	w := &world{t: t, dir: &MemoryDirectory{}}
	seed, err := ParseSeed([]byte(seedText))
	require.NoError(t, err)
	require.NoError(t, w.dir.Apply(w.t.Context(), seed))
	w.broker = &Broker{Keys: keys, Directory: w.dir, Gateways: []string{gateway}, Logger: w.logger()}
	w.serve()
	t.Cleanup(w.close)
	return w
}

func (w *world) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(&w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// serve opens the broker's server.
func (w *world) serve() {
	cert, err := w.broker.Keys.ServerCertificate("broker.example")
	require.NoError(w.t, err)
	roots := x509.NewCertPool()
	require.True(w.t, roots.AppendCertsFromPEM(w.broker.Keys.ServerCA()))
	w.tls = &tls.Config{RootCAs: roots}
	w.server = &http.Server{
		Handler:   w.broker,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	require.NoError(w.t, relay.ConfigureServer(w.server))
	l, err := w.net.Listen("broker.example:443")
	require.NoError(w.t, err)
	s := w.server
	w.serving.Go(func() { s.ServeTLS(l, "", "") })
}

func (w *world) close() {
	w.broker.Close()
	w.server.Close()
	w.serving.Wait()
}

// dial is the agents' NetDial.
func (w *world) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := w.net.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, c.(*simnet.Conn))
	return c, nil
}

// lastConn is the connection dialled last, as the agent has it.
func (w *world) lastConn() *simnet.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conns[len(w.conns)-1]
}

func (w *world) dials() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.conns)
}

// A host is an agent with a handler that accepts everything, unless told otherwise.
type host struct {
	w     *world
	agent *Agent
	id    string

	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Run, once done is closed

	mu           sync.Mutex
	answer       func(ctx context.Context, s *Summon) error
	welcomes     []Welcome
	summons      []*Summon
	disconnected map[string]reachback.Code
	live         []SessionReport
}

func (h *host) Welcome(w *Welcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.welcomes = append(h.welcomes, *w)
}

func (h *host) Summon(ctx context.Context, s *Summon) error {
	h.mu.Lock()
	h.summons = append(h.summons, s)
	answer := h.answer
	h.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(ctx, s)
}

func (h *host) Disconnect(session string, c reachback.Code) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.disconnected[session] = c
}

func (h *host) Sessions() []SessionReport {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]SessionReport(nil), h.live...)
}

func (h *host) lives(reports ...SessionReport) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live = reports
}

func (h *host) answers(f func(ctx context.Context, s *Summon) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = f
}

func (h *host) epoch() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.welcomes) == 0 {
		return 0
	}
	return h.welcomes[len(h.welcomes)-1].Epoch
}

func (h *host) summoned() []*Summon {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*Summon(nil), h.summons...)
}

func (h *host) ended(session string) reachback.Code {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.disconnected[session]
}

// enrol makes a host that is not running yet.
func (w *world) enrol(name, pool string) *host {
	id, err := NewIdentity()
	require.NoError(w.t, err)
	h := w.host(id)
	got, err := h.agent.Enrol(w.t.Context(), EnrolOptions{Token: w.token(pool, time.Hour, 1), Name: name, Pool: pool})
	require.NoError(w.t, err)
	h.id = got.Host
	return h
}

// host makes a host with that identity.
func (w *world) host(id *Identity) *host {
	return &host{
		w: w, id: id.Host(), disconnected: make(map[string]reachback.Code),
		agent: &Agent{Server: server, Identity: id, TLS: w.tls, NetDial: w.dial, Logger: w.logger()},
	}
}

// run starts the host's agent.
func (h *host) run() *host {
	ctx, cancel := context.WithCancel(h.w.t.Context())
	h.cancel, h.done = cancel, make(chan struct{})
	go func() {
		defer close(h.done)
		h.err = h.agent.Run(ctx, h)
	}()
	h.w.t.Cleanup(h.stop)
	return h
}

func (h *host) stop() {
	h.cancel()
	<-h.done
}

// up enrols a host and waits until it is there.
func (w *world) up(name, pool string) *host {
	h := w.enrol(name, pool).run()
	synctest.Wait()
	require.NotZero(w.t, h.epoch(), "%s is not up", name)
	return h
}

// clientKey is some client's thumbprint.
var clientKey = sha256.Sum256([]byte("a client's key"))

// connect gets a connection token.
func (w *world) connect(u *reachback.User, resource string) string {
	c, err := w.broker.Connect(w.t.Context(), u, resource, clientKey)
	require.NoError(w.t, err)
	return c.Token
}

func (w *world) connectRaw(u *reachback.User, resource string) string {
	c, err := w.broker.Connect(w.t.Context(), u, resource, [32]byte{})
	require.NoError(w.t, err)
	return c.Token
}

// call is a framed call with that token, as a relay would ask about it.
func call(token string) *relay.Call {
	return &relay.Call{
		ID: randomID(16), Ticket: relay.Ticket(randomID(32)), Gateway: gateway, Token: token, Nonce: nonce,
		Remote: netip.MustParseAddrPort("192.0.2.1:50000"),
	}
}

func rawCall(token, from string) *relay.Call {
	c := call(token)
	c.Raw, c.Nonce, c.Remote = true, "", netip.MustParseAddrPort(from)
	return c
}

// orchestrate asks about a call as a relay does, for 15 s.
func (w *world) orchestrate(c *relay.Call) (*relay.Permit, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 15*time.Second)
	defer cancel()
	return w.broker.Orchestrate(ctx, c)
}

// joined permits a new call of the user and reports it as joined.
func (w *world) joined(u *reachback.User, resource string) (*relay.Call, *relay.Permit) {
	c := call(w.connect(u, resource))
	p, err := w.orchestrate(c)
	require.NoError(w.t, err)
	w.broker.Report(relay.Event{Kind: relay.EventJoined, Call: c.ID, Session: p.Session, Host: p.Host})
	synctest.Wait()
	return c, p
}

// state is the state of a session's row.
func (w *world) state(session string) SessionState {
	w.dir.begin()
	defer w.dir.mu.Unlock()
	return w.dir.sessions[session].State
}

// desktops is how many user sessions count on a host.
func (w *world) desktops(host string) int {
	w.dir.begin()
	defer w.dir.mu.Unlock()
	return len(w.dir.host(host).desktops)
}

func requireCode(t testing.TB, want reachback.Code, err error, msg ...any) {
	t.Helper()
	require.Equal(t, want, reachback.CodeOf(err), append([]any{"%v", err}, msg...)...)
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
