//go:build unix

package examples_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bin is the folder of the example programs, built once for all tests.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "reachback-examples-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin = dir
		args := []string{"build", "-o", dir}
		if raceEnabled {
			args = append(args, "-race")
		}
		out, err := exec.Command("go", append(args, "./server", "./sessionhost", "./client", "./quickstart")...).CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// patience is how long a test waits for what should come at once; it is long
// because the machine may be busy.
const patience = 30 * time.Second

// An event is one line of a program's standard output.
type event map[string]any

func (e event) str(key string) string { s, _ := e[key].(string); return s }

// A process is one of our programs, or a peer's, while it runs.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd

	mu     sync.Mutex
	events []event
	seen   int // events before this index were taken by await
	wake   chan struct{}
	stderr bytes.Buffer
	exited chan struct{} // closed once the process is gone and its output read
}

// start starts one of the example programs. It is killed at the end of the test.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(filepath.Join(bin, name), args...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: filepath.Base(cmd.Path), cmd: cmd, wake: make(chan struct{}, 1), exited: make(chan struct{})}
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = &lockedBuffer{mu: &p.mu, b: &p.stderr}
	require.NoError(t, cmd.Start())
	go func() { // ends with the process, awaited by the cleanup
		defer close(p.exited)
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				e = event{"event": "not JSON", "line": lines.Text()}
			}
			p.mu.Lock()
			p.events = append(p.events, e)
			p.mu.Unlock()
			select {
			case p.wake <- struct{}{}:
			default:
			}
		}
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGCONT)
		cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("%s printed:\n%v\n%s", p.name, p.events, tail(p.stderr.String(), 4000))
		}
	})
	return p
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

type lockedBuffer struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// await returns the next event with that name, which must come within d.
func (p *process) await(name string, d time.Duration) event {
	p.t.Helper()
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	for {
		p.mu.Lock()
		for p.seen < len(p.events) {
			e := p.events[p.seen]
			p.seen++
			if e.str("event") == name {
				p.mu.Unlock()
				return e
			}
		}
		p.mu.Unlock()
		select {
		case <-p.wake:
		case <-p.exited:
			p.mu.Lock()
			left := p.seen < len(p.events)
			p.mu.Unlock()
			if !left {
				p.t.Fatalf("%s ended without event %q:\n%s", p.name, name, p.log())
			}
		case <-timeout.C:
			p.t.Fatalf("%s: no event %q within %v", p.name, name, d)
		}
	}
}

// event returns the last event with that name that has come so far.
func (p *process) event(name string) event {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range slices.Backward(p.events) {
		if e.str("event") == name {
			return e
		}
	}
	return nil
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// exit waits for the end of the process and returns its status.
func (p *process) exit(d time.Duration) int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(d):
		p.t.Fatalf("%s still runs after %v", p.name, d)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) signal(s os.Signal) { require.NoError(p.t, p.cmd.Process.Signal(s)) }

func (p *process) pid() int { return p.cmd.Process.Pid }

// descriptors counts the open descriptors of the process.
func (p *process) descriptors() int {
	entries, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(p.pid()), "fd"))
	require.NoError(p.t, err)
	return len(entries)
}

// freeAddr returns a loopback address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// An installation is a server, with hosts and clients to come.
type installation struct {
	t      *testing.T
	dir    string
	addr   string
	url    string
	ca     string // path of what hosts and clients trust
	admin  string // base URL of the admin address, if it has one
	server *process
}

func install(t *testing.T, args ...string) *installation {
	t.Helper()
	in := &installation{t: t, dir: t.TempDir(), addr: freeAddr(t)}
	in.url = "https://" + in.addr
	in.ca = in.path("srv", "ca.pem")
	in.startServer(args...)
	return in
}

func (in *installation) startServer(args ...string) {
	in.server = start(in.t, "server", append([]string{"-dir", in.path("srv"), "-listen", in.addr, "-public-url", in.url, "-dev-idp", "-v"}, args...)...)
	in.admin = in.server.await("ready", patience).str("admin")
}

func (in *installation) path(elem ...string) string {
	return filepath.Join(append([]string{in.dir}, elem...)...)
}

// host starts a session host and waits until it is registered.
func (in *installation) host(name, target string, args ...string) *process {
	in.t.Helper()
	p := start(in.t, "sessionhost", append([]string{
		"-server", in.url, "-dir", in.path(name), "-target", target, "-ca", in.ca,
		"-enrol", in.path("srv", "registration.token"), "-name", name, "-v"}, args...)...)
	p.await("registered", patience)
	return p
}

// client starts a client of the user that carries connections to the resource,
// and returns it with its address.
func (in *installation) client(user, resource string) (*process, string) {
	in.t.Helper()
	p := start(in.t, "client", "-server", in.url, "-token", in.path("srv", user+".token"), "-dir", in.path("client-"+user),
		"-ca", in.ca, "-resource", resource, "-listen", "127.0.0.1:0", "-v")
	return p, p.await("listening", patience).str("addr")
}

// echoServer stands for an RDP server where only the bytes matter. It returns
// its address.
func echoServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				stop := context.AfterFunc(ctx, func() { c.Close() })
				defer stop()
				buf := make([]byte, 64<<10)
				for {
					n, err := c.Read(buf)
					if _, werr := c.Write(buf[:n]); err != nil || werr != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
	return l.Addr().String()
}

// exchange sends a line to an echo server and reads it back.
func exchange(c net.Conn, line string) error {
	c.SetDeadline(time.Now().Add(patience))
	defer c.SetDeadline(time.Time{})
	if _, err := c.Write([]byte(line)); err != nil {
		return err
	}
	got := make([]byte, len(line))
	for n := 0; n < len(got); {
		k, err := c.Read(got[n:])
		if err != nil {
			return err
		}
		n += k
	}
	if string(got) != line {
		return errors.New("the echo differs")
	}
	return nil
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func lines(s string) []string {
	return strings.Split(strings.TrimRight(s, "\n"), "\n")
}
