package limit

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFailuresForgivesABurstThenARate(t *testing.T) {
	var f Failures
	now := time.Unix(1_800_000_000, 0)
	a := netip.MustParseAddr("192.0.2.1")
	for range Burst {
		require.False(t, f.Blocked(a, now))
		f.Fail(a, now)
	}
	require.True(t, f.Blocked(a, now))
	f.Fail(a, now) // more failures while blocked don't prolong the punishment
	require.False(t, f.Blocked(netip.MustParseAddr("192.0.2.2"), now), "a neighbour")
	require.False(t, f.Blocked(a, now.Add(time.Second/PerSecond+time.Millisecond)))
}

func TestFailuresKeepsABoundedTable(t *testing.T) {
	var f Failures
	now := time.Unix(1_800_000_000, 0)
	first := netip.MustParseAddr("10.0.0.0")
	for range Burst {
		f.Fail(first, now)
	}
	for a, i := first.Next(), 0; i < 3*maxKeys; a, i = a.Next(), i+1 {
		f.Fail(a, now)
		if i == maxKeys/2 {
			f.Fail(first, now) // who goes on failing is not forgotten
		}
		if i == maxKeys {
			require.True(t, f.Blocked(first, now))
		}
	}
	require.Len(t, f.table.byKey, maxKeys)
	require.Equal(t, maxKeys, f.table.recent.Len())
	require.False(t, f.Blocked(first, now))
}

func TestPrefix(t *testing.T) {
	for _, tt := range []struct{ name, addr, want string }{
		{"IPv4", "192.0.2.1", "192.0.2.1/32"},
		{"mapped", "::ffff:192.0.2.1", "192.0.2.1/32"},
		{"IPv6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"zone", "fe80::1%eth0", "fe80::/64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, Prefix(netip.MustParseAddr(tt.addr)).String())
		})
	}
	require.Equal(t, netip.Prefix{}, Prefix(netip.Addr{}))
}
