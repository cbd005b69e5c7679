//go:build unix

package hostside

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/peertest"
)

// A real RDP server answers, any number of times, until it hangs and when it goes on.
func TestHealth_FreeRDP(t *testing.T) {
	xvfb := peertest.Path(t, "Xvfb", "xvfb")
	shadow := peertest.Path(t, "freerdp-shadow-cli", "freerdp2-shadow-x11")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	x := exec.Command(xvfb, "-displayfd", "3", "-screen", "0", "320x240x24", "-noreset", "-nolisten", "tcp")
	x.ExtraFiles = []*os.File{w}
	startPeer(t, x)
	w.Close()
	r.SetReadDeadline(time.Now().Add(patience))
	display, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	addr := freeAddr(t)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	server := exec.Command(shadow, "/port:"+port, "/bind-address:127.0.0.1", "-auth", "/sec:tls")
	server.Env = append(os.Environ(), "DISPLAY=:"+strings.TrimSpace(display), "HOME="+t.TempDir(), "XAUTHORITY=")
	startPeer(t, server)

	h := newHealth(t, addr, Health{})
	require.Eventually(t, func() bool { return h.check(t.Context()).Fit }, patience, 100*time.Millisecond)
	for range 20 {
		require.True(t, h.check(t.Context()).Fit)
	}
	require.True(t, h.rdp)
	require.NoError(t, server.Process.Signal(syscall.SIGSTOP))
	h.check(soon(t))
	require.Equal(t, "the RDP server takes connections and does not answer", h.check(soon(t)).Problem)
	require.NoError(t, server.Process.Signal(syscall.SIGCONT))
	require.Eventually(t, func() bool { return h.check(t.Context()).Fit }, patience, 100*time.Millisecond)
}

func startPeer(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		err := cmd.Wait()
		if t.Failed() {
			t.Logf("%s ended by %v and said:\n%s", cmd.Path, err, &said)
		}
	})
}
