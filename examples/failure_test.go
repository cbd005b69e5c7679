//go:build unix

package examples_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/peertest"
)

// deathNoticed is how soon the others know of a process that was killed.
const deathNoticed = 2 * time.Second

// silenceNoticed is how soon they know of one that fell silent.
const silenceNoticed = 25*time.Second + deathNoticed

// A session of three processes with an echo server behind it.
type session struct {
	*installation
	host, client *process
	addr         string // where the client listens
	id           string
}

func startSession(t *testing.T) *session {
	t.Helper()
	s := &session{installation: install(t)}
	s.host = s.installation.host("host", echoServer(t))
	s.client, s.addr = s.installation.client("alice", "desktop")
	c := dial(t, s.addr)
	require.NoError(t, exchange(c, "hello"))
	s.id = s.host.await("session", patience).str("session")
	s.client.await("connected", patience)
	return s
}

// endsWith checks the end of the session at p.
func (s *session) endsWith(p *process, code string, within time.Duration) {
	s.t.Helper()
	e := p.await("end", within)
	require.Equal(s.t, s.id, e.str("session"))
	require.Equal(s.t, code, e.str("code"))
}

// serverNotices waits for the server's record of the session's end.
func (s *session) serverNotices(code string) {
	s.t.Helper()
	deadline := time.After(deathNoticed)
	for {
		for _, line := range lines(s.server.log()) {
			if strings.Contains(line, s.id) && strings.Contains(line, "code="+code) {
				return
			}
		}
		select {
		case <-deadline:
			s.t.Fatalf("the server does not record %s within %v", code, deathNoticed)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestKill9_TheOthersNoticeAndLeakNothing(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		t.Parallel()
		s := startSession(t)
		s.client.signal(syscall.SIGKILL)
		s.endsWith(s.host, "path_lost", deathNoticed)
		s.serverNotices("client_lost")
	})
	t.Run("session host", func(t *testing.T) {
		t.Parallel()
		s := startSession(t)
		s.host.signal(syscall.SIGKILL)
		s.endsWith(s.client, "path_lost", deathNoticed)
		s.serverNotices("host_lost")
	})
	t.Run("server", func(t *testing.T) {
		t.Parallel()
		s := startSession(t)
		s.server.signal(syscall.SIGKILL)
		s.endsWith(s.client, "path_lost", deathNoticed)
		s.endsWith(s.host, "path_lost", deathNoticed)
		// The host comes back by itself, and so does the client.
		<-s.server.exited
		s.startServer()
		eventually(t, "the host is placed again", func() bool {
			c := dial(t, s.addr)
			defer c.Close()
			return exchange(c, "hello again") == nil
		})
	})
	t.Run("a cut is no end for the RDP client", func(t *testing.T) {
		t.Parallel()
		in := install(t)
		in.host("host", echoServer(t))
		_, addr := in.client("alice", "desktop")
		c := dial(t, addr)
		require.NoError(t, exchange(c, "hello"))
		in.server.signal(syscall.SIGKILL)
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
	t.Run("nothing is left behind", func(t *testing.T) {
		peertest.Linux(t)
		t.Parallel()
		in := install(t)
		host := in.host("host", echoServer(t))
		client, addr := in.client("alice", "desktop")
		// The first session loads what stays loaded.
		once := func() {
			c := dial(t, addr)
			require.NoError(t, exchange(c, "hello"))
			c.Close()
			client.await("end", patience)
			host.await("end", patience)
		}
		once()
		before := [3]int{in.server.descriptors(), host.descriptors(), client.descriptors()}
		nothingLeft := func(alive ...*process) {
			for i, p := range alive {
				eventually(t, p.name+" has no more descriptors than before", func() bool { return p.descriptors() <= before[i] })
			}
		}
		for range 20 {
			once()
		}
		nothingLeft(in.server, host, client)
		for range 5 {
			require.NoError(t, exchange(dial(t, addr), "hello"))
		}
		client.signal(syscall.SIGKILL)
		nothingLeft(in.server, host)
	})
}

func TestSilence_TheOthersNotice(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 25 seconds of real time")
	}
	// All fall silent at once, so that the wait is paid once.
	noClient, noHost, noServer := startSession(t), startSession(t), startSession(t)
	noClient.client.signal(syscall.SIGSTOP)
	noHost.host.signal(syscall.SIGSTOP)
	noServer.server.signal(syscall.SIGSTOP)
	noClient.endsWith(noClient.host, "path_lost", silenceNoticed)
	noHost.endsWith(noHost.client, "path_lost", deathNoticed)
	noServer.endsWith(noServer.client, "path_lost", deathNoticed)
	noServer.endsWith(noServer.host, "path_lost", deathNoticed)
	eventually(t, "the broker notices the host", func() bool { return strings.Contains(noHost.server.log(), "heartbeat_lost") })
	eventually(t, "the host's agent notices the broker", func() bool { return strings.Contains(noServer.host.log(), "heartbeat_lost") })
}

func TestSignal_DrainsAndExitsZero(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			s := startSession(t)
			for _, p := range []*process{s.client, s.host, s.server} {
				p.signal(sig)
				require.Zero(t, p.exit(patience), p.log())
			}
		})
	}
}

// The agent listens on nothing: no socket of its process is a listener, and none
// takes datagrams from everywhere.
func TestSessionHost_ListensOnNothing(t *testing.T) {
	peertest.Linux(t)
	s := startSession(t)
	for p, listens := range map[*process]bool{s.server: true, s.host: false} {
		require.Equal(t, listens, len(listeners(t, p)) > 0, "%s: %v", p.name, listeners(t, p))
	}
}

// listeners returns the lines of /proc/PID/net of the process's own sockets that
// let something in: listening TCP sockets and unconnected UDP and raw ones.
func listeners(t *testing.T, p *process) (found []string) {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(p.pid()))
	own := map[string]bool{}
	entries, err := os.ReadDir(filepath.Join(proc, "fd"))
	require.NoError(t, err)
	for _, e := range entries {
		if link, err := os.Readlink(filepath.Join(proc, "fd", e.Name())); err == nil {
			if inode, ok := strings.CutPrefix(link, "socket:["); ok {
				own[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	require.NotEmpty(t, own, "the process has no socket at all")
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6", "raw", "raw6"} {
		data, err := os.ReadFile(filepath.Join(proc, "net", table))
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		for _, line := range lines(string(data))[1:] {
			f := strings.Fields(line)
			const listen, unconnected = "0A", "07"
			if own[f[9]] && (f[3] == listen || f[3] == unconnected) {
				found = append(found, table+" "+f[1])
			}
		}
	}
	return found
}

// Each mistake ends the program with one line and its status, or the attempt
// with its code, and disturbs nothing else.
func TestBadInput_Programs(t *testing.T) {
	in := install(t)
	ca := in.path("srv", "ca.pem")
	otherCA := writeFile(t, in.path("other-ca.pem"), otherAuthority)
	registration := in.path("srv", "registration.token")
	target := echoServer(t)
	host := in.host("host", target)
	_, addr := in.client("alice", "desktop")
	file := writeFile(t, in.path("file"), "not a folder")
	taken := in.addr
	free := freeAddr(t)
	serverArgs := func(args ...string) []string {
		return append([]string{"-dir", filepath.Join(t.TempDir(), "srv"), "-listen", free, "-public-url", "https://" + free, "-dev-idp"}, args...)
	}
	hostArgs := func(args ...string) []string {
		return append([]string{"-server", in.url, "-dir", filepath.Join(t.TempDir(), "host"), "-target", target, "-ca", ca, "-enrol", registration}, args...)
	}
	clientArgs := func(args ...string) []string {
		return append([]string{"-server", in.url, "-token", in.path("srv", "alice.token"), "-dir", filepath.Join(t.TempDir(), "client"), "-ca", ca}, args...)
	}
	gatewayArgs := func(args ...string) []string {
		return append([]string{"-roles", "gateway", "-dir", filepath.Join(t.TempDir(), "gw"), "-listen", free, "-public-url", "https://" + free,
			"-broker", in.url, "-ca", ca, "-enrol", in.path("srv", "gateway-registration.token")}, args...)
	}
	key := writeFile(t, in.path("key"), goodSecret)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // which nobody accepts from
	require.NoError(t, err)
	defer silent.Close()
	seed := func(content string) []string {
		return serverArgs("-seed", writeFile(t, filepath.Join(t.TempDir(), "seed.json"), content))
	}
	tests := []struct {
		name    string
		program string
		args    []string
		status  int
		says    string
	}{
		{"unknown flag", "server", []string{"-nonsense"}, 2, "nonsense"},
		{"missing flag", "sessionhost", nil, 2, "-server"},
		{"a log of no known format", "server", serverArgs("-log", "nonsense"), 2, "-log"},
		{"stray argument", "client", []string{"stray"}, 2, "stray"},
		{"plain http", "server", serverArgs("-public-url", "http://127.0.0.1:1"), 2, "https"},
		{"plain http to the feed", "client", clientArgs("-server", "http://127.0.0.1:1"), 2, "https"},
		{"path in the broker's URL", "sessionhost", hostArgs("-server", "https://127.0.0.1:1/path"), 2, "-server"},
		{"demonstration issuer on a public address", "server", serverArgs("-listen", "0.0.0.0:0"), 2, "loopback"},
		{"port in use", "server", serverArgs("-listen", taken), 1, "in use"},
		{"second process on one folder", "server", serverArgs("-dir", in.path("srv")), 1, "another process"},
		{"second host on one folder", "sessionhost", hostArgs("-dir", in.path("host")), 1, "another process"},
		{"second client on one folder", "client", clientArgs("-dir", in.path("client-alice")), 1, "another process"},
		{"folder is a file", "server", serverArgs("-dir", file), 1, "-dir"},
		{"seed is missing", "server", serverArgs("-seed", in.path("nowhere")), 1, "nowhere"},
		{"seed is broken", "server", seed("{\n\"pools\": [}"), 1, "line 2"},
		{"seed has an unknown key", "server", seed("{\n\"users\": [],\n\"polls\": []}"), 1, "line 3"},
		{"seed has a property that no file can hold", "server", seed(`{"pools": [{"name": "p", "rdp": {"audiomode": "x:0"}}]}`), 1, "audiomode"},
		{"seed has an unknown pool", "server", seed("{\n\"resources\": [\n{\"id\": \"a\", \"pool\": \"nowhere\"}]}"), 1, "line 3"},
		{"seed has a value that cannot work", "server", seed("{\n\"pools\": [{\"name\": \"p\",\n\"balance\": \"width\"}]}"), 1, "line 3"},
		{"database is down", "server", serverArgs("-db", "postgres://reachback@"+free+"/reachback", "-key-file", key), 1, "connect"},
		{"database says nothing", "server", serverArgs("-db", "postgres://reachback@"+silent.Addr().String()+"/reachback", "-key-file", key), 1, "time"},
		{"database in no folder", "server", serverArgs("-db", "sqlite:"+in.path("no", "where.db")), 1, "where.db"},
		{"database is another file", "server", serverArgs("-db", "sqlite:"+ca), 1, "not a database"},
		{"database of another kind", "server", serverArgs("-db", "mysql://reachback@db/reachback"), 2, "-db"},
		{"key file is missing", "server", serverArgs("-key-file", in.path("nowhere")), 1, "-key-file"},
		{"no issuer", "server", serverArgs("-dev-idp=false"), 2, "-oidc-issuer"},
		{"issuer at plain http", "server", serverArgs("-dev-idp=false", "-oidc-issuer", "http://idp.example.com", "-oidc-audience", "a"), 2, "-oidc-issuer"},
		{"issuer for any audience", "server", serverArgs("-dev-idp=false", "-oidc-issuer", "https://idp.example.com"), 2, "-oidc-audience"},
		{"unknown role", "server", serverArgs("-roles", "gateway,king"), 2, "-roles"},
		{"gateway without broker", "server", gatewayArgs("-broker", ""), 2, "-broker"},
		{"gateway with a database", "server", gatewayArgs("-db", "sqlite:x"), 2, "-db"},
		{"no registration token for a gateway", "server", gatewayArgs("-enrol", ""), 2, "-enrol"},
		{"a host's registration token for a gateway", "server", gatewayArgs("-enrol", registration), 1, "wrong_role"},
		{"a gateway's registration token for a host", "sessionhost", hostArgs("-enrol", in.path("srv", "gateway-registration.token")), 1, "wrong_role"},
		{"broker of a gateway unreachable", "server", gatewayArgs("-broker", "https://"+free), 1, "broker_unreachable"},
		{"wrong CA for the broker of a gateway", "server", gatewayArgs("-ca", otherCA), 1, "certificate_untrusted"},
		{"admin address for everybody", "server", serverArgs("-admin", "0.0.0.0:0"), 2, "-admin"},
		{"certificate without key", "server", serverArgs("-tls-cert", ca), 2, "-tls-key"},
		{"CA file without certificate", "sessionhost", hostArgs("-ca", file), 1, "no certificate"},
		{"wrong CA at enrolment", "sessionhost", hostArgs("-ca", otherCA), 1, "certificate_untrusted"},
		{"wrong CA at the feed", "client", clientArgs("-ca", otherCA), 1, "certificate_untrusted"},
		{"broker unreachable at enrolment", "sessionhost", hostArgs("-server", "https://"+free), 1, "broker_unreachable"},
		{"feed unreachable", "client", clientArgs("-server", "https://"+free), 1, "broker_unreachable"},
		{"registration token unknown", "sessionhost", hostArgs("-enrol", writeFile(t, in.path("bad.token"), "nonsense\n")), 1, "registration_invalid"},
		{"no registration token", "sessionhost", hostArgs("-enrol", ""), 2, "-enrol"},
		{"user's token unknown", "client", clientArgs("-token", file), 1, "token_invalid"},
		{"user's token file missing", "client", clientArgs("-token", in.path("nowhere")), 1, "nowhere"},
		{"listening for everybody", "client", clientArgs("-resource", "desktop", "-listen", "0.0.0.0:0"), 2, "loopback"},
		{"client's port in use", "client", clientArgs("-resource", "desktop", "-listen", taken), 1, "in use"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := start(t, tt.program, tt.args...)
			require.Equal(t, tt.status, p.exit(patience), p.log())
			last := lines(p.log())
			require.True(t, strings.HasPrefix(last[len(last)-1], tt.program+": "), p.log())
			require.Contains(t, last[len(last)-1], tt.says)
			require.NotContains(t, p.log(), "goroutine ")
		})
	}
	require.NoError(t, exchange(dial(t, addr), "still working"))
	host.await("session", patience)
}

// Each failed attempt to open a resource is an end with its code.
func TestBadInput_Attempts(t *testing.T) {
	t.Run("unknown resource", func(t *testing.T) {
		in := install(t)
		require.Equal(t, "resource_not_found", attempt(t, in, "alice", "nothing"))
	})
	t.Run("resource of another user", func(t *testing.T) {
		in := install(t, "-seed", writeFile(t, filepath.Join(t.TempDir(), "seed.json"), twoUsers))
		in.host("host", echoServer(t))
		require.Equal(t, "resource_not_found", attempt(t, in, "bob", "desktop"))
		_, addr := in.client("alice", "desktop")
		require.NoError(t, exchange(dial(t, addr), "hello"))
	})
	t.Run("no host up", func(t *testing.T) {
		require.Equal(t, "no_host", attempt(t, install(t), "alice", "desktop"))
	})
	t.Run("RDP server down", func(t *testing.T) {
		in := install(t)
		in.host("host", freeAddr(t))
		require.Equal(t, "target_unavailable", attempt(t, in, "alice", "desktop"))
	})
	t.Run("server gone", func(t *testing.T) {
		in := install(t)
		client, addr := in.client("alice", "desktop")
		in.server.signal(syscall.SIGKILL)
		<-in.server.exited
		dial(t, addr)
		require.Equal(t, "broker_unreachable", client.await("end", patience).str("code"))
	})
	t.Run("gateway unreachable", func(t *testing.T) {
		in := install(t, "-instance-url", "https://"+freeAddr(t))
		in.host("host", echoServer(t))
		require.Equal(t, "gateway_unreachable", attempt(t, in, "alice", "desktop"))
	})
	t.Run("taken name", func(t *testing.T) {
		in := install(t)
		in.host("first", echoServer(t), "-name", "pc")
		second := start(t, "sessionhost", "-server", in.url, "-dir", in.path("second"), "-target", echoServer(t), "-ca", in.path("srv", "ca.pem"),
			"-enrol", in.path("srv", "registration.token"), "-name", "pc")
		registered := second.await("registered", patience)
		require.NotEqual(t, "pc", registered.str("name"), "the name went to another key")
		require.Eventually(t, func() bool { return strings.Contains(second.log(), "name_taken") }, patience, 10*time.Millisecond)
	})
}

// attempt opens the resource once and returns the code that it ends with.
func attempt(t *testing.T, in *installation, user, resource string) string {
	t.Helper()
	client, addr := in.client(user, resource)
	dial(t, addr)
	e := client.await("end", patience)
	require.NotEmpty(t, e.str("message"))
	return e.str("code")
}

// An unwritable folder: root may write everywhere, so the test needs a place
// where even root may not.
func TestBadInput_UnwritableFolder(t *testing.T) {
	peertest.Linux(t)
	p := start(t, "server", "-dir", "/proc/reachback", "-listen", freeAddr(t), "-public-url", "https://127.0.0.1:1", "-dev-idp")
	require.Equal(t, 1, p.exit(patience))
	require.Len(t, lines(p.log()), 1)
	require.Contains(t, p.log(), "-dir")
}

// -h and -version answer on standard error and leave standard output to events.
func TestHelpAndVersion(t *testing.T) {
	for _, program := range []string{"quickstart", "server", "sessionhost", "client"} {
		for flag, says := range map[string]string{"-h": "-dir", "-version": program + " "} {
			var out, errs strings.Builder
			cmd := exec.Command(filepath.Join(bin, program), flag)
			cmd.Stdout, cmd.Stderr = &out, &errs
			require.NoError(t, cmd.Run())
			require.Empty(t, out.String())
			require.Contains(t, errs.String(), says)
		}
	}
}

const twoUsers = `{
 "users": [{"name": "alice", "groups": ["staff"]}, {"name": "bob"}],
 "pools": [{"name": "desktops", "kind": "pooled"}],
 "resources": [{"id": "desktop", "title": "Desktop", "kind": "desktop", "pool": "desktops", "assign": ["group:staff"]}]
}`

// otherAuthority is a certificate authority that nobody here uses.
const otherAuthority = `-----BEGIN CERTIFICATE-----
MIIBjzCCATWgAwIBAgIUEisyI+jBX5NTEcyh7UtbMWn6tpUwCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRYW5vdGhlciBhdXRob3JpdHkwIBcNMjYxMTIyMTQyMzQzWhgP
MjEyNjEwMjkxNDIzNDNaMBwxGjAYBgNVBAMMEWFub3RoZXIgYXV0aG9yaXR5MFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEM0vc0pp5ZeNt34cRR/bbEjuqaJe2156J
tH3Ue9OGJQs8h5bJtfP+Q0QZ7FNEaqVgHjwxpm7r813sAU0oQe/3jKNTMFEwHQYD
VR0OBBYEFLuZVjLSo8TBnqwqyf9vCDGYGeR/MB8GA1UdIwQYMBaAFLuZVjLSo8TB
nqwqyf9vCDGYGeR/MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIh
AKSb/+qMBU7pLABmfFOfJn4q2pVOO8HrwtA1V0UmwmTrAiAKlbHsQofcZmH/gadr
sFqp1SyIx+eSk3t5c/4woSyr+A==
-----END CERTIFICATE-----
`
