package transport_test

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/transport"
)

// Both ends of a control channel, of a client's leg and of a host's notice a peer
// that is gone without a word, as SPEC.md, section 2, has it.
func TestConnectionsAreKeptAlive(t *testing.T) {
	s := startSystem(t, broker.SeedPool{})
	s.host("host", func(c *transport.Conn) { <-c.Done() })
	c, err := s.dial(t.Context(), "alice")
	require.NoError(t, err)
	defer c.Close()

	all := &s.sockets
	all.mu.Lock()
	defer all.mu.Unlock()
	require.Len(t, all.dialled, 4)
	for i, name := range []string{"control channel", "client's leg", "host's leg"} {
		dialled := all.dialled[1+i] // the first one enrolled the host
		for end, c := range map[string]net.Conn{"dialled": dialled, "accepted": all.accepted[dialled.LocalAddr().String()]} {
			for _, o := range []struct {
				name                string
				level, option, want int
			}{
				{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
				{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
				{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5},
				{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
				{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 30_000},
			} {
				require.Equal(t, o.want, option(t, c, o.level, o.option), "%s of the %s, %s", o.name, name, end)
			}
		}
	}
}

func option(t *testing.T, c net.Conn, level, name int) (value int) {
	t.Helper()
	rc, err := c.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	var failed error
	require.NoError(t, rc.Control(func(fd uintptr) { value, failed = unix.GetsockoptInt(int(fd), level, name) }))
	require.NoError(t, failed)
	return value
}
