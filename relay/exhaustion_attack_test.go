package relay

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/identity"
)

// clientHello returns the first flight of a TLS client.
func clientHello() []byte {
	here, there := net.Pipe()
	defer there.Close()
	go tls.Client(here, &tls.Config{ServerName: "gw.example", NextProtos: []string{carrier.ALPN, "http/1.1"}}).Handshake()
	b := make([]byte, 16<<10)
	n, _ := there.Read(b)
	return b[:n]
}

// trickle sends one byte each interval until the connection is closed, and returns
// how long that took.
func trickle(c io.Writer, b []byte, interval time.Duration) time.Duration {
	start := time.Now()
	for i := 0; ; i++ {
		if _, err := c.Write(b[i%len(b):][:1]); err != nil {
			return time.Since(start)
		}
		time.Sleep(interval)
	}
}

func TestD1_SilentSocketsAreCutAtTheDeadline(t *testing.T) {
	sockets := 10_000
	if testing.Short() {
		sockets = 1_000
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hello := clientHello()
		var before, during runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		cut := make(chan time.Duration, sockets)
		for i := range sockets {
			c, err := w.net.Dial(t.Context(), "tcp", "gw.example:443")
			require.NoError(t, err)
			go func() {
				defer c.Close()
				switch i % 3 {
				case 0: // silent
				case 1:
					c.Write(hello[:len(hello)/2])
				case 2:
					cut <- trickle(c, hello, 100*time.Millisecond)
					return
				}
				io.Copy(io.Discard, c)
				cut <- time.Since(start)
			}()
		}
		client, host := w.pair("alice")
		requireCarries(t, client, host, "served meanwhile")
		require.Zero(t, time.Since(start), "in no time but the CPU's")
		synctest.Wait()
		runtime.GC()
		runtime.ReadMemStats(&during)
		perSocket := int(during.HeapAlloc+during.StackInuse-before.HeapAlloc-before.StackInuse) / sockets
		t.Logf("%d B for each socket, the attacker's end included", perSocket)
		require.Less(t, perSocket, 48<<10)
		for range sockets {
			require.LessOrEqual(t, <-cut, carrier.HandshakeTimeout+200*time.Millisecond)
		}
		requireCarries(t, host, client, "still")
	})
}

func TestD2_WithheldCertificateHoldsUpNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		start := time.Now()
		cut := make(chan time.Duration, 100)
		for range cap(cut) {
			nc, err := w.net.Dial(t.Context(), "tcp", "gw.example:443")
			require.NoError(t, err)
			stalls := tls.Client(nc, &tls.Config{
				RootCAs: w.roots, ServerName: "gw.example", NextProtos: []string{carrier.ALPN, "http/1.1"},
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					io.Copy(io.Discard, nc) // until the server has had enough
					cut <- time.Since(start)
					return nil, io.ErrUnexpectedEOF
				},
			})
			go func() { stalls.Handshake(); nc.Close() }()
		}
		synctest.Wait()
		client, host := w.pair("alice")
		requireCarries(t, client, host, "served meanwhile")
		require.Zero(t, time.Since(start))
		for range cap(cut) {
			require.Equal(t, carrier.HandshakeTimeout, <-cut)
		}
	})
}

func TestD3_OneDeadlineForTheWholeHead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		long := strings.Join(head(carrier.PathCall, "Authorization: Bearer "+strings.Repeat("x", 8<<10)), "\r\n")
		for _, every := range []time.Duration{100 * time.Millisecond, time.Second, 4 * time.Second} {
			c := w.raw(nil)
			require.NoError(t, c.Handshake())
			gone := make(chan time.Duration, 1)
			start := time.Now()
			go func() {
				io.Copy(io.Discard, c)
				gone <- time.Since(start)
			}()
			trickle(c, []byte(long), every)
			require.Equal(t, carrier.HeadTimeout, <-gone, "a byte every %v", every)
		}
	})
}

func TestHeadIsBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.raw(nil)
		go func() {
			io.WriteString(c, "GET "+carrier.PathCall+" HTTP/1.1\r\nHost: gw.example\r\nX: ")
			for {
				if _, err := io.WriteString(c, strings.Repeat("x", 1<<10)); err != nil {
					return
				}
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
		c.NetConn().Close()
		time.Sleep(time.Second) // net/http lingers for the answer to arrive
	})
}

func TestD6_ReaderThatStopsIsCutAsStalled(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		client, host := w.pair("alice")
		other, otherHost := w.pair("bob")
		start := time.Now()
		wrote := make(chan int, 1)
		go func() {
			n := 0
			b := make([]byte, 32<<10)
			for {
				k, err := host.Write(b)
				if n += k; err != nil {
					wrote <- n
					return
				}
			}
		}()
		synctest.Wait()
		requireCarries(t, other, otherHost, "unaffected")
		require.Zero(t, time.Since(start), "the writer is held up, and time does not pass for others")
		time.Sleep(119 * time.Second)
		require.Empty(t, wrote)

		// The simulated sockets hold 256 KiB each; the relay's own share is small.
		require.Less(t, <-wrote, 1<<20)
		require.WithinRange(t, time.Now(), start.Add(2*time.Minute), start.Add(2*time.Minute+15*time.Second))
		synctest.Wait()
		require.Equal(t, map[reachback.Code]int64{reachback.CodeStalled: 1}, w.relay.Stats().Ended)
		_, err := io.Copy(io.Discard, client)
		require.Error(t, err, "a cut is no regular end")
		requireCarries(t, otherHost, other, "unaffected")
	})
}

func TestD11_AbsurdCertificatesAreRefusedBySize(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		called := w.call("alice")
		c := <-w.summons
		good := w.host("host-1")
		chain := func(n int, more []byte) *tls.Certificate {
			cert := *good
			for range n {
				cert.Certificate = append(cert.Certificate[:len(cert.Certificate):len(cert.Certificate)], more)
			}
			return &cert
		}
		large := w.hostCA.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{strings.Repeat("x", 17<<10)} })
		for name, cert := range map[string]*tls.Certificate{
			"100 certificates": chain(100, w.hostCA.cert.Raw),
			"over 16 KiB":      chain(1, large.Certificate[0]),
		} {
			require.Error(t, (<-w.answer(c, cert)).err, name)
		}
		require.Zero(t, w.relay.Stats().Answers, "they did not come through the handshake")

		// Within the bounds of TLS, a key that is slow to check.
		rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		slow := w.hostCA.issueFor(t, rsaKey, rsaKey.Public(), func(c *x509.Certificate) { c.URIs = []*url.URL{identity.HostURI("host-1")} })
		requireCode(t, reachback.CodeCertificateInvalid, (<-w.answer(c, slow)).err)
		requireCode(t, reachback.CodeCertificateInvalid, (<-w.answer(c, chain(1, slow.Certificate[0]))).err)

		answered := w.answer(c, good)
		requireCarries(t, must(t, called), must(t, answered), "undisturbed")
	})
}

func TestB6_CallsOfOneUserAreCapped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const calls = 500
		var greedy []<-chan outcome
		w.comeFrom("192.0.2.9:1000")
		for range calls {
			greedy = append(greedy, w.call("mallory"))
		}
		synctest.Wait()
		require.Equal(t, 32, w.relay.Stats().Waiting)
		require.EqualValues(t, calls-32, w.relay.Stats().Refused[reachback.CodeTooManyWaiting])
		for range 32 {
			<-w.summons
		}
		start := time.Now()
		client, host := w.pair("alice") // even from the same address
		requireCarries(t, client, host, "in time")
		require.Zero(t, time.Since(start))
		refused := map[reachback.Code]int{}
		for _, o := range greedy {
			refused[reachback.CodeOf((<-o).err)]++
		}
		require.Equal(t, map[reachback.Code]int{reachback.CodeTooManyWaiting: calls - 32, reachback.CodeHostTimeout: 32}, refused)
		require.Empty(t, w.relay.perUser)
	})
}

func TestB6_UnverifiedRequestsOfOneAddressAreCapped(t *testing.T) {
	r := &Relay{}
	r.begin()
	defer r.Close()
	var leave []func()
	for i := range 32 {
		f, err := r.enter(carrier.Remote(&http.Request{RemoteAddr: fmt.Sprintf("[2001:db8::%x]:1", i)}).Addr())
		require.NoError(t, err)
		leave = append(leave, f)
	}
	_, err := r.enter(carrier.Remote(&http.Request{RemoteAddr: "[2001:db8::ffff]:1"}).Addr())
	requireCode(t, reachback.CodeTooManyWaiting, err)
	f, err := r.enter(carrier.Remote(&http.Request{RemoteAddr: "[2001:db8:0:1::1]:1"}).Addr())
	require.NoError(t, err, "another /64")
	f()
	for _, f := range leave {
		f()
	}
	require.Empty(t, r.unverified)
}
