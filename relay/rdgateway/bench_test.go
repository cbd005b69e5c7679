package rdgateway

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
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/identity"
	"github.com/reachback/reachback/internal/peertest"
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
)

// BenchmarkThroughput measures what carrying bytes through this door costs its
// gateway, beside plain raw calls at the same one, in turns. The gateway is a process
// of its own, the test binary started again. BENCHMARKS.md tells how to read it.

// benchDirEnv makes a test binary that process, with the keys in that folder.
const benchDirEnv = "REACHBACK_RDGATEWAY_BENCH_DIR"

type procLine struct {
	Addr, Call, Ticket string
	Collected          bool
}

// lineOrchestrator permits every call and has the load generator's host answer.
type lineOrchestrator struct {
	trust relay.Trust
	lines *json.Encoder
}

func (o *lineOrchestrator) Trust() *relay.Trust { return &o.trust }
func (o *lineOrchestrator) Report(relay.Event)  {}
func (o *lineOrchestrator) Watch(ctx context.Context, _ func(relay.Kill)) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func (o *lineOrchestrator) Orchestrate(_ context.Context, c *relay.Call) (*relay.Permit, error) {
	o.lines.Encode(procLine{Call: c.ID, Ticket: string(c.Ticket)}) // one call at a time
	return &relay.Permit{Session: c.ID, Host: "host-1"}, nil
}

// TestGatewayProcess is the measured process; by itself it tests nothing.
func TestGatewayProcess(t *testing.T) {
	dir := os.Getenv(benchDirEnv)
	if dir == "" {
		t.Skip("is the gateway's process of the benchmark")
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.pem"))
	require.NoError(t, err)
	ca, err := os.ReadFile(filepath.Join(dir, "hosts.pem"))
	require.NoError(t, err)
	key, err := os.ReadFile(filepath.Join(dir, "token.key"))
	require.NoError(t, err)
	hosts := x509.NewCertPool()
	require.True(t, hosts.AppendCertsFromPEM(ca))

	out := json.NewEncoder(os.Stdout)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay.Relay{URL: "https://" + l.Addr().String(), Orchestrator: &lineOrchestrator{lines: out, trust: relay.Trust{
		Keys:   &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: ed25519.PublicKey(key), KeyID: "k1", Algorithm: "EdDSA"}}},
		HostCA: hosts,
	}}}
	door := &Handler{Relay: r}
	mux := http.NewServeMux()
	mux.Handle("/", r)
	mux.Handle(Path, door)
	mux.Handle(RawPath, door)
	s := &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, ErrorLog: log.New(io.Discard, "", 0)}
	require.NoError(t, relay.ConfigureServer(s))
	go s.ServeTLS(relay.NewListener(l), "", "")
	out.Encode(procLine{Addr: l.Addr().String()})
	for in := bufio.NewScanner(os.Stdin); in.Scan(); { // ends with who started it
		// What is pooled outlives one collection.
		debug.FreeOSMemory()
		debug.FreeOSMemory()
		out.Encode(procLine{Collected: true})
	}
	os.Exit(0)
}

// A gatewayProcess is the process as the load generator sees it.
type gatewayProcess struct {
	b       *testing.B
	pid     int
	addr    string
	in      io.Writer
	lines   *json.Decoder
	tls     *tls.Config
	host    *tls.Certificate
	signing ed25519.PrivateKey
}

func startGateway(b *testing.B) *gatewayProcess {
	ca, hostCA := newAuthority(b), newAuthority(b)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(b, err)
	server := ca.issue(b, x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	require.NoError(b, err)
	dir := b.TempDir()
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	for name, data := range map[string][]byte{
		"server.pem": append(block("CERTIFICATE", server.Certificate[0]), block("PRIVATE KEY", key)...),
		"hosts.pem":  block("CERTIFICATE", hostCA.cert.Raw), "token.key": public,
	} {
		require.NoError(b, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestGatewayProcess$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), benchDirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	p := &gatewayProcess{
		b: b, pid: cmd.Process.Pid, in: in, lines: json.NewDecoder(out), signing: private,
		tls:  &tls.Config{RootCAs: ca.pool(), ServerName: "127.0.0.1", DynamicRecordSizingDisabled: true},
		host: hostCA.issue(b, x509.ExtKeyUsageClientAuth, func(c *x509.Certificate) { c.URIs = []*url.URL{identity.HostURI("host-1")} }),
	}
	var first procLine
	require.NoError(b, p.lines.Decode(&first))
	p.addr = first.Addr
	return p
}

// cpu is the processor time that the process has used, kernel's included.
func (p *gatewayProcess) cpu() (sum time.Duration) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.pid))
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

func (p *gatewayProcess) token() string {
	s, err := token.SignConnection("k1", p.signing, &token.Connection{
		ID: rand.Text(), User: reachback.User{Issuer: "https://issuer", Subject: "alice"}, Resource: "desktop", CorrelationID: rand.Text(),
	}, time.Now())
	require.NoError(p.b, err)
	return s
}

func (p *gatewayProcess) dial() *tls.Conn {
	c, err := tls.Dial("tcp", p.addr, p.tls)
	require.NoError(p.b, err)
	return c
}

// answer answers the next call.
func (p *gatewayProcess) answer() io.ReadWriteCloser {
	var l procLine
	require.NoError(p.b, p.lines.Decode(&l))
	leg, err := (&relay.Dialer{TLS: p.tls}).Answer(p.b.Context(), "https://"+p.addr, l.Call, relay.Ticket(l.Ticket), p.host)
	require.NoError(p.b, err)
	return leg
}

// A subject is one way to call. up sends the session's bytes, of which full holds as
// many as the bytes that it comes with.
type subject struct {
	name string
	open func(p *gatewayProcess) (client io.ReadCloser, up io.Writer, full []byte, host io.ReadWriteCloser)
}

const benchPiece = 16 << 10

var subjects = []subject{
	{"plain", func(p *gatewayProcess) (io.ReadCloser, io.Writer, []byte, io.ReadWriteCloser) {
		host := make(chan io.ReadWriteCloser, 1)
		go func() { host <- p.answer() }()
		leg, err := (&relay.Dialer{TLS: p.tls}).Call(p.b.Context(), "https://"+p.addr, p.token(), "")
		require.NoError(p.b, err)
		return leg, leg, make([]byte, benchPiece), <-host
	}},
	{"websocket", func(p *gatewayProcess) (io.ReadCloser, io.Writer, []byte, io.ReadWriteCloser) {
		c := &client{t: p.b, out: p.dial(), ws: true}
		c.r = bufio.NewReaderSize(c.out, 64<<10)
		c.write(c.out, webSocketRequest("RDG-Connection-Id: {1}"))
		require.Equal(p.b, http.StatusSwitchingProtocols, c.head().StatusCode)
		host := p.finish(c)
		frame := clientFrame(0x82, dataPacket(string(make([]byte, benchPiece))))
		return counter{c}, c.out, frame, host
	}},
	{"two-connections", func(p *gatewayProcess) (io.ReadCloser, io.Writer, []byte, io.ReadWriteCloser) {
		c := &client{t: p.b, out: p.dial(), in: p.dial()}
		c.r = bufio.NewReaderSize(c.out, 64<<10)
		id := newConnectionID()
		c.write(c.out, halfRequest(methodOut, id))
		require.Equal(p.b, http.StatusOK, c.head().StatusCode)
		io.ReadFull(c.r, make([]byte, 10))
		c.write(c.in, halfRequest(methodIn, id, "Transfer-Encoding: chunked"))
		host := p.finish(c)
		packet := dataPacket(string(make([]byte, benchPiece)))
		return counter{c}, c.in, fmt.Appendf(nil, "%x\r\n%s\r\n", len(packet), packet), host
	}},
}

func (p *gatewayProcess) finish(c *client) io.ReadWriteCloser {
	host := make(chan io.ReadWriteCloser, 1)
	go func() { host <- p.answer() }()
	c.open(p.token(), "desktop")
	return <-host
}

// counter reads a client's session and leaves its bytes where they are.
type counter struct{ *client }

func (c counter) Close() error {
	c.quit()
	return nil
}

func BenchmarkThroughput(b *testing.B) {
	peertest.Linux(b)
	const total = 256 << 20
	for _, direction := range []string{"down", "up"} {
		b.Run(direction, func(b *testing.B) {
			p := startGateway(b)
			figures := make(map[string][]float64)
			for b.Loop() {
				for _, s := range subjects {
					client, up, full, host := s.open(p)
					used := p.cpu()
					if direction == "down" {
						go carry(host, make([]byte, benchPiece), total)
						_, err := io.CopyN(io.Discard, client, total)
						require.NoError(b, err)
					} else {
						go carry(up, full, total)
						_, err := io.CopyN(io.Discard, host, total)
						require.NoError(b, err)
					}
					figures[s.name] = append(figures[s.name], (p.cpu()-used).Seconds()*(1<<30)/total)
					client.Close()
					host.Close()
				}
			}
			b.ReportMetric(0, "ns/op")
			plain := median(figures["plain"])
			for _, s := range subjects {
				b.ReportMetric(median(figures[s.name]), s.name+"-CPU-s/GiB")
				if s.name != "plain" {
					b.ReportMetric(median(figures[s.name])/plain, s.name+"-ratio")
				}
			}
		})
	}
}

// carry writes total bytes of a session, of which each full is benchPiece.
func carry(w io.Writer, full []byte, total int) {
	for range total / benchPiece {
		if _, err := w.Write(full); err != nil {
			return
		}
	}
}

// BenchmarkIdleMemory holds sessions that never carried a byte, and then the same
// after each carried many full records down. It is the relay's of that name, for each
// way to call: the resident memory of a pair, before and after Go's runtime was made to
// give back what it would give back in time.
func BenchmarkIdleMemory(b *testing.B) {
	peertest.Linux(b)
	const n, each = 200, 256 << 10
	for b.Loop() {
		for _, s := range subjects {
			p := startGateway(b)
			var closers []io.Closer
			open := func(n int, carried bool) {
				for range n {
					client, _, _, host := s.open(p)
					closers = append(closers, client, host)
					if carried {
						go carry(host, make([]byte, benchPiece), each)
						_, err := io.CopyN(io.Discard, client, each)
						require.NoError(b, err)
					}
				}
			}
			open(8, true)
			base := p.collected()
			note := func(what string) {
				b.ReportMetric(float64(p.resident()-base)/1024/n, s.name+what+"-KiB/pair")
				b.ReportMetric(float64(p.collected()-base)/1024/n, s.name+what+"-collected-KiB/pair")
			}
			open(n, false)
			note("")
			for i := 16; i < len(closers); i += 2 {
				go carry(closers[i+1].(io.Writer), make([]byte, benchPiece), each)
				_, err := io.CopyN(io.Discard, closers[i].(io.Reader), each)
				require.NoError(b, err)
			}
			note("-down")
			for _, c := range closers {
				c.Close()
			}
		}
	}
	b.ReportMetric(0, "ns/op")
}

// resident is the process's memory in bytes.
func (p *gatewayProcess) resident() int64 {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid))
	require.NoError(p.b, err)
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	require.NoError(p.b, err)
	return pages * int64(os.Getpagesize())
}

// collected is resident after a collection.
func (p *gatewayProcess) collected() int64 {
	io.WriteString(p.in, "collect\n")
	var l procLine
	require.NoError(p.b, p.lines.Decode(&l))
	require.True(p.b, l.Collected)
	return p.resident()
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
