//go:build unix

package examples_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
)

// RDP goes bare through one WebSocket, as FreeRDP 3 has it, with a library of others' at the
// client's end.
func TestStockClientThroughABareWebSocket(t *testing.T) {
	t.Parallel()
	d := startDesktop(t)
	in := installStock(t)
	host := in.host("host", d.addr, "-pool", "shadow")
	b := startBridge(t, in, tokenOf(t, in.stockFile(t, "alice", "shadow")))
	d.use(t, b.addr, "bare-websocket")
	require.Equal(t, true, host.await("session", patience)["raw"])
	host.await("end", patience)

	_, refusal := dialBare(t, in, "nonsense")
	require.Equal(t, http.StatusUnauthorized, refusal.StatusCode)
	_, refusal = dialBare(t, in, tokenOf(t, in.stockFile(t, "alice", "empty")))
	require.Equal(t, http.StatusServiceUnavailable, refusal.StatusCode)
	body, err := io.ReadAll(refusal.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), "no_host")
}

// A file leads to a gateway, which may be another machine than the feed.
func TestStockClientThroughAGatewayApart(t *testing.T) {
	t.Parallel()
	a := installApart(t, "-seed", writeFile(t, filepath.Join(t.TempDir(), "seed.json"), stockSeed))
	host := a.host("host", echoServer(t), "-pool", "shadow", "-probe", "tcp")
	file := a.stockFile(t, "alice", "shadow")
	f, err := feed.ParseRDP([]byte(readFile(t, file)))
	require.NoError(t, err)
	s, _ := f.Get("gatewayhostname")
	require.Equal(t, strings.TrimPrefix(a.gwURL, "https://"), s.Value)

	c, refusal := dialBare(t, &installation{url: a.gwURL, ca: a.ca}, tokenOf(t, file))
	require.Nil(t, refusal)
	defer c.Close()
	require.NoError(t, exchange(c, "hello"))
	require.Equal(t, true, host.await("session", patience)["raw"])
}

// A server that is told to end gives a stock client's session the time that it gives any
// other, and none to who has only begun.
func TestServerEndsWithStockClients(t *testing.T) {
	t.Parallel()
	in := installStock(t)
	host := in.host("host", echoServer(t), "-pool", "shadow", "-probe", "tcp")
	c, refusal := dialBare(t, in, tokenOf(t, in.stockFile(t, "alice", "shadow")))
	require.Nil(t, refusal)
	require.NoError(t, exchange(c, "hello"))
	trust, err := program.TrustFile(in.ca)
	require.NoError(t, err)
	begun, err := tls.Dial("tcp", in.addr, trust)
	require.NoError(t, err)
	defer begun.Close()
	_, err = io.WriteString(begun, "RDG_OUT_DATA /remoteDesktopGateway/ HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nRDG-Connection-Id: {0}\r\nRDG-Auth-Scheme: PAA\r\nContent-Length: 0\r\n\r\n")
	require.NoError(t, err)
	answer := make([]byte, 12)
	_, err = io.ReadFull(begun, answer)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 101", string(answer))

	in.server.signal(syscall.SIGTERM)
	eventually(t, "new calls are refused", func() bool {
		health, err := tls.Dial("tcp", in.addr, trust)
		if err != nil {
			return false
		}
		defer health.Close()
		io.WriteString(health, "GET /reachback/v1/health HTTP/1.1\r\nHost: gateway\r\n\r\n")
		_, err = io.ReadFull(health, answer)
		return err == nil && string(answer) == "HTTP/1.1 503"
	})
	require.NoError(t, exchange(c, "still here"))
	require.NoError(t, c.Close())
	host.await("end", patience)
	require.Zero(t, in.server.exit(patience), in.server.log())
	_, err = io.Copy(io.Discard, begun)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

// tokenOf is the token in an .rdp file.
func tokenOf(t *testing.T, file string) string {
	t.Helper()
	f, err := feed.ParseRDP([]byte(readFile(t, file)))
	require.NoError(t, err)
	s, _ := f.Get("gatewayaccesstoken")
	require.NotEmpty(t, s.Value)
	return s.Value
}

// dialBare opens a resource by one WebSocket. Where that is refused it returns the answer.
func dialBare(t *testing.T, in *installation, token string) (net.Conn, *http.Response) {
	t.Helper()
	trust, err := program.TrustFile(in.ca)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, resp, err := websocket.Dial(ctx, "wss://"+strings.TrimPrefix(in.url, "https://")+"/reachback/v1/rdp", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: trust}},
		HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if err != nil {
		require.NotNil(t, resp, "%v", err)
		return nil, resp
	}
	return websocket.NetConn(context.Background(), c, websocket.MessageBinary), nil
}

// A bridge carries what is connected to a loopback port through WebSockets.
type bridge struct {
	addr string
	wg   sync.WaitGroup
}

// startBridge starts a bridge with a token for all its connections. It ends with the test.
func startBridge(t *testing.T, in *installation, token string) *bridge {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &bridge{addr: l.Addr().String()}
	b.wg.Go(func() {
		for {
			local, err := l.Accept()
			if err != nil {
				return
			}
			b.wg.Go(func() { // ends with either connection, and both end with their programs
				defer local.Close()
				far, refusal := dialBare(t, in, token)
				if refusal != nil {
					return
				}
				defer far.Close()
				b.wg.Go(func() {
					defer local.Close()
					io.Copy(local, far)
				})
				io.Copy(far, local)
			})
		}
	})
	t.Cleanup(func() { l.Close(); b.wg.Wait() })
	return b
}
