//go:build unix

package broker_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/sqldirectory"
	"github.com/reachback/reachback/relay"
)

// The environment that makes the test binary a process of the benchmark: its
// broker, or its hosts.
const (
	benchRole  = "REACHBACK_BENCH_ROLE"
	benchDir   = "REACHBACK_BENCH_DIR"
	benchAddr  = "REACHBACK_BENCH_ADDR"
	benchHosts = "REACHBACK_BENCH_HOSTS"
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(benchRole) {
	case "broker":
		err = runBroker(os.Getenv(benchDir), os.Getenv(benchAddr))
	case "hosts":
		err = runHosts(os.Getenv(benchDir), os.Getenv(benchAddr))
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// usage is what the broker's process says of itself for each line that it is sent.
type usage struct {
	Channels int
	InUse    int64 // bytes of heap and stacks
	Resident int64 // bytes; 0 where the system has no /proc
	CPU      time.Duration
}

// runBroker is a broker on SQLite, until SIGTERM.
func runBroker(dir, addr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	d, err := sqldirectory.Open(ctx, "sqlite:"+filepath.Join(dir, "db"), &sqldirectory.Options{KeySecret: []byte("kV8cnz2LQ0wYbR5uTq1xH7eGm4JdPs9A")})
	if err != nil {
		return err
	}
	defer d.Close()
	keys, err := d.Keys(ctx)
	if err != nil {
		return err
	}
	b := &broker.Broker{Keys: keys, Directory: d}
	if err := prepare(ctx, dir, b, keys); err != nil {
		return err
	}
	cert, err := keys.ServerCertificate("127.0.0.1")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: b, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		ErrorLog: log.New(io.Discard, "", 0), // of handshakes that had to wait too long
	}
	if err := relay.ConfigureServer(server); err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	served := make(chan struct{})
	go func() { defer close(served); server.ServeTLS(l, "", "") }() // ended by Close below
	go answerUsage(b)                                               // ends with the process
	fmt.Println("ready")
	<-ctx.Done()
	goodbye, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	b.Shutdown(goodbye)
	server.Close()
	<-served
	return nil
}

// prepare leaves what hosts need in the folder, at the first start.
func prepare(ctx context.Context, dir string, b *broker.Broker, keys *broker.Keys) error {
	if _, err := os.Stat(filepath.Join(dir, "token")); err == nil {
		return nil
	}
	if err := b.Directory.Apply(ctx, &broker.Seed{Pools: []broker.SeedPool{{Name: "pool"}}}); err != nil {
		return err
	}
	token, _, err := b.NewRegistrationToken(ctx, broker.TokenOptions{Life: time.Hour, Uses: 1 << 20})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "ca"), keys.ServerCA(), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "token"), []byte(token), 0o600)
}

func answerUsage(b *broker.Broker) {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		u := usage{Channels: b.Stats().Channels, CPU: processorTime()}
		if in.Text() == "memory" {
			u.InUse, u.Resident = memory()
		}
		json.NewEncoder(os.Stdout).Encode(u)
	}
}

// runHosts enrols hosts and keeps their channels until standard input ends.
func runHosts(dir, addr string) error {
	n, err := strconv.Atoi(os.Getenv(benchHosts))
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca"))
	if err != nil {
		return err
	}
	token, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config := &tls.Config{RootCAs: roots}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var enrolling, running errgroup.Group
	enrolling.SetLimit(32)
	for range n {
		enrolling.Go(func() error {
			id, err := broker.NewIdentity()
			if err != nil {
				return err
			}
			a := &broker.Agent{Server: "https://" + addr, Identity: id, TLS: config}
			if _, err := a.Enrol(ctx, broker.EnrolOptions{Token: string(token), Pool: "pool"}); err != nil {
				return err
			}
			running.Go(func() error { return a.Run(ctx, idle{}) }) // ends with the process
			return nil
		})
	}
	if err := enrolling.Wait(); err != nil {
		return err
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	return nil
}

// idle is the handler of a host without sessions.
type idle struct{}

func (idle) Welcome(*broker.Welcome)                      {}
func (idle) Summon(context.Context, *broker.Summon) error { return nil }
func (idle) Disconnect(string, reachback.Code)            {}
func (idle) Sessions() []broker.SessionReport             { return nil }

// A child is a process of the benchmark.
type child struct {
	b   *testing.B
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startChild starts a process and waits until it is ready.
func startChild(b *testing.B, role string, env ...string) *child {
	c := &child{b: b, cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(append(os.Environ(), benchRole+"="+role), env...)
	c.cmd.Stderr = os.Stderr
	var err error
	c.in, err = c.cmd.StdinPipe()
	require.NoError(b, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(b, err)
	c.out = bufio.NewReader(out)
	require.NoError(b, c.cmd.Start())
	b.Cleanup(c.kill)
	line, err := c.out.ReadString('\n')
	require.NoError(b, err)
	require.Equal(b, "ready\n", line)
	return c
}

func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

func (c *child) usage(what string) (u usage) {
	fmt.Fprintln(c.in, what)
	line, err := c.out.ReadBytes('\n')
	require.NoError(c.b, err)
	require.NoError(c.b, json.Unmarshal(line, &u))
	return u
}

// await waits until there are n channels and returns how long half of them took,
// and all.
func (c *child) await(n int, since time.Time) (half, all time.Duration) {
	for {
		channels := c.usage("channels").Channels
		if half == 0 && channels >= n/2 {
			half = time.Since(since)
		}
		if channels >= n {
			return half, time.Since(since)
		}
		require.Less(c.b, time.Since(since), 10*time.Minute, "%d channels of %d", channels, n)
		<-time.After(100 * time.Millisecond)
	}
}

// BenchmarkIdleChannel measures what idle control channels cost the broker's
// process, and how soon all hosts are back after it was killed, and after a restart
// that it had announced. The hosts, real agents, are in another process.
func BenchmarkIdleChannel(b *testing.B) {
	const (
		n      = 10_000
		settle = 30 * time.Second // every host was pinged and said how it is
	)
	for b.Loop() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		env := []string{benchDir + "=" + b.TempDir(), benchAddr + "=" + l.Addr().String(), benchHosts + "=" + strconv.Itoa(n)}
		l.Close()

		bk := startChild(b, "broker", env...)
		before := bk.usage("memory")
		hosts := startChild(b, "hosts", env...)
		bk.await(n, time.Now())
		<-time.After(settle)
		began, idle := time.Now(), bk.usage("memory")
		b.ReportMetric(float64(idle.InUse-before.InUse)/n, "heap+stack-B/channel")
		b.ReportMetric(float64(idle.Resident-before.Resident)/n, "rss-B/channel")
		idle = bk.usage("cpu")
		<-time.After(settle)
		b.ReportMetric(100*(bk.usage("cpu").CPU-idle.CPU).Seconds()/time.Since(began).Seconds(), "idle-%cpu")

		bk.kill()
		began = time.Now()
		bk = startChild(b, "broker", env...)
		half, all := bk.await(n, began)
		b.ReportMetric(half.Seconds(), "s-half-back-after-kill")
		b.ReportMetric(all.Seconds(), "s-all-back-after-kill")

		<-time.After(settle)
		began = time.Now()
		bk.cmd.Process.Signal(syscall.SIGTERM)
		bk.cmd.Wait()
		bk = startChild(b, "broker", env...)
		half, all = bk.await(n, began)
		b.ReportMetric(half.Seconds(), "s-half-back-after-restart")
		b.ReportMetric(all.Seconds(), "s-all-back-after-restart")
		hosts.kill()
		bk.kill()
	}
}

// processorTime is what the process has used, in the kernel too.
func processorTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// memory returns the bytes in use by heap and stacks, and the resident ones.
func memory() (inUse, resident int64) {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := strings.Fields(string(statm)); len(f) > 1 {
			pages, _ := strconv.ParseInt(f[1], 10, 64)
			resident = pages * int64(os.Getpagesize())
		}
	}
	return int64(m.HeapAlloc + m.StackInuse), resident
}
