package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/simnet"
)

// distant delays what is read from a connection by half a round trip on each side.
type distant struct {
	net.Conn
	rtt time.Duration
}

func (d *distant) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p)
	time.Sleep(d.rtt)
	return n, err
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct {
		name string
		rtt  []time.Duration // of each gateway; negative: nobody listens; 0: it never answers
		want []int
		took time.Duration // at most
	}{
		{"by round trip", []time.Duration{30, 10, 20}, []int{1, 2, 0}, 1 * time.Second},
		{"unreachable last", []time.Duration{-1, 40, 30}, []int{2, 1, 0}, 1 * time.Second},
		{"slow ones don't hold up", []time.Duration{0, 10, 0, -1, 12}, []int{1, 4, 0, 2, 3}, 200 * time.Millisecond},
		{"nobody answers", []time.Duration{0, 0, 0}, []int{0, 1, 2}, 2 * time.Second},
		{"nobody there", []time.Duration{-1, -1}, []int{0, 1}, 0},
		{"more than are asked", []time.Duration{9, 8, 7, 6, 5, 4, 3, 2, 1}, []int{7, 6, 5, 4, 3, 2, 1, 0, 8}, time.Second},
		{"one is not asked", []time.Duration{0}, []int{0}, 0},
		{"none", nil, []int{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network simnet.Network
				ca := newAuthority(t)
				var dialled atomic.Int32
				urls, delay := make([]string, len(tt.rtt)), map[string]time.Duration{}
				for i, rtt := range tt.rtt {
					addr := fmt.Sprintf("gw%d.example:443", i)
					urls[i], delay[addr] = "https://"+addr, rtt*time.Millisecond
					if rtt >= 0 {
						serveHealth(t, &network, ca, addr)
					}
				}
				d := &Dialer{TLS: &tls.Config{RootCAs: ca.pool()}, NetDial: func(ctx context.Context, n, addr string) (net.Conn, error) {
					dialled.Add(1)
					if delay[addr] == 0 {
						<-ctx.Done()
						return nil, context.Cause(ctx)
					}
					c, err := network.Dial(ctx, n, addr)
					return &distant{c, delay[addr]}, err
				}}
				want := make([]string, len(tt.want))
				for i, j := range tt.want {
					want[i] = urls[j]
				}
				start := time.Now()
				require.Equal(t, want, d.Nearest(t.Context(), urls))
				require.LessOrEqual(t, time.Since(start), tt.took)
				require.LessOrEqual(t, int(dialled.Load()), maxProbes)
			})
		})
	}
}

func serveHealth(t *testing.T, network *simnet.Network, ca *authority, addr string) {
	cert := ca.issue(t, func(c *x509.Certificate) {
		c.DNSNames, c.ExtKeyUsage = []string{addr[:len(addr)-len(":443")]}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	s := &http.Server{Handler: &Relay{}, TLSConfig: &tls.Config{Certificates: []tls.Certificate{*cert}}, ErrorLog: log.New(io.Discard, "", 0)}
	require.NoError(t, ConfigureServer(s))
	l, err := network.Listen(addr)
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() { s.ServeTLS(l, "", "") })
	t.Cleanup(func() {
		s.Close()
		serving.Wait()
	})
}
