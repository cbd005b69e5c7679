//go:build unix

package hostside

import (
	"context"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/relay"
)

// What the operator asks of the broker about a user session is what the host's program
// is told to do.
func TestTheProgramOfTheHostControlsUserSessions(t *testing.T) {
	s := newSite(t)
	cfg := s.host(t)
	cfg.Target = startRDPServer(t, "127.0.0.1:0", confirm).addr
	dir := t.TempDir()
	cfg.Control = filepath.Join(dir, "control")
	require.NoError(t, os.WriteFile(cfg.Control, []byte("#!/bin/sh\n"+
		`[ "$1" = list ] || { echo "$* $(cat)" > told.tmp && mv told.tmp told; }`+"\n"), 0o700))
	told := func() string {
		data, err := os.ReadFile(filepath.Join(dir, "told"))
		require.NoError(t, err)
		return string(data)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	ready := make(chan struct{})
	wg.Go(func() {
		program.Run(ctx, "sessionhost", "", nil, io.Discard, io.Discard, func(*flag.FlagSet) {}, func(ctx context.Context, p *program.Program) error {
			return Run(ctx, p, cfg, func() { close(ready) })
		})
	})
	defer wg.Wait()
	defer stop()
	<-ready

	session := s.summon(t, "alice")
	require.NoError(t, s.broker.DisconnectUser(t.Context(), session))
	require.Equal(t, "disconnect alice \n", told())
	require.NoError(t, s.broker.MessageUser(t.Context(), session, "Tonight", "The host restarts at ten."))
	require.Equal(t, "message alice Tonight The host restarts at ten.\n", told())
	require.NoError(t, s.broker.LogOff(t.Context(), session))
	require.Equal(t, "logoff alice \n", told())
}

// summon has the broker place the user's call, and returns its session. The gateway
// that the host then dials is not there.
func (s *site) summon(t *testing.T, user string) string {
	t.Helper()
	c, err := s.broker.Connect(t.Context(), &reachback.User{Issuer: "https://idp.example", Subject: user}, "desktop", [32]byte{1})
	require.NoError(t, err)
	p, err := s.broker.Orchestrate(t.Context(), &relay.Call{
		ID: "call", Ticket: "ticket", Gateway: noGateway, Token: c.Token, Nonce: "0123456789abcdef",
		Remote: netip.MustParseAddrPort("192.0.2.1:50000"),
	})
	require.NoError(t, err)
	return p.Session
}

func TestControl(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	require.NoError(t, os.WriteFile(plain, nil, 0o600))
	for _, control := range []string{"", ControlNone} {
		got, err := newControl(control)
		require.NoError(t, err)
		require.Nil(t, got)
	}
	for control, says := range map[string]string{ControlWTS: "only Windows", plain: "permission denied", "/no/such/program": "no such file"} {
		got, err := newControl(control)
		require.ErrorContains(t, err, says)
		require.Equal(t, broker.SessionControl(nil), got)
	}
	require.Equal(t, ControlNone, DefaultControl())
}
