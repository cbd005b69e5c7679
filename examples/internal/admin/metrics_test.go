package admin

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/sqldirectory"
	"github.com/reachback/reachback/examples/internal/admin/api"
	"github.com/reachback/reachback/relay"
)

func TestMetricsSayWhatHappened(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := &relay.Relay{Orchestrator: w.broker, URL: gateway}
		defer r.Close()
		w.parts.Relay = r
		w.serve()
		scrape := func() string {
			status, data := w.ask(http.MethodGet, "/metrics", "")
			require.Equal(t, http.StatusOK, status)
			return string(data)
		}
		require.Contains(t, scrape(), `reachback_broker_channels{role="host"} 0`)
		w.up("pc1", "desktops")
		_, err := w.call("alice", "desktop")
		require.NoError(t, err)
		_, err = w.call("bob", "desktop")
		require.Error(t, err)
		got := scrape()
		for _, line := range []string{
			`reachback_broker_channels{role="host"} 1`, `reachback_broker_channels{role="gateway"} 0`, "reachback_broker_enrolments_total 1",
			"reachback_broker_calls_permitted_total 1", `reachback_broker_refusals_total{code="not_assigned"} 1`,
			"reachback_relay_calls_total 0", `reachback_relay_bytes_total{direction="to_host"} 0`, `reachback_check_up{check="directory"} 1`,
			"# TYPE reachback_broker_refusals_total counter", "# TYPE reachback_relay_pairs gauge", "go_goroutines ", "process_start_time_seconds ", "go_build_info{",
		} {
			require.Contains(t, got, line)
		}
		require.Equal(t, 1, get[api.Stats](w, "/stats").Broker.Hosts)
	})
}

// Peers can send any code. They do not get as many series.
func TestCodesThatPeersMakeUpAreOneSeries(t *testing.T) {
	require.Equal(t, map[string]int64{"closed": 3, "other": 7}, byName(map[reachback.Code]int64{
		reachback.CodeClosed: 3, "made_up": 5, "": 2,
	}))
}

func TestHealthNamesWhatDoesNotAnswer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		down := errors.New("connection refused")
		checked := 0
		w.parts.Checks = map[string]func(context.Context) error{
			"issuer": func(context.Context) error { checked++; return down },
			"slow":   func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		}
		w.serve()
		began := time.Now()
		status, body := w.ask(http.MethodGet, "/healthz", "")
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.JSONEq(t, `{"status": "failing", "checks": {"directory": "ok", "issuer": "connection refused", "slow": "context deadline exceeded"}}`, string(body))
		require.Equal(t, checkWithin, time.Since(began))
		for range 10 {
			w.ask(http.MethodGet, "/healthz", "")
		}
		require.Equal(t, 1, checked, "many who ask are not many who check")

		_, metrics := w.ask(http.MethodGet, "/metrics", "")
		require.Contains(t, string(metrics), `reachback_check_up{check="issuer"} 0`)
		time.Sleep(checkEvery)
		down = nil
		_, body = w.ask(http.MethodGet, "/healthz", "")
		require.Contains(t, string(body), `"issuer":"ok"`)
	})
}

// A gateway apart has its numbers and its health, and nothing to administer.
func TestAGatewayApartHasNoBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &relay.Relay{URL: gateway}
		defer r.Close()
		link := &broker.Link{Server: "https://broker.example", URL: gateway}
		h := NewHandler(&Parts{Relay: r, Link: link})
		ask := func(path string) (int, string) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			return w.Code, w.Body.String()
		}
		_, metrics := ask("/metrics")
		require.Contains(t, metrics, "reachback_relay_pairs 0")
		require.Contains(t, metrics, `reachback_check_up{check="link"} 0`)
		require.NotContains(t, metrics, "reachback_broker")
		status, health := ask("/healthz")
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Contains(t, health, string(reachback.CodeBrokerUnreachable))
		status, stats := ask("/api/v1/stats")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, stats, `"link":{"up":false`)
		for _, path := range []string{"/api/v1/pools", "/api/v1/records"} {
			status, _ := ask(path)
			require.Equal(t, http.StatusNotFound, status, path)
		}
		_, document := ask("/openapi.json")
		require.Equal(t, 1, strings.Count(document, `"operationId"`))
	})
}

func TestProfilesAreThere(t *testing.T) {
	h := NewHandler(&Parts{})
	for path, says := range map[string]string{"/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile", "/debug/pprof/cmdline": "admin"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		require.Equal(t, http.StatusOK, w.Code, path)
		require.Contains(t, w.Body.String(), says, path)
	}
}

func TestADatabaseThatIsAwayIsSaidSo(t *testing.T) {
	dir, err := sqldirectory.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "db"), &sqldirectory.Options{})
	require.NoError(t, err)
	b := &broker.Broker{Directory: dir}
	defer b.Close()
	h := NewHandler(&Parts{Broker: b, Directory: dir})
	ask := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(`{}`)))
		return w.Code, w.Body.String()
	}
	status, _ := ask(http.MethodPut, "/api/v1/pools/lab")
	require.Equal(t, http.StatusNoContent, status)
	_, metrics := ask(http.MethodGet, "/metrics")
	require.Regexp(t, `(?m)^reachback_directory_commits_total [1-9]`, metrics)

	require.NoError(t, dir.Close())
	for method, path := range map[string]string{http.MethodGet: "/api/v1/pools", http.MethodPut: "/api/v1/pools/lab"} {
		status, body := ask(method, path)
		require.Equal(t, http.StatusServiceUnavailable, status, path)
		require.Contains(t, body, `"code":"unavailable"`, path)
		require.Contains(t, body, `"correlation_id":"`, path)
		require.NotContains(t, body, "closed", "the asker is told no internals")
	}
	h = NewHandler(&Parts{Broker: b, Directory: dir}) // which has not looked yet
	status, health := ask(http.MethodGet, "/healthz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, health, "closed", "the operator is told")
}
