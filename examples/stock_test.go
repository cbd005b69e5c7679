//go:build unix

package examples_test

import (
	"fmt"
	"image"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
	"github.com/reachback/reachback/internal/peertest"
)

// stockSeed has a pool for each RDP server, which all admit stock clients but one. They
// play no sound: Remmina, on a machine without a sound device, would not get far.
const stockSeed = `{
 "users": [{"name": "alice"}, {"name": "bob"}],
 "pools": [{"name": "shadow", "raw": true, "max_sessions": 1, "rdp": {"audiomode": "i:2"}}, {"name": "weston", "raw": true}, {"name": "xrdp", "raw": true},
  {"name": "closed"}, {"name": "empty", "raw": true}],
 "resources": [
  {"id": "shadow", "title": "Shadow", "pool": "shadow", "assign": ["user:alice", "user:bob"]},
  {"id": "weston", "title": "Weston", "pool": "weston", "assign": ["user:alice"]},
  {"id": "xrdp", "title": "xrdp", "pool": "xrdp", "assign": ["user:alice"]},
  {"id": "closed", "title": "Our client only", "pool": "closed", "assign": ["user:alice"]},
  {"id": "empty", "title": "Nobody there", "pool": "empty", "assign": ["user:alice"]}]
}`

func installStock(t *testing.T, args ...string) *installation {
	t.Helper()
	seed := writeFile(t, filepath.Join(t.TempDir(), "seed.json"), stockSeed)
	return install(t, append([]string{"-seed", seed, "-admin", "127.0.0.1:0"}, args...)...)
}

// Clients that know nothing of us open resources with the file that the feed gives them.
func TestStockClients(t *testing.T) {
	t.Parallel()
	shadow := startDesktop(t)
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writePublisher(t, cert, key, "Publisher", time.Now().Add(time.Hour))
	in := installStock(t, "-sign-cert", cert, "-sign-key", key)
	host := in.host("host-shadow", shadow.addr, "-pool", "shadow")

	// use opens the resource with the client, types, leaves, and looks at what the
	// host has to say of it.
	use := func(t *testing.T, host *process, d *desktop, v *viewer, at image.Point, connections int) {
		t.Helper()
		session := host.await("session", patience)
		require.Equal(t, true, session["raw"])
		require.Equal(t, "alice", session.str("user"))
		v.awaitDesktop(d, at)
		require.Equal(t, connections, v.client.connections(), "connections of the client")
		d.greet(t, v)
		v.leave()
		end := host.await("end", patience)
		require.Equal(t, session.str("session"), end.str("session"))
		require.Equal(t, session.str("correlation_id"), end.str("correlation_id"))
	}
	freerdp := func(t *testing.T, name, file string, args ...string) *viewer {
		t.Helper()
		return startViewer(t, name, "xfreerdp", append([]string{file, "/cert:ignore"}, args...)...)
	}

	t.Run("FreeRDP, one WebSocket", func(t *testing.T) {
		use(t, host, shadow, freerdp(t, "freerdp-websocket", in.stockFile(t, "alice", "shadow")), image.Point{}, 1)
	})
	t.Run("FreeRDP, two connections", func(t *testing.T) {
		use(t, host, shadow, freerdp(t, "freerdp-two-connections", in.stockFile(t, "alice", "shadow"), "/gt:http,no-websockets"), image.Point{}, 2)
	})
	t.Run("Remmina", func(t *testing.T) {
		// Its window begins with a bar of buttons and a row of tabs.
		use(t, host, shadow, startRemmina(t, in.stockFile(t, "alice", "shadow")), image.Pt(45, 40), 2)
	})
	t.Run("weston behind it", func(t *testing.T) {
		d := startWeston(t)
		host := in.host("host-weston", d.addr, "-pool", "weston")
		use(t, host, d, freerdp(t, "weston", in.stockFile(t, "alice", "weston")), image.Point{}, 1)
	})
	t.Run("xrdp behind it", func(t *testing.T) {
		d := startXrdp(t)
		host := in.host("host-xrdp", d.addr, "-pool", "xrdp")
		use(t, host, d, freerdp(t, "xrdp", in.stockFile(t, "alice", "xrdp"), "/u:alice", "/p:alice"), image.Point{}, 1)
	})
	for _, proxy := range []struct {
		name  string
		start func(t *testing.T, backend string) (addr string)
	}{
		{"nginx", startNginx},
		{"HAProxy", startHAProxy},
	} {
		t.Run(proxy.name+" in front of it", func(t *testing.T) {
			file := in.stockFile(t, "alice", "shadow")
			rewrite(t, file, "gatewayhostname", proxy.start(t, in.addr))
			use(t, host, shadow, freerdp(t, proxy.name, file), image.Point{}, 1)
		})
	}
}

// connections counts the TCP connections that the process has.
func (p *process) connections() int {
	p.t.Helper()
	peertest.Linux(p.t)
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.pid()))
	require.NoError(p.t, err)
	its := make(map[string]bool)
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil {
			its[to] = true
		}
	}
	const state, inode, established = 3, 9, "01"
	n := 0
	for _, line := range lines(readFile(p.t, "/proc/net/tcp")) {
		if f := strings.Fields(line); len(f) > inode && f[state] == established && its["socket:["+f[inode]+"]"] {
			n++
		}
	}
	return n
}

// stockFile gets a file that opens the resource in a stock client, from where our own
// client and scripts get it.
func (in *installation) stockFile(t *testing.T, user, resource string) string {
	t.Helper()
	status, body := in.askStockFile(t, user, resource)
	require.Equal(t, http.StatusOK, status, "%s", body)
	return writeFile(t, filepath.Join(t.TempDir(), resource+".rdp"), body)
}

func (in *installation) askStockFile(t *testing.T, user, resource string) (status int, body string) {
	t.Helper()
	trust, err := program.TrustFile(in.ca)
	require.NoError(t, err)
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
	defer hc.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "POST", in.url+"/reachback/v1/connect", strings.NewReader(fmt.Sprintf(`{"resource": %q}`, resource)))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(readFile(t, in.path("srv", user+".token"))))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/x-rdp")
	resp, err := hc.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(answer)
}

// rewrite changes a setting of an .rdp file and returns what it was.
func rewrite(t *testing.T, file, name, value string) string {
	t.Helper()
	f, err := feed.ParseRDP([]byte(readFile(t, file)))
	require.NoError(t, err)
	old, ok := f.Get(name)
	require.True(t, ok)
	require.NoError(t, f.Set(name, old.Type, value))
	writeFile(t, file, string(f.Encode()))
	return old.Value
}

// startRemmina opens a file with Remmina, by an own session bus. It takes every certificate,
// as somebody would who clicked the question away.
func startRemmina(t *testing.T, file string) *viewer {
	t.Helper()
	remmina := peertest.Path(t, "remmina", "remmina")
	bus := peertest.Path(t, "dbus-daemon", "dbus-daemon")
	plugins, _ := filepath.Glob("/usr/lib/*/remmina/plugins/remmina-plugin-rdp.so")
	if len(plugins) == 0 {
		peertest.Missing(t, "Remmina's RDP plugin is not installed; it is in the package remmina-plugin-rdp")
	}
	home := t.TempDir()
	require.NoError(t, os.Chmod(home, 0o700))
	require.NoError(t, os.MkdirAll(home+"/.config/remmina", 0o700))
	writeFile(t, home+"/.config/remmina/remmina.pref", "[remmina_pref]\ntrust_all=true\n[remmina_news]\nperiodic_news_permitted=false\n")
	v := &viewer{t: t, name: "remmina", display: startX(t, "1024x768x24"), shot: filepath.Join(t.TempDir(), "remmina.png")}
	start := func(program string, args ...string) *process {
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "DISPLAY="+v.display, "XAUTHORITY=", "HOME="+home, "XDG_CONFIG_HOME="+home+"/.config", "XDG_CACHE_HOME="+home+"/.cache",
			"XDG_DATA_HOME="+home+"/.local", "XDG_RUNTIME_DIR="+home, "NO_AT_BRIDGE=1", "DBUS_SESSION_BUS_ADDRESS=unix:path="+home+"/bus")
		return startCommand(t, cmd)
	}
	start(bus, "--session", "--nofork", "--nosyslog", "--address=unix:path="+home+"/bus")
	eventually(t, "the session bus is there", func() bool {
		_, err := os.Stat(home + "/bus")
		return err == nil
	})
	v.client = start(remmina, "-c", file)
	return v
}

// startNginx starts nginx, which passes TLS on as it is.
func startNginx(t *testing.T, backend string) string {
	t.Helper()
	nginx := peertest.Path(t, "nginx", "nginx")
	module, _ := filepath.Glob("/usr/lib/nginx/modules/ngx_stream_module.so")
	if len(module) == 0 {
		peertest.Missing(t, "nginx has no stream module; it is in the package libnginx-mod-stream")
	}
	dir, addr := t.TempDir(), freeAddr(t)
	config := writeFile(t, dir+"/nginx.conf", fmt.Sprintf("load_module %s;\ndaemon off;\nmaster_process off;\npid %s/pid;\nevents {}\n", module[0], dir)+
		documented(t, "nginx", "listen 443", "listen "+addr, "10.0.0.5:8443", backend))
	startCommand(t, exec.Command(nginx, "-p", dir, "-e", "stderr", "-c", config))
	awaitServer(t, addr)
	return addr
}

// startHAProxy starts HAProxy, which passes TLS on as it is.
func startHAProxy(t *testing.T, backend string) string {
	t.Helper()
	haproxy := peertest.Path(t, "haproxy", "haproxy")
	dir, addr := t.TempDir(), freeAddr(t)
	config := writeFile(t, dir+"/haproxy.cfg", documented(t, "haproxy", "bind :443", "bind "+addr, "10.0.0.5:8443", backend))
	startCommand(t, exec.Command(haproxy, "-q", "-db", "-f", config))
	awaitServer(t, addr)
	return addr
}

// documented is the configuration that operators are told to write, with other addresses.
func documented(t *testing.T, language string, oldnew ...string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readFile(t, "../docs/stock-clients.md"), "\n```"+language+"\n")
	require.True(t, ok)
	config, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	for i := 0; i < len(oldnew); i += 2 {
		require.Contains(t, config, oldnew[i])
	}
	return strings.NewReplacer(oldnew...).Replace(config)
}
