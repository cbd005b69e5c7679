package rdgateway

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/peertest"
	"github.com/reachback/reachback/internal/token"
)

// The recordings are what FreeRDP and this gateway said to each other inside TLS. A
// line is a number of a connection, who said it, and the bytes in hexadecimal; the
// first line has the time at which the token was issued.
var update = flag.Bool("update", false, "record testdata anew, with the FreeRDP that is installed")

var recordings = map[string]string{
	"freerdp-2.11.7-websocket.txt":       "http",
	"freerdp-2.11.7-two-connections.txt": "http,no-websockets",
}

// useRecordedKey has the world sign with the key of the recordings, which anybody has.
func (w *world) useRecordedKey() {
	w.signing = ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))
	w.trust.Keys = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: w.signing.Public(), KeyID: "k1", Algorithm: "EdDSA"}}}
}

// TestRecorded plays the client's side of the recordings, and requires the gateway's.
func TestRecorded(t *testing.T) {
	for name, kind := range recordings {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name)
			if *update {
				record(t, file, kind)
			}
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			synctest.Test(t, func(t *testing.T) { play(t, string(b)) })
		})
	}
}

func play(t *testing.T, recording string) {
	first, lines, _ := strings.Cut(recording, "\n")
	issued, err := strconv.ParseInt(first, 10, 64)
	require.NoError(t, err)
	time.Sleep(time.Until(time.Unix(issued, 0)))
	w := newWorld(t)
	w.useRecordedKey()

	conns := make(map[string]*tls.Conn)
	var host io.ReadCloser
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		b, err := hex.DecodeString(f[2])
		require.NoError(t, err)
		switch f[1] {
		case "client":
			c := conns[f[0]]
			if c == nil {
				c = w.dial()
				conns[f[0]] = c
			}
			_, err := c.Write(b)
			require.NoError(t, err)
		case "gateway":
			if bytes.HasPrefix(b, []byte{0x82, 20, byte(channelResponse)}) || bytes.HasPrefix(b, []byte{byte(channelResponse)}) {
				host = w.answer()
			}
			if bytes.HasPrefix(b, []byte{0x82, 12, byte(closeChannel)}) || bytes.HasPrefix(b, []byte{byte(closeChannel)}) {
				host.Close()
			}
			got := make([]byte, len(b))
			_, err := io.ReadFull(conns[f[0]], got)
			require.NoError(t, err, line)
			if bytes.HasPrefix(b, []byte("HTTP/1.1 200")) {
				blank := bytes.Index(b, []byte("\r\n\r\n"))
				b, got = undated(b[:blank]), undated(got[:blank]) // the seed is random
			}
			require.Equal(t, string(b), string(got), line)
		case "host":
			got := make([]byte, len(b))
			_, err := io.ReadFull(host, got)
			require.NoError(t, err)
			require.Equal(t, b, got)
		}
	}
}

// undated leaves the date out of a head.
func undated(head []byte) []byte {
	var kept []string
	for line := range strings.Lines(string(head)) {
		if !strings.HasPrefix(line, "Date:") {
			kept = append(kept, line)
		}
	}
	return []byte(strings.Join(kept, ""))
}

// record has FreeRDP connect through a TLS front that writes down what it passes on.
func record(t *testing.T, file, kind string) {
	display := startDisplay(t)
	freerdp := peertest.Path(t, "xfreerdp", "freerdp2-x11")
	w := newWorld(t)
	w.useRecordedKey()
	cert := newAuthority(t).issue(t, x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*cert}})
	require.NoError(t, err)
	defer l.Close()

	var mu sync.Mutex
	var out bytes.Buffer
	note := func(conn, who string, b []byte) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&out, "%s %s %x\n", conn, who, b)
	}
	fmt.Fprintln(&out, time.Now().Unix())
	go func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up := w.dial()
			pass := func(who string, to, from net.Conn) {
				b := make([]byte, 64<<10)
				for {
					n1, err := from.Read(b)
					if n1 > 0 {
						note(strconv.Itoa(n), who, b[:n1])
						to.Write(b[:n1])
					}
					if err != nil {
						to.Close()
						return
					}
				}
			}
			go pass("client", up, c)
			go pass("gateway", c, up)
		}
	}()
	go func() {
		host := w.answer()
		b := make([]byte, 4096)
		n, err := host.Read(b)
		if err == nil {
			note("-", "host", b[:n])
		}
		host.Close()
	}()
	cmd := exec.Command(freerdp, "/g:"+l.Addr().String(), "/gat:"+w.token(func(c *token.Connection) { c.ID = "recorded" }), "/gt:"+kind,
		"/v:desktop", "/cert:ignore", "/u:alice", "/p:-")
	cmd.Env = append(os.Environ(), "DISPLAY="+display)
	cmd.Run() // fails: the host has hung up
	mu.Lock()
	defer mu.Unlock()
	require.Contains(t, out.String(), " host ")
	require.NoError(t, os.WriteFile(file, out.Bytes(), 0o644))
}

func startDisplay(t *testing.T) string {
	const display = ":77"
	x := exec.Command(peertest.Path(t, "Xvfb", "xvfb"), display, "-screen", "0", "640x480x24")
	require.NoError(t, x.Start())
	t.Cleanup(func() {
		x.Process.Kill()
		x.Wait()
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("unix", "/tmp/.X11-unix/X77")
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	return display
}
