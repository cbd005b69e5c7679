package hostside

import (
	"context"
	"flag"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/program"
)

// The broker hears that the RDP server is down when the host comes, and that it is
// there without anybody doing anything on the host.
func TestTheBrokerKnowsHowTheHostIs(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the next time that the host looks, 10 s of real time")
	}
	t.Parallel()
	s := newSite(t)
	cfg := s.host(t)
	cfg.Health.MinDisk = 1
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		program.Run(ctx, "sessionhost", "", nil, io.Discard, io.Discard, func(*flag.FlagSet) {}, func(ctx context.Context, p *program.Program) error {
			return Run(ctx, p, cfg, func() {})
		})
	})
	defer wg.Wait()
	defer stop()
	health := func() *broker.Health {
		hosts, err := s.dir.Hosts(t.Context(), &broker.HostQuery{Pool: "desktops"})
		require.NoError(t, err)
		if len(hosts) == 0 {
			return nil
		}
		return hosts[0].Health
	}
	require.Eventually(t, func() bool { return health() != nil }, patience, 10*time.Millisecond)
	h := health()
	require.False(t, h.Fit)
	require.False(t, h.Target)
	require.Equal(t, "the RDP server refuses connections", h.Problem)
	require.Positive(t, h.DiskFree)

	startRDPServer(t, cfg.Target, confirm)
	require.Eventually(t, func() bool { return health().Fit }, patience, 10*time.Millisecond)
	require.Empty(t, health().Problem)
}
