package transport_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/relay"
	"github.com/reachback/reachback/transport"
)

// A system is gateway and broker on a loopback port, and hosts beside them. Every
// user has the desktop.
type system struct {
	t       *testing.T
	url     string
	tls     *tls.Config
	broker  *broker.Broker
	gateway *relay.Relay
	dir     *broker.MemoryDirectory
	sockets sockets
}

func startSystem(t *testing.T, pool broker.SeedPool) *system {
	t.Helper()
	keys, err := broker.NewKeys()
	require.NoError(t, err)
	cert, err := keys.ServerCertificate("127.0.0.1")
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(keys.ServerCA()))
	s := &system{t: t, url: "https://" + l.Addr().String(), tls: &tls.Config{RootCAs: roots}, dir: &broker.MemoryDirectory{}}
	s.sockets.Listener = l
	pool.Name = "desktops"
	require.NoError(t, s.dir.Apply(s.t.Context(), &broker.Seed{
		Pools:     []broker.SeedPool{pool},
		Resources: []broker.SeedResource{{ID: "desktop", Title: "Desktop", Pool: "desktops", Kind: reachback.KindDesktop, Assign: []string{"group:everybody"}}},
	}))
	s.broker = &broker.Broker{Keys: keys, Directory: s.dir, Gateways: []string{s.url}}
	s.gateway = &relay.Relay{Orchestrator: s.broker, URL: s.url}
	mux := http.NewServeMux()
	mux.Handle("/reachback/v1/control", s.broker)
	mux.Handle("/reachback/v1/enrol", s.broker)
	mux.Handle("/", s.gateway)
	srv := &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	require.NoError(t, relay.ConfigureServer(srv))
	served := make(chan error, 1)
	go func() { served <- srv.ServeTLS(relay.NewListener(&s.sockets), "", "") }()
	t.Cleanup(func() {
		s.gateway.Close()
		s.broker.Close()
		srv.Close()
		<-served
	})
	return s
}

// host enrols a host and serves each of its connections, until the test ends.
func (s *system) host(name string, serve func(*transport.Conn)) {
	s.t.Helper()
	identity, err := broker.NewIdentity()
	require.NoError(s.t, err)
	token, _, err := s.broker.NewRegistrationToken(s.t.Context(), broker.TokenOptions{Pool: "desktops"})
	require.NoError(s.t, err)
	agent := &broker.Agent{Server: s.url, Identity: identity, TLS: s.tls, NetDial: s.sockets.dial}
	_, err = agent.Enrol(s.t.Context(), broker.EnrolOptions{Token: token, Name: name})
	require.NoError(s.t, err)
	lc := &transport.ListenConfig{Agent: agent, Relay: &relay.Dialer{TLS: s.tls, NetDial: s.sockets.dial}, AllowRaw: true}
	l, err := lc.Listen(s.t.Context())
	require.NoError(s.t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				serve(c.(*transport.Conn))
			})
		}
	})
	s.t.Cleanup(func() { l.Close(); wg.Wait() })
}

// dial opens the desktop as that user.
func (s *system) dial(ctx context.Context, user string) (*transport.Conn, error) {
	d := &transport.Dialer{
		Relay: &relay.Dialer{TLS: s.tls, NetDial: s.sockets.dial},
		Connect: func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
			return s.broker.Connect(ctx, &reachback.User{Issuer: "test", Subject: user, Groups: []string{"everybody"}}, resource, key)
		},
	}
	c, err := d.DialContext(ctx, "tcp", "desktop")
	if err != nil {
		return nil, err
	}
	return c.(*transport.Conn), nil
}

// Fifty users at once on five hosts. When one of them stops reading, nobody else
// feels it: all the others go on with the round trips that they had.
func TestFiftySessions_OneStalledReaderDisturbsNobody(t *testing.T) {
	const users, hosts, trips = 50, 5, 40
	s := startSystem(t, broker.SeedPool{MaxSessions: users / hosts})
	full := make(chan struct{})
	for i := range hosts {
		s.host(fmt.Sprintf("host%d", i), func(c *transport.Conn) { echoOrFlood(c, full) })
	}
	conns := make([]*transport.Conn, users)
	var g errgroup.Group
	for i := range users {
		g.Go(func() (err error) {
			conns[i], err = s.dial(t.Context(), fmt.Sprintf("user%d", i))
			return err
		})
	}
	require.NoError(t, g.Wait())
	perHost := map[string]int{}
	for _, c := range conns {
		defer c.Close()
		perHost[c.Grant().Host]++
	}
	for host, n := range perHost {
		require.Equal(t, users/hosts, n, "sessions of %s", host)
	}
	_, err := s.dial(t.Context(), "one too many")
	require.Equal(t, reachback.CodeHostsFull, reachback.CodeOf(err))

	before := roundTrips(t, conns[1:], trips)
	// The first asks for endless bytes and reads none: every buffer on
	// their way fills up, and stays full.
	stalled := conns[0]
	_, err = stalled.Write([]byte{flood})
	require.NoError(t, err)
	<-full
	after := roundTrips(t, conns[1:], trips)
	t.Logf("slowest session: %v before, %v while one is stalled", slices.Max(before), slices.Max(after))
	for i := range before {
		// A session that waited for the stalled one would wait for ever, or for
		// as long as a buffer lasts: the factor is for a busy machine.
		require.Less(t, after[i], 10*before[i]+20*time.Millisecond, "session of user%d", i+1)
	}
	stalled.CloseWithCode(reachback.CodeClosed)
}

const flood = 'F'

// echoOrFlood echoes, or sends bytes if the first one asks for it until nobody has
// taken any for a second. It closes full then, and holds the session.
func echoOrFlood(c *transport.Conn, full chan<- struct{}) {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if buf[0] == flood {
			for err == nil {
				c.SetWriteDeadline(time.Now().Add(time.Second))
				_, err = c.Write(buf)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				close(full)
				<-c.Done()
			}
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

// roundTrips measures on all connections at once and returns the median of each.
func roundTrips(t *testing.T, conns []*transport.Conn, each int) []time.Duration {
	t.Helper()
	medians := make([]time.Duration, len(conns))
	var g errgroup.Group
	for i, c := range conns {
		g.Go(func() error {
			msg, took := make([]byte, 64), make([]time.Duration, each)
			for trip := range took {
				start := time.Now()
				c.SetDeadline(start.Add(30 * time.Second))
				if _, err := c.Write(msg); err != nil {
					return err
				}
				if _, err := io.ReadFull(c, msg); err != nil {
					return err
				}
				took[trip] = time.Since(start)
			}
			slices.Sort(took)
			medians[i] = took[each/2]
			return nil
		})
	}
	require.NoError(t, g.Wait())
	return medians
}

// A gibibyte each way at the same time arrives as it was sent, in a framed and in
// a raw session.
func TestGibibyteEachWay(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 4 GiB")
	}
	size := int64(1 << 30)
	if raceEnabled {
		size = 1 << 28 // the detector makes each byte several times as dear
	}
	s := startSystem(t, broker.SeedPool{Raw: true})
	type sums struct{ sent, got [32]byte }
	host := make(chan sums, 1)
	s.host("host", func(c *transport.Conn) {
		sent, got, err := both(c, 2, size)
		if err != nil {
			t.Error("host:", err)
		}
		host <- sums{sent, got}
	})
	t.Run("framed", func(t *testing.T) {
		c, err := s.dial(t.Context(), "alice")
		require.NoError(t, err)
		sent, got, err := both(c, 1, size)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		h := <-host
		require.Equal(t, h.got, sent)
		require.Equal(t, h.sent, got)
	})
	t.Run("raw", func(t *testing.T) {
		u := &reachback.User{Issuer: "test", Subject: "bob", Groups: []string{"everybody"}}
		conn, err := s.broker.Connect(t.Context(), u, "desktop", [32]byte{})
		require.NoError(t, err)
		c, err := (&relay.Dialer{TLS: s.tls}).Call(t.Context(), s.url, conn.Token, "")
		require.NoError(t, err)
		sent, got, err := both(c, 1, size)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		h := <-host
		require.Equal(t, h.got, sent)
		require.Equal(t, h.sent, got)
	})
}

// both sends size random bytes and reads to the end, at the same time, and
// returns the hashes.
func both(c interface {
	io.ReadWriter
	CloseWrite() error
}, seed byte, size int64) (sent, got [32]byte, err error) {
	var g errgroup.Group
	g.Go(func() error {
		h := sha256.New()
		_, err := io.Copy(io.MultiWriter(c, h), io.LimitReader(rand.NewChaCha8([32]byte{seed}), size))
		h.Sum(sent[:0])
		if err == nil {
			err = c.CloseWrite()
		}
		return err
	})
	g.Go(func() error {
		h := sha256.New()
		n, err := io.CopyBuffer(h, struct{ io.Reader }{c}, make([]byte, 64<<10))
		h.Sum(got[:0])
		if err == nil && n != size {
			err = fmt.Errorf("got %d bytes of %d", n, size)
		}
		return err
	})
	err = g.Wait()
	return sent, got, err
}
