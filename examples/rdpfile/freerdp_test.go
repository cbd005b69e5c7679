//go:build unix

package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/peertest"
)

// patience is how long another program may take on a busy machine.
const patience = 30 * time.Second

// A stock client opens what we have signed and goes where it says: the routing
// token of the file comes in its first packet.
func TestFreeRDPOpensASignedFile(t *testing.T) {
	xfreerdp := peertest.Path(t, "xfreerdp", "freerdp2-x11")
	display := startX(t)
	d := newDesk(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)

	file := d.file("signed.rdp", "full address:s:127.0.0.1\r\nserver port:i:"+port+"\r\nloadbalanceinfo:s:route-7d1f0c\r\n"+
		"gatewayusagemethod:i:0\r\ngatewayprofileusagemethod:i:1\r\nremoteapplicationname:s:Büro\r\nauthentication level:i:0\r\n")
	d.sign(file)
	client := exec.Command(xfreerdp, file, "/u:x", "/p:x", "/cert:ignore")
	client.Env = append(os.Environ(), "DISPLAY="+display, "HOME="+t.TempDir(), "XAUTHORITY=")
	startProcess(t, client)

	l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	c, err := l.Accept()
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	head := make([]byte, 4) // TPKT: version, reserved, length
	_, err = io.ReadFull(c, head)
	require.NoError(t, err)
	require.Equal(t, byte(3), head[0])
	request := make([]byte, int(head[2])<<8+int(head[3])-len(head))
	_, err = io.ReadFull(c, request)
	require.NoError(t, err)
	require.Contains(t, string(request), "route-7d1f0c\r\n")
}

// startX starts a virtual X server and returns its display.
func startX(t *testing.T) string {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	x := exec.Command(peertest.Path(t, "Xvfb", "xvfb"), "-displayfd", "3", "-screen", "0", "640x480x24", "-noreset", "-nolisten", "tcp")
	x.ExtraFiles = []*os.File{w}
	startProcess(t, x)
	w.Close()
	r.SetReadDeadline(time.Now().Add(patience))
	var number []byte
	for b := make([]byte, 1); !bytes.HasSuffix(number, []byte("\n")); number = append(number, b[0]) {
		_, err := r.Read(b)
		require.NoError(t, err)
	}
	return ":" + strings.TrimSpace(string(number))
}

// startProcess starts a program that is killed at the end of the test.
func startProcess(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s printed:\n%s", cmd.Path, said.String())
		}
	})
}
