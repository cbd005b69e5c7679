package relay

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/identity"
	"github.com/reachback/reachback/internal/token"
)

// benchDirEnv makes a test binary the process that is measured: it serves a relay
// with the keys in that folder. Its lines on standard output are procLines; it
// ends with its standard input, and before that takes the word "collect".
const benchDirEnv = "REACHBACK_BENCH_DIR"

type procLine struct {
	Addr      string `json:",omitempty"` // where it listens
	Call      string `json:",omitempty"` // a call to be answered
	Ticket    string `json:",omitempty"`
	For       string `json:",omitempty"` // its correlation id
	Collected bool   `json:",omitempty"`
}

// lineOrchestrator permits every call and has the load generator's host answer.
type lineOrchestrator struct {
	trust Trust
	lines chan procLine
}

func (o *lineOrchestrator) Trust() *Trust { return &o.trust }

func (o *lineOrchestrator) Watch(ctx context.Context, _ func(Kill)) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func (o *lineOrchestrator) Orchestrate(_ context.Context, c *Call) (*Permit, error) {
	o.lines <- procLine{Call: c.ID, Ticket: string(c.Ticket), For: c.CorrelationID}
	return &Permit{Session: c.ID, Host: "host-1", Grant: "signed.grant"}, nil
}

func (o *lineOrchestrator) Report(Event) {}

// TestRelayProcess is the measured process; by itself it tests nothing.
func TestRelayProcess(t *testing.T) {
	dir := os.Getenv(benchDirEnv)
	if dir == "" {
		t.Skip("is the relay's process of the benchmarks")
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.pem"))
	require.NoError(t, err)
	ca, err := os.ReadFile(filepath.Join(dir, "hosts.pem"))
	require.NoError(t, err)
	key, err := os.ReadFile(filepath.Join(dir, "token.key"))
	require.NoError(t, err)
	hosts := x509.NewCertPool()
	require.True(t, hosts.AppendCertsFromPEM(ca))

	o := &lineOrchestrator{lines: make(chan procLine, 100), trust: Trust{
		Keys:   &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: ed25519.PublicKey(key), KeyID: "k1", Algorithm: "EdDSA"}}},
		HostCA: hosts,
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &http.Server{
		Handler:   &Relay{Orchestrator: o, URL: "https://" + l.Addr().String()},
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	require.NoError(t, ConfigureServer(s))
	go s.ServeTLS(NewListener(l), "", "")
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			// What is pooled outlives one collection.
			debug.FreeOSMemory()
			debug.FreeOSMemory()
			o.lines <- procLine{Collected: true}
		}
		os.Exit(0)
	}()
	out := json.NewEncoder(os.Stdout)
	out.Encode(procLine{Addr: l.Addr().String()})
	for line := range o.lines {
		out.Encode(line)
	}
}

// A subject is a process under measurement.
type subject struct {
	name string
	pid  int
	// open sets up one pair through it. It may be called concurrently.
	open func() (client, host conn, err error)
	// collect has it give back the memory that it would give back later.
	collect func()
}

type conn interface {
	net.Conn
	CloseWrite() error
}

// cpu is the processor time that the subject has used, kernel's included.
func (s *subject) cpu() time.Duration {
	var sum time.Duration
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.pid))
	for _, f := range threads {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		ns, _ := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		sum += time.Duration(ns)
	}
	return sum
}

// resident is the subject's memory in bytes.
func (s *subject) resident() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.pid))
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// benchKeys is what a relay's process and its peers need.
type benchKeys struct {
	dir     string
	server  *tls.Certificate
	roots   *x509.CertPool
	host    *tls.Certificate
	signing ed25519.PrivateKey
}

func newBenchKeys(b testing.TB) *benchKeys {
	ca, hostCA := newAuthority(b), newAuthority(b)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(b, err)
	k := &benchKeys{dir: b.TempDir(), roots: ca.pool(), signing: private}
	k.server = ca.issue(b, func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	k.host = hostCA.issue(b, func(c *x509.Certificate) { c.URIs = []*url.URL{identity.HostURI("host-1")} })

	key, err := x509.MarshalPKCS8PrivateKey(k.server.PrivateKey)
	require.NoError(b, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.server.Certificate[0]})
	k.write(b, "server.pem", append(certPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...))
	k.write(b, "hosts.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hostCA.cert.Raw}))
	k.write(b, "token.key", public)
	return k
}

func (k *benchKeys) write(b testing.TB, name string, data []byte) {
	require.NoError(b, os.WriteFile(filepath.Join(k.dir, name), data, 0o600))
}

// tlsConfig is that of the load generator's ends, which send full records.
func (k *benchKeys) tlsConfig() *tls.Config {
	return &tls.Config{RootCAs: k.roots, DynamicRecordSizingDisabled: true}
}

// startRelay starts a relay's process, which ends with b.
func startRelay(b testing.TB, k *benchKeys) *subject {
	cmd := exec.Command(os.Args[0], "-test.run=^TestRelayProcess$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), benchDirEnv+"="+k.dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())

	d := &Dialer{TLS: k.tlsConfig()}
	addr, collected, read := make(chan string, 1), make(chan struct{}), make(chan struct{})
	var base string
	var hosts matcher
	go func() { // ends with the process's output
		defer close(read)
		lines := json.NewDecoder(out)
		for {
			var l procLine
			if lines.Decode(&l) != nil {
				return
			}
			switch {
			case l.Addr != "":
				addr <- l.Addr
			case l.Collected:
				collected <- struct{}{}
			default:
				go func() {
					leg, err := d.Answer(b.Context(), base, l.Call, Ticket(l.Ticket), k.host)
					hosts.give(l.For, leg, err)
				}()
			}
		}
	}()
	b.Cleanup(func() {
		in.Close()
		<-read
		cmd.Wait()
	})

	base = "https://" + <-addr
	return &subject{
		name: "relay", pid: cmd.Process.Pid,
		collect: func() {
			io.WriteString(in, "collect\n")
			<-collected
		},
		open: func() (conn, conn, error) {
			id := rand.Text()
			tok, err := token.SignConnection("k1", k.signing, &token.Connection{
				ID: id, User: reachback.User{Issuer: "https://issuer", Subject: id}, Resource: "desktop",
				ClientKey: [32]byte{1}, CorrelationID: id,
			}, time.Now())
			if err != nil {
				return nil, nil, err
			}
			client, err := d.Call(b.Context(), base, tok, nonce)
			if err != nil {
				return nil, nil, err
			}
			host, err := hosts.take(id)
			return client, host, err
		},
	}
}

// A matcher brings a host's leg to who opened its client's.
type matcher struct{ waiting sync.Map } // id to chan matched

type matched struct {
	conn conn
	err  error
}

func (m *matcher) of(id string) chan matched {
	c, _ := m.waiting.LoadOrStore(id, make(chan matched, 1))
	return c.(chan matched)
}

func (m *matcher) give(id string, c conn, err error) { m.of(id) <- matched{c, err} }

func (m *matcher) take(id string) (conn, error) {
	got := <-m.of(id)
	m.waiting.Delete(id)
	return got.conn, got.err
}
