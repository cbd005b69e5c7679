//go:build unix

package examples_test

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/peertest"
)

// The colours of the desktop that the tests look for. Codecs move them a little.
var (
	background = color.RGBA{0x20, 0x60, 0xc0, 0xff}
	terminal   = color.RGBA{0xff, 0xe0, 0xa0, 0xff}
)

// A stock RDP client, through client, gateway, broker and host as processes,
// sees a real desktop and types on it.
func TestDesktop_ThreeProcesses(t *testing.T) {
	d := startDesktop(t)
	in := install(t)
	host := in.host("host", d.addr)
	client, addr := in.client("alice", "desktop")
	d.use(t, addr, "three-processes")
	connected := client.await("connected", patience)
	session := host.await("session", patience)
	require.Equal(t, connected.str("session"), session.str("session"))
	require.Equal(t, connected.str("correlation_id"), session.str("correlation_id"))
	require.Equal(t, "alice", session.str("user"))
	require.Equal(t, "closed", client.await("end", patience).str("code"))
	require.Equal(t, "closed", host.await("end", patience).str("code"))
}

func TestDesktop_Quickstart(t *testing.T) {
	d := startDesktop(t)
	dir := t.TempDir()
	for _, run := range []string{"first", "second"} { // the second on the state of the first
		q := start(t, "quickstart", "-dir", dir, "-listen", freeAddr(t), "-target", d.addr, "-rdp", freeAddr(t))
		ready := q.await("ready", patience)
		if run == "first" {
			d.use(t, ready.str("rdp"), "quickstart")
			v := d.open(t, "quickstart-file", "xfreerdp", ready.str("file"), "/cert:ignore")
			d.greet(t, v)
			v.leave()
		}
		q.signal(os.Interrupt)
		require.Zero(t, q.exit(patience), q.log())
	}
}

// Gateway and broker are two processes with PostgreSQL behind them, and the broker is
// killed in the middle of a line: every letter arrives.
func TestDesktop_BrokerKilledWhileTyping(t *testing.T) {
	d := startDesktop(t)
	in := installApart(t)
	in.host("host", d.addr)
	client, addr := in.client("alice", "desktop")
	v := d.connect(t, addr, "broker-killed")
	client.await("connected", patience)

	v.typeKeys("the quick brown fox ")
	killed := make(chan struct{})
	go func() { // ends with the process, awaited below
		defer close(killed)
		in.server.cmd.Process.Kill()
		<-in.server.exited
	}()
	v.typeKeys("jumps over the lazy dog")
	<-killed
	in.fails(client, addr, "broker_unreachable")
	v.typeKeys(" without a broker")
	v.enter()
	d.awaitLine(t, "the quick brown fox jumps over the lazy dog without a broker")

	in.startServer(in.args...)
	eventually(t, "host and gateway are back", func() bool { // an RDP client tries only once
		log := in.server.log()
		return strings.Contains(log, "host connected") && strings.Contains(log, "gateway connected")
	})
	v.typeKeys("and with one again")
	v.enter()
	d.awaitLine(t, "and with one again")
	d.use(t, addr, "broker-back")
}

// desktop is a display with a terminal, and an RDP server that shows it.
type desktop struct {
	addr  string // of the RDP server
	typed string // file that the terminal writes what was typed to
	// shows are colours by which one knows it on a client's screen.
	shows map[image.Point]color.Color
}

// startDesktop starts an X server shown by FreeRDP's shadow server.
func startDesktop(t *testing.T) *desktop {
	t.Helper()
	return startShadow(t, t.TempDir(), "/sec:tls")
}

// startShadow is startDesktop with the security that the server takes, and with what it
// has in its home.
func startShadow(t *testing.T, home, security string) *desktop {
	t.Helper()
	shadow := peertest.Path(t, "freerdp-shadow-cli", "freerdp2-shadow-x11")
	needViewer(t)
	display := startX(t, "800x600x24")
	d := &desktop{addr: freeAddr(t)}
	d.furnish(t, display)
	cmd := exec.Command(shadow, "/port:"+portOf(d.addr), "/bind-address:127.0.0.1", "-auth", security)
	cmd.Env = append(environment(t, display), "HOME="+home)
	startCommand(t, cmd)
	awaitServer(t, d.addr)
	return d
}

// furnish puts background and terminal on an X display.
func (d *desktop) furnish(t *testing.T, display string) {
	t.Helper()
	xsetroot := peertest.Path(t, "xsetroot", "x11-xserver-utils")
	xterm := peertest.Path(t, "xterm", "xterm")
	d.typed = filepath.Join(t.TempDir(), "typed")
	run(t, display, xsetroot, "-solid", hexOf(background))
	startOn(t, display, xterm, "-geometry", "60x10+50+50", "-fg", "black", "-bg", hexOf(terminal), "-e", "sh", "-c", keepLines, d.typed)
	d.shows = map[image.Point]color.Color{{500, 400}: background, {300, 150}: terminal}
}

// keepLines is a shell program that writes what is typed to the file that it is given.
const keepLines = `while read line; do echo "$line" >>"$0"; done`

func hexOf(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

func awaitServer(t *testing.T, addr string) {
	t.Helper()
	eventually(t, "the RDP server listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// needViewer finds out whether a viewer can be started and used here.
func needViewer(t *testing.T) {
	t.Helper()
	for program, pkg := range map[string]string{"xfreerdp": "freerdp2-x11", "xdotool": "xdotool", "xwd": "x11-apps", "convert": "imagemagick"} {
		peertest.Path(t, program, pkg)
	}
}

// use connects a stock RDP client to addr, types a line and looks at what the
// client shows. It ends the client.
func (d *desktop) use(t *testing.T, addr, name string) {
	t.Helper()
	v := d.connect(t, addr, name)
	d.greet(t, v)
	v.leave()
}

// greet types a line in the viewer's name and waits until the terminal has it.
func (d *desktop) greet(t *testing.T, v *viewer) {
	t.Helper()
	line := "hello from " + v.name
	v.typeKeys(line)
	v.enter()
	d.awaitLine(t, line)
	screenshot(t, v.display, v.shot)
	if dir := os.Getenv("REACHBACK_SCREENSHOTS"); dir != "" {
		data, err := os.ReadFile(v.shot)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, v.name+".png"), data, 0o644))
	}
}

// A viewer is a stock RDP client on a display of its own.
type viewer struct {
	t       *testing.T
	name    string
	display string
	client  *process
	shot    string // path of screenshots
}

// connect connects a stock RDP client to addr and waits until it shows the
// desktop, with the keyboard at the terminal.
func (d *desktop) connect(t *testing.T, addr, name string) *viewer {
	t.Helper()
	return d.open(t, name, "xfreerdp", "/v:"+addr, "/cert:ignore", "/sec:tls", "/u:x", "/p:x")
}

// open starts a stock RDP client and waits until it shows the desktop, with the keyboard
// at the terminal.
func (d *desktop) open(t *testing.T, name, program string, args ...string) *viewer {
	t.Helper()
	v := startViewer(t, name, program, args...)
	v.awaitDesktop(d, image.Point{})
	return v
}

func startViewer(t *testing.T, name, program string, args ...string) *viewer {
	t.Helper()
	v := &viewer{t: t, name: name, display: startX(t, "1024x768x24"), shot: filepath.Join(t.TempDir(), name+".png")}
	v.client = startOn(t, v.display, program, args...)
	return v
}

// awaitDesktop waits until the desktop is on the screen, from that corner on, and gives
// its terminal the keyboard.
func (v *viewer) awaitDesktop(d *desktop, at image.Point) {
	v.t.Helper()
	eventually(v.t, "the client shows the desktop", func() bool {
		select {
		case <-v.client.exited:
			v.t.Fatalf("the client has ended:\n%s", v.client.log())
		default:
		}
		img := screenshot(v.t, v.display, v.shot)
		for p, c := range d.shows {
			if p = p.Add(at); !near(img.At(p.X, p.Y), c) {
				return false
			}
		}
		return true
	})
	run(v.t, v.display, "xdotool", "mousemove", strconv.Itoa(at.X+200), strconv.Itoa(at.Y+120), "click", "1", "sleep", "0.5")
}

// leave ends the client as a person does who has seen enough.
func (v *viewer) leave() {
	v.client.signal(os.Interrupt)
	v.client.exit(patience)
}

// typeKeys types as a person does, key after key.
func (v *viewer) typeKeys(text string) { run(v.t, v.display, "xdotool", "type", "--delay", "60", text) }

func (v *viewer) enter() { run(v.t, v.display, "xdotool", "key", "Return") }

// awaitLine waits until the terminal has the line.
func (d *desktop) awaitLine(t *testing.T, line string) {
	t.Helper()
	eventually(t, "the typed line arrives", func() bool {
		b, _ := os.ReadFile(d.typed)
		return slices.Contains(lines(string(b)), line)
	})
}

// startX starts a virtual X server and returns its display.
func startX(t *testing.T, screen string) string {
	t.Helper()
	return startXServer(t, peertest.Path(t, "Xvfb", "xvfb"), "-displayfd", "3", "-screen", "0", screen, "-noreset", "-nolisten", "tcp")
}

// startXServer starts an X server of any make, which writes the number of its display to
// descriptor 3.
func startXServer(t *testing.T, program string, args ...string) string {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cmd := exec.Command(program, args...)
	cmd.ExtraFiles = []*os.File{w}
	startCommand(t, cmd)
	w.Close()
	r.SetReadDeadline(time.Now().Add(patience))
	number, err := io.ReadAll(io.LimitReader(newlineReader{r}, 16))
	require.NoError(t, err)
	n, err := strconv.Atoi(strings.TrimSpace(string(number)))
	require.NoError(t, err)
	return fmt.Sprintf(":%d", n)
}

// newlineReader ends at the first newline.
type newlineReader struct{ r io.Reader }

func (n newlineReader) Read(p []byte) (int, error) {
	var b [1]byte
	if _, err := n.r.Read(b[:]); err != nil {
		return 0, err
	}
	if b[0] == '\n' {
		return 0, io.EOF
	}
	return copy(p, b[:]), nil
}

func environment(t *testing.T, display string) []string {
	return append(os.Environ(), "DISPLAY="+display, "HOME="+t.TempDir(), "XAUTHORITY=")
}

func startOn(t *testing.T, display, program string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = environment(t, display)
	return startCommand(t, cmd)
}

func run(t *testing.T, display, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = environment(t, display)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", program, out)
}

func screenshot(t *testing.T, display, path string) image.Image {
	t.Helper()
	run(t, display, "sh", "-c", `xwd -root -silent | convert xwd:- "png:$0"`, path)
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	img, err := png.Decode(f)
	require.NoError(t, err)
	return img
}

func near(a, b color.Color) bool {
	ar, ag, ab, _ := a.RGBA()
	br, bg, bb, _ := b.RGBA()
	const most = 0x1000 // of 0xffff
	return diff(ar, br) < most && diff(ag, bg) < most && diff(ab, bb) < most
}

func diff(a, b uint32) uint32 { return max(a, b) - min(a, b) }

// eventually polls another program's state, for which there is no event.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		<-time.After(100 * time.Millisecond)
	}
}
