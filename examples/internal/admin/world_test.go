package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin/api"
	"github.com/reachback/reachback/internal/simnet"
	"github.com/reachback/reachback/relay"
)

const (
	adminAddr  = "127.0.0.1:9443"
	brokerAddr = "broker.example:443"
	gateway    = "https://gw.example"
	issuer     = "https://idp.example"
)

const seed = `{
 "workspace": "Contoso desktops",
 "pools": [
  {"name": "desktops", "max_sessions": 4},
  {"name": "own", "kind": "personal", "approval": true}],
 "resources": [
  {"id": "desktop", "title": "Desktop", "pool": "desktops", "assign": ["user:alice"]},
  {"id": "mine", "title": "My own", "pool": "own", "assign": ["group:staff"]}]
}`

// A world is a broker with hosts and an admin address, on a simulated network.
type world struct {
	*testing.T
	net    simnet.Network
	dir    *broker.MemoryDirectory
	broker *broker.Broker
	parts  Parts
	roots  *tls.Config
	web    *http.Client
	logs   lockedBuffer
}

// inWorld runs f in virtual time. Everything must have ended when it returns.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, dir: &broker.MemoryDirectory{}}
		s, err := broker.ParseSeed([]byte(seed))
		require.NoError(t, err)
		require.NoError(t, w.dir.Apply(t.Context(), s))
		keys, err := broker.NewKeys()
		require.NoError(t, err)
		logger := slog.New(slog.NewJSONHandler(&w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
		w.broker = &broker.Broker{Keys: keys, Directory: w.dir, Gateways: []string{gateway}, Logger: logger}
		t.Cleanup(func() { w.broker.Close() })
		w.serveBroker(keys)
		w.parts = Parts{Broker: w.broker, Directory: w.dir, Issuer: issuer, Logger: logger}
		w.web = &http.Client{Transport: &http.Transport{DialContext: w.net.Dial}}
		t.Cleanup(w.web.CloseIdleConnections)
		f(t, w)
	})
}

// serveBroker opens the port that hosts come to.
func (w *world) serveBroker(keys *broker.Keys) {
	cert, err := keys.ServerCertificate("broker.example")
	require.NoError(w, err)
	s := &http.Server{
		Handler: w.broker, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, ErrorLog: log.New(io.Discard, "", 0),
	}
	require.NoError(w, relay.ConfigureServer(s))
	l, err := w.net.Listen(brokerAddr)
	require.NoError(w, err)
	var serving sync.WaitGroup
	serving.Go(func() { s.ServeTLS(l, "", "") })
	w.Cleanup(func() { s.Close(); serving.Wait() })
	w.roots = &tls.Config{RootCAs: x509.NewCertPool()}
	require.True(w, w.roots.RootCAs.AppendCertsFromPEM(keys.ServerCA()))
}

// serve opens the admin address.
func (w *world) serve() *world {
	l, err := w.net.Listen(adminAddr)
	require.NoError(w, err)
	s, err := newServer(l, tlsFiles{}, &Config{Addr: adminAddr, Parts: w.parts})
	require.NoError(w, err)
	ctx, stop := context.WithCancel(w.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	w.Cleanup(func() { stop(); require.NoError(w, <-served) })
	return w
}

// ask sends a request and returns status and body of the answer.
func (w *world) ask(method, path, body string, header ...string) (int, []byte) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, "http://"+adminAddr+path, strings.NewReader(body))
	require.NoError(w, err)
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			req.Header.Del(header[i])
		}
	}
	resp, err := w.web.Do(req)
	require.NoError(w, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(w, err)
	return resp.StatusCode, data
}

// get reads an answer of the API.
func get[T any](w *world, path string) T {
	w.Helper()
	status, data := w.ask(http.MethodGet, api.Prefix+path, "")
	require.Equal(w, http.StatusOK, status, "%s", data)
	var v T
	require.NoError(w, json.Unmarshal(data, &v))
	return v
}

// does sends a change that must succeed.
func (w *world) does(method, path, body string) []byte {
	w.Helper()
	status, data := w.ask(method, api.Prefix+path, body)
	require.Contains(w, []int{http.StatusOK, http.StatusCreated, http.StatusNoContent}, status, "%s %s: %s", method, path, data)
	return data
}

// refused sends a request that must be refused with the code.
func (w *world) refused(want reachback.Code, method, path, body string) api.Error {
	w.Helper()
	status, data := w.ask(method, api.Prefix+path, body)
	var e api.Error
	require.NoError(w, json.Unmarshal(data, &e), "%s", data)
	require.Equal(w, string(want), e.Code, "%s %s: %s", method, path, data)
	require.Equal(w, want.Status(), status)
	require.NotEmpty(w, e.Message)
	return e
}

// A pc is a session host whose user sessions are a list.
type pc struct {
	w     *world
	agent *broker.Agent
	id    string
	done  chan struct{}
	err   error // of Run, once done is closed

	mu   sync.Mutex
	said []string // what its Control was asked for
}

func (h *pc) Welcome(*broker.Welcome)                      {}
func (h *pc) Summon(context.Context, *broker.Summon) error { return nil }
func (h *pc) Disconnect(string, reachback.Code)            {}
func (h *pc) Sessions() []broker.SessionReport             { return nil }

func (h *pc) note(what string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said = append(h.said, what)
	return nil
}

func (h *pc) asked() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said
}

// up enrols a host with a token of the API and waits until it is connected.
func (w *world) up(name, pool string) *pc {
	w.Helper()
	var token api.NewToken
	require.NoError(w, json.Unmarshal(w.does(http.MethodPost, "/registration-tokens", `{"pool": "`+pool+`"}`), &token))
	id, err := broker.NewIdentity()
	require.NoError(w, err)
	h := &pc{w: w, done: make(chan struct{})}
	h.agent = &broker.Agent{Server: "https://broker.example", Identity: id, TLS: w.roots, NetDial: w.net.Dial, Control: control{h}}
	got, err := h.agent.Enrol(w.Context(), broker.EnrolOptions{Token: token.Secret, Name: name})
	require.NoError(w, err)
	h.id = got.Host
	ctx, stop := context.WithCancel(w.Context())
	go func() {
		defer close(h.done)
		h.err = h.agent.Run(ctx, h)
	}()
	w.Cleanup(func() { stop(); <-h.done })
	synctest.Wait()
	require.True(w, get[api.Host](w, "/hosts/"+name).Up)
	return h
}

// control is a pc as what knows its user sessions.
type control struct{ *pc }

func (c control) UserSessions(context.Context) ([]broker.UserSession, error) { return nil, nil }
func (c control) Disconnect(_ context.Context, user string) error {
	return c.note("disconnect " + user)
}
func (c control) LogOff(_ context.Context, user string) error { return c.note("log off " + user) }
func (c control) Message(_ context.Context, user, title, text string) error {
	return c.note("tell " + user + ": " + title + ": " + text)
}

// call has the user call for a resource, as a gateway would ask about it.
func (w *world) call(user, resource string) (*relay.Permit, error) {
	u := &reachback.User{Issuer: issuer, Subject: user, Groups: []string{"staff"}}
	c, err := w.broker.Connect(w.Context(), u, resource, sha256.Sum256([]byte("a client's key")))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(w.Context(), 15*time.Second)
	defer cancel()
	return w.broker.Orchestrate(ctx, &relay.Call{
		ID: randomID(), Ticket: relay.Ticket(randomID() + randomID()), Gateway: gateway, Token: c.Token, Nonce: "0123456789abcdefNONCE",
		Remote: netip.MustParseAddrPort("192.0.2.1:50000"),
	})
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
