//go:build unix

package examples_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/peertest"
)

// failsFast is how soon a call ends that cannot be served now.
const failsFast = 10 * time.Second

// revocationEnforced is how soon a gateway ends that was revoked.
const revocationEnforced = 5 * time.Second

// An apart is an installation whose gateway is a process of its own, with
// PostgreSQL behind its broker.
type apart struct {
	*installation
	postgres *peertest.PostgresServer
	gateway  *process
	gwURL    string
	args     []string // of the broker
}

func installApart(t *testing.T, args ...string) *apart {
	t.Helper()
	a := &apart{postgres: peertest.StartPostgres(t)}
	key := writeFile(t, t.TempDir()+"/key", goodSecret)
	a.args = append([]string{"-roles", "broker,feed", "-db", a.postgres.DSN, "-key-file", key}, args...)
	a.installation = install(t, a.args...)
	a.gwURL = "https://" + freeAddr(t)
	a.gateway = a.startGateway("gateway", a.gwURL)
	a.gateway.await("ready", patience)
	// Hosts and clients trust the certificate of either.
	a.ca = writeFile(t, a.path("ca.pem"), readFile(t, a.path("srv", "ca.pem"))+readFile(t, a.path("gateway", "ca.pem")))
	return a
}

// startGateway starts a gateway that enrols itself at its first start.
func (a *apart) startGateway(name, url string) *process {
	a.t.Helper()
	return start(a.t, "server", "-roles", "gateway", "-dir", a.path(name), "-listen", strings.TrimPrefix(url, "https://"), "-public-url", url,
		"-broker", a.url, "-ca", a.path("srv", "ca.pem"), "-enrol", a.path("srv", "gateway-registration.token"), "-v")
}

// A typist sends a letter after the other through one connection and reads each
// back before the next, until it is told to stop.
type typist struct {
	typed atomic.Int64
	stop  chan struct{}
	done  chan error
}

// betweenLetters is how fast a typist is.
const betweenLetters = 5 * time.Millisecond

func startTypist(c net.Conn) *typist {
	ty := &typist{stop: make(chan struct{}), done: make(chan error, 1)}
	go func() { ty.done <- ty.run(c) }() // ended by stop, or by an error; awaited by finish
	return ty
}

func (ty *typist) run(c net.Conn) error {
	next := time.NewTicker(betweenLetters)
	defer next.Stop()
	for n := int64(1); ; n++ {
		if err := exchange(c, string(rune('a'+n%26))); err != nil {
			return fmt.Errorf("letter %d: %w", n, err)
		}
		ty.typed.Store(n)
		select {
		case <-next.C:
		case <-ty.stop:
			return nil
		}
	}
}

// goesOn waits until more letters have come back.
func (ty *typist) goesOn(t *testing.T) {
	t.Helper()
	before := ty.typed.Load()
	eventually(t, "letters come back", func() bool { return ty.typed.Load() > before+10 })
}

func (ty *typist) finish(t *testing.T) {
	t.Helper()
	close(ty.stop)
	require.NoError(t, <-ty.done)
}

// fails checks that a new call ends soon, with one of the codes.
func (a *apart) fails(client *process, addr string, codes ...string) {
	a.t.Helper()
	c := dial(a.t, addr)
	defer c.Close()
	require.Contains(a.t, codes, client.await("end", failsFast).str("code"))
}

// works checks that new calls are served, before long.
func (a *apart) works(addr string) {
	a.t.Helper()
	eventually(a.t, "new calls are served", func() bool {
		c := dial(a.t, addr)
		defer c.Close()
		return exchange(c, "hello") == nil
	})
}

func TestF1_BrokerKilledWhileLettersAreTyped(t *testing.T) {
	a := installApart(t)
	a.host("host", echoServer(t))
	client, addr := a.client("alice", "desktop")
	ty := startTypist(dial(t, addr))
	session := client.await("connected", patience)
	require.Equal(t, a.gwURL, session.str("gateway"))
	ty.goesOn(t)

	a.server.signal(syscall.SIGKILL)
	<-a.server.exited
	ty.goesOn(t)
	a.fails(client, addr, "broker_unreachable")
	ty.goesOn(t)

	a.startServer(a.args...)
	a.works(addr)
	ty.goesOn(t)
	ty.finish(t)
}

func TestPostgresKilledWhileLettersAreTyped(t *testing.T) {
	a := installApart(t)
	a.host("host", echoServer(t))
	client, addr := a.client("alice", "desktop")
	ty := startTypist(dial(t, addr))
	client.await("connected", patience)
	ty.goesOn(t)

	a.postgres.Crash(t)
	a.fails(client, addr, "unavailable")
	ty.goesOn(t)

	a.postgres.Start(t)
	a.works(addr)
	ty.goesOn(t)
	ty.finish(t)
}

func TestGatewayKilled_SessionsEndAndItComesBack(t *testing.T) {
	a := installApart(t)
	host := a.host("host", echoServer(t))
	client, addr := a.client("alice", "desktop")
	c := dial(t, addr)
	require.NoError(t, exchange(c, "hello"))
	host.await("session", patience)

	a.gateway.signal(syscall.SIGKILL)
	<-a.gateway.exited
	for _, p := range []*process{client, host} {
		require.Equal(t, "path_lost", p.await("end", deathNoticed).str("code"))
	}
	a.fails(client, addr, "gateway_unreachable", "no_gateway") // by when the broker notices

	a.gateway = a.startGateway("gateway", a.gwURL)
	a.gateway.await("ready", patience)
	a.works(addr)
}

// A gateway that has got another URL is the same one there: it enrols its key again.
func TestGatewayMoves(t *testing.T) {
	a := installApart(t, "-admin", "127.0.0.1:0")
	a.host("host", echoServer(t))
	_, addr := a.client("alice", "desktop")
	a.works(addr)
	id := a.gatewayID(a.gwURL)
	a.gateway.signal(os.Interrupt)
	require.Zero(t, a.gateway.exit(patience))

	a.gwURL = "https://" + freeAddr(t)
	a.gateway = a.startGateway("gateway", a.gwURL)
	a.gateway.await("ready", patience)
	require.Equal(t, id, a.gatewayID(a.gwURL))
	a.works(addr)
}

// An operator's drain keeps new calls off a gateway and leaves live sessions alone;
// a revocation ends both.
func TestGatewayDrainedThenRevoked(t *testing.T) {
	a := installApart(t, "-admin", "127.0.0.1:0")
	host := a.host("host", echoServer(t))
	client, addr := a.client("alice", "desktop")
	ty := startTypist(dial(t, addr))
	session := client.await("connected", patience).str("session")
	id := a.gatewayID(a.gwURL)

	a.operate("PUT", "/gateways/"+id+"/drain", `{"on": true}`, nil)
	a.fails(client, addr, "no_gateway")
	ty.goesOn(t)
	a.operate("PUT", "/gateways/"+id+"/drain", `{"on": false}`, nil)
	a.works(addr)
	ty.goesOn(t)
	ty.finish(t)

	a.operate("POST", "/gateways/"+id+"/revoke", `{}`, nil)
	// Soon, and not after the time that a drain would give its sessions.
	require.Equal(t, 1, a.gateway.exit(revocationEnforced), "a revoked gateway has nothing to do")
	last := lines(a.gateway.log())
	require.Contains(t, last[len(last)-1], "gateway_revoked")
	for _, p := range []*process{client, host} {
		for p.await("end", patience).str("session") != session { // those of the calls before
		}
	}
	a.fails(client, addr, "no_gateway")

	again := a.startGateway("gateway", a.gwURL)
	require.Equal(t, 1, again.exit(patience), "it is let in again")
}

// gatewayID waits until the gateway of that URL is there and returns its id.
func (in *installation) gatewayID(url string) (id string) {
	in.t.Helper()
	var all struct {
		Gateways []struct{ ID, URL string }
	}
	in.operate("GET", "/gateways", "", &all)
	for _, g := range all.Gateways {
		if g.URL == url {
			return g.ID
		}
	}
	in.t.Fatalf("no gateway %s: %v", url, all)
	return ""
}

// operate asks the admin API for something, which must succeed, and reads the answer
// into a pointer.
func (in *installation) operate(method, path, body string, into any) {
	in.t.Helper()
	req, err := http.NewRequestWithContext(in.t.Context(), method, in.admin+"/api/v1"+path, strings.NewReader(body))
	require.NoError(in.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(in.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(in.t, err)
	require.Less(in.t, resp.StatusCode, 300, "%s %s: %s", method, path, answer)
	if into != nil {
		require.NoError(in.t, json.Unmarshal(answer, into), "%s", answer)
	}
}

const goodSecret = "kV8cnz2LQ0wYbR5uTq1xH7eGm4JdPs9A\n"

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}
