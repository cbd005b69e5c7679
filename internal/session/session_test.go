package session

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/simnet"
)

// simPath is a path over the simulated network.
type simPath struct{ *simnet.Conn }

func (p simPath) Abort() error { return p.Close() }

func paths() (simPath, simPath) {
	a, b := simnet.Pipe("10.0.0.1:1", "10.0.0.2:2")
	return simPath{a}, simPath{b}
}

// open starts a session between two paths.
func open(t testing.TB, a, b Path, ca, cb Config) (*Session, *Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	type result struct {
		s   *Session
		err error
	}
	other := make(chan result, 1)
	go func() {
		s, err := Open(ctx, b, cb)
		other <- result{s, err}
	}()
	sa, err := Open(ctx, a, ca)
	require.NoError(t, err)
	r := <-other
	require.NoError(t, r.err)
	return sa, r.s
}

func pair(t testing.TB) (*Session, *Session) {
	a, b := paths()
	return open(t, a, b, Config{}, Config{})
}

func requireCode(t testing.TB, want reachback.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want, reachback.CodeOf(err), "%v", err)
}

func TestFramedIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b := pair(t)
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

func TestRawIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		pa, pb := paths()
		cfg := Config{Linger: 10 * time.Millisecond}
		a, b := OpenRaw(pa, cfg), OpenRaw(pb, cfg)
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}
