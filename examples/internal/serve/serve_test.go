package serve

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/examples/internal/program"
)

func TestD13_NothingButItsServicesOnThePort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	s, err := Open(t.Context(), &Config{
		Dir: filepath.Join(t.TempDir(), "srv"), Listen: addr, PublicURL: "https://" + addr, SignIn: SignInConfig{DevIdP: true},
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, func() {}) }()
	defer func() { stop(); require.NoError(t, <-served) }()

	trust, err := program.TrustFile(s.CAFile)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
	defer client.CloseIdleConnections()
	for _, path := range []string{
		"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/metrics", "/stats", "/admin", "/dev-idp",
		"/reachback/v1/", "/reachback/v1/stats", "/healthz", "/openapi.json", "/api/v1/stats", "/api/v1/pools", "/reachback.db", "/key", "/alice.token", "/../reachback.db",
	} {
		resp, err := client.Get(s.URL + path)
		require.NoError(t, err)
		var e reachback.Error
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&e), path)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, reachback.CodeNotFound, e.Code, path)
	}
	resp, err := client.Get(s.URL + "/reachback/v1/health")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}
