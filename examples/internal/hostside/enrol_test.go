package hostside

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/internal/simnet"
	"github.com/reachback/reachback/relay"
)

// A host that was off for longer than its certificate lives comes back as who it was
// by a registration token, and says what it needs without one.
func TestExpiredCertificateIsEnrolledAgain(t *testing.T) {
	s := newSite(t)
	cfg := s.host(t)
	first, status, says := runHost(t, cfg)
	require.Zero(t, status, says)
	require.Equal(t, "pc", first["name"])

	s.enrolLongAgo(t, filepath.Join(cfg.Dir, "identity.pem"), cfg.Enrol)
	without := *cfg
	without.Enrol = ""
	_, status, says = runHost(t, &without)
	require.Equal(t, 1, status)
	require.Contains(t, says, string(reachback.CodeCertificateExpired))
	require.Contains(t, says, "start once with -enrol")

	again, status, says := runHost(t, cfg)
	require.Zero(t, status, says)
	require.Equal(t, first, again)
	again, status, says = runHost(t, &without)
	require.Zero(t, status, says)
	require.Equal(t, first, again)
}

// noGateway is the URL of a gateway that nobody serves.
const noGateway = "https://127.0.0.1:1"

// A site is what the brokers of one installation have in common, and one of them on a
// loopback port.
type site struct {
	dir    *broker.MemoryDirectory
	keys   *broker.Keys
	broker *broker.Broker
	url    string
	tls    *tls.Config // of servers
}

func newSite(t *testing.T) *site {
	t.Helper()
	keys, err := broker.NewKeys()
	require.NoError(t, err)
	cert, err := keys.ServerCertificate("127.0.0.1")
	require.NoError(t, err)
	s := &site{dir: &broker.MemoryDirectory{}, keys: keys, tls: &tls.Config{Certificates: []tls.Certificate{cert}}}
	seed, err := broker.ParseSeed([]byte(`{"pools": [{"name": "desktops"}],
		"resources": [{"id": "desktop", "title": "Desktop", "pool": "desktops", "assign": ["user:alice"]}]}`))
	require.NoError(t, err)
	require.NoError(t, s.dir.Apply(t.Context(), seed))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.url = "https://" + l.Addr().String()
	s.broker = s.serve(t, l)
	return s
}

// serve serves a broker of the site at l until the end of the test.
func (s *site) serve(t *testing.T, l net.Listener) *broker.Broker {
	t.Helper()
	b := &broker.Broker{Keys: s.keys, Directory: s.dir, Gateways: []string{noGateway}}
	server := &http.Server{Handler: b, TLSConfig: s.tls.Clone()}
	require.NoError(t, relay.ConfigureServer(server))
	var wg sync.WaitGroup
	wg.Go(func() { server.ServeTLS(l, "", "") })
	t.Cleanup(func() {
		b.Close()
		server.Close()
		wg.Wait()
	})
	return b
}

// host makes the flags of a host that has never run.
func (s *site) host(t *testing.T) *Config {
	t.Helper()
	token, _, err := s.broker.NewRegistrationToken(t.Context(), broker.TokenOptions{Pool: "desktops"})
	require.NoError(t, err)
	ca, enrol := filepath.Join(t.TempDir(), "ca.pem"), filepath.Join(t.TempDir(), "registration.token")
	require.NoError(t, os.WriteFile(ca, s.keys.ServerCA(), 0o600))
	require.NoError(t, os.WriteFile(enrol, []byte(token+"\n"), 0o600))
	return &Config{
		Server: s.url, Dir: filepath.Join(t.TempDir(), "host"), Target: freeAddr(t), CA: ca, Enrol: enrol, Name: "pc",
	}
}

// enrolLongAgo has the identity enrolled by a broker of the site so long ago that the
// certificate has just expired. The authority is older by its leeway.
func (s *site) enrolLongAgo(t *testing.T, identity, tokenFile string) {
	t.Helper()
	token, err := os.ReadFile(tokenFile)
	require.NoError(t, err)
	then := time.Now().Add(-broker.IdentityLife - 30*time.Second)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(then)) // virtual time begins with the year 2000
		id, err := broker.OpenIdentity(identity)
		require.NoError(t, err)
		near, far := simnet.Pipe("host:1", "broker:443")
		l := &oneListener{conn: far, closed: make(chan struct{})}
		s.serve(t, l)
		agent := &broker.Agent{
			Server: "https://broker", Identity: id,
			TLS:     &tls.Config{InsecureSkipVerify: true}, // the server's certificate is of today
			NetDial: func(context.Context, string, string) (net.Conn, error) { return near, nil },
		}
		_, err = agent.Enrol(t.Context(), broker.EnrolOptions{Token: string(token), Name: "pc"})
		require.NoError(t, err)
	})
}

// oneListener accepts one connection.
type oneListener struct {
	mu     sync.Mutex
	conn   net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *oneListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	c := l.conn
	l.conn = nil
	l.mu.Unlock()
	if c != nil {
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *oneListener) Addr() net.Addr { return simnet.Addr("broker:443") }

// runHost runs a host until it is registered or has failed. It returns the event
// "registered".
func runHost(t *testing.T, cfg *Config) (registered map[string]string, status int, says string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr bytes.Buffer
	status = program.Run(ctx, "sessionhost", "", nil, &stdout, &stderr, func(*flag.FlagSet) {}, func(ctx context.Context, p *program.Program) error {
		return Run(ctx, p, cfg, cancel)
	})
	if line, _, _ := strings.Cut(stdout.String(), "\n"); line != "" {
		require.NoError(t, json.Unmarshal([]byte(line), &registered))
	}
	return registered, status, stderr.String()
}
