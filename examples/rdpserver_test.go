//go:build unix

package examples_test

import (
	"fmt"
	"image"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/peertest"
)

// startWeston starts the Wayland compositor with its RDP backend and a terminal.
func startWeston(t *testing.T) *desktop {
	t.Helper()
	weston := peertest.Path(t, "weston", "weston")
	westonTerminal := peertest.Path(t, "weston-terminal", "weston")
	needViewer(t)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700)) // or it is no runtime directory
	writeCertificate(t, dir+"/cert.pem", dir+"/key.pem", 1)
	config := writeFile(t, dir+"/weston.ini", fmt.Sprintf(`[core]
idle-time=0
[shell]
locking=false
animation=none
startup-animation=none
clock-format=none
background-color=0xff%s
panel-color=0xff%s
`, hexOf(background)[1:], hexOf(terminal)[1:]))
	d := &desktop{addr: freeAddr(t), typed: filepath.Join(dir, "typed")}
	start := func(program string, args ...string) {
		cmd := exec.Command(program, args...)
		cmd.Env = append(environment(t, ""), "XDG_RUNTIME_DIR="+dir, "WAYLAND_DISPLAY=wayland-test", "XDG_CONFIG_HOME="+dir)
		startCommand(t, cmd)
	}
	start(weston, "--config="+config, "--backend=rdp-backend.so", "--shell=desktop-shell.so", "--socket=wayland-test", "--width=800", "--height=600",
		"--address=127.0.0.1", "--port="+portOf(d.addr), "--rdp-tls-cert="+dir+"/cert.pem", "--rdp-tls-key="+dir+"/key.pem")
	awaitServer(t, d.addr)
	shell := writeFile(t, dir+"/shell", "#!/bin/sh\necho ready >>'"+dir+"/ready'\nexec sh -c '"+keepLines+"' '"+d.typed+"'\n")
	require.NoError(t, os.Chmod(shell, 0o700))
	start(westonTerminal, "--maximized", "--shell="+shell)
	eventually(t, "the terminal is there", func() bool {
		_, err := os.Stat(dir + "/ready")
		return err == nil
	})
	d.shows = map[image.Point]color.Color{{500, 12}: terminal, {400, 300}: color.Black} // panel and terminal
	return d
}

// startXrdp starts xrdp with one session, which is on a server of TigerVNC. Its own way to
// sessions leads through the system's log-in.
func startXrdp(t *testing.T) *desktop {
	t.Helper()
	xrdp := peertest.Path(t, "xrdp", "xrdp")
	xvnc := peertest.Path(t, "Xvnc", "tigervnc-standalone-server")
	needViewer(t)
	dir := t.TempDir()
	writeCertificate(t, dir+"/cert.pem", dir+"/key.pem", 1)
	d := &desktop{addr: freeAddr(t)}
	vnc := freeAddr(t)
	display := startXServer(t, xvnc, "-displayfd", "3", "-rfbport", portOf(vnc), "-localhost", "-SecurityTypes", "None", "-AlwaysShared",
		"-geometry", "800x600", "-depth", "24", "-noreset")
	d.furnish(t, display)
	channels := ""
	for _, c := range []string{"rdpdr", "rdpsnd", "drdynvc", "cliprdr", "rail"} {
		channels += c + "=false\n"
	}
	config := writeFile(t, dir+"/xrdp.ini", strings.NewReplacer("DIR", dir, "ADDR", d.addr, "VNC", portOf(vnc), "CHANNELS", channels).Replace(`[Globals]
ini_version=1
fork=true
port=tcp://ADDR
security_layer=tls
certificate=DIR/cert.pem
key_file=DIR/key.pem
max_bpp=32
allow_channels=true
autorun=desktop
[Logging]
LogFile=DIR/log
LogLevel=INFO
EnableSyslog=false
[Channels]
CHANNELS[desktop]
name=desktop
lib=libvnc.so
username=na
password=na
ip=127.0.0.1
port=VNC
`))
	startOn(t, display, xrdp, "-n", "-c", config)
	awaitServer(t, d.addr)
	return d
}
