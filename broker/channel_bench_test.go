package broker

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/relay"
)

// hostsEnv makes the test binary a process with that many idle hosts.
const hostsEnv = "REACHBACK_BENCH_HOSTS"

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(hostsEnv)); err == nil {
		if err := idleHosts(n); err != nil {
			log.Fatal(err)
		}
		return
	}
	os.Exit(m.Run())
}

// idleHosts enrols n hosts and holds their channels until standard input ends.
// Its arguments are in the environment, so that the test flags stay the test's.
func idleHosts(n int) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(os.Getenv("REACHBACK_BENCH_CA")))
	config := &tls.Config{RootCAs: roots}
	url := os.Getenv("REACHBACK_BENCH_URL")
	held := make([]*carrier.Conn, 0, n) // or the collector would close them
	for range n {
		id, err := NewIdentity()
		if err != nil {
			return err
		}
		a := &Agent{Server: url, Identity: id, TLS: config}
		if _, err := a.Enrol(context.Background(), EnrolOptions{Token: os.Getenv("REACHBACK_BENCH_TOKEN")}); err != nil {
			return err
		}
		d := &carrier.Dialer{TLS: config}
		c, err := d.Upgrade(context.Background(), url, carrier.PathControl, nil, id.Certificate(), reachback.CodeBrokerUnreachable)
		if err != nil {
			return err
		}
		hello, err := appendMessage(nil, &helloMessage{Versions: []int{Version}})
		if err != nil {
			return err
		}
		if _, err := c.Write(hello); err != nil {
			return err
		}
		if _, err := readMessage(c); err != nil {
			return err
		}
		held = append(held, c)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(held)
	return nil
}

// BenchmarkIdleChannel measures what one idle control channel costs the broker's
// process, whose peers are in another one.
func BenchmarkIdleChannel(b *testing.B) {
	const n = 1000
	for b.Loop() {
		dir := &MemoryDirectory{}
		keys, err := NewKeys()
		require.NoError(b, err)
		bk := &Broker{Keys: keys, Directory: dir}
		cert, err := keys.ServerCertificate("127.0.0.1")
		require.NoError(b, err)
		server := &http.Server{Handler: bk, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
		require.NoError(b, relay.ConfigureServer(server))
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		go server.ServeTLS(l, "", "")
		token, _, err := bk.NewRegistrationToken(b.Context(), TokenOptions{Pool: "pool", Uses: n})
		require.NoError(b, err)

		heap, rss := memory()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), hostsEnv+"="+strconv.Itoa(n), "REACHBACK_BENCH_TOKEN="+token,
			"REACHBACK_BENCH_URL=https://"+l.Addr().String(), "REACHBACK_BENCH_CA="+string(keys.ServerCA()))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		require.NoError(b, err)
		out, err := cmd.StdoutPipe()
		require.NoError(b, err)
		require.NoError(b, cmd.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(b, err)
		require.Equal(b, "ready\n", line)
		require.Equal(b, n, bk.Stats().Channels)
		heap2, rss2 := memory()
		b.ReportMetric(float64(heap2-heap)/n, "heap+stack-B/channel")
		b.ReportMetric(float64(rss2-rss)/n, "rss-B/channel")
		in.Close()
		cmd.Wait()
		bk.Close()
		server.Close()
	}
}

// memory returns the bytes in use by heap and stacks, and the resident ones (0
// where the system has no /proc).
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
