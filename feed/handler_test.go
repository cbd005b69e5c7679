package feed_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
	"github.com/reachback/reachback/internal/limit"
)

// request sends one request to h, with fields "Name: value".
func request(h http.Handler, method, target, body string, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(h http.Handler, token, target string, fields ...string) *httptest.ResponseRecorder {
	return request(h, http.MethodGet, target, "", append(fields, "Authorization: Bearer "+token)...)
}

func refusal(t *testing.T, w *httptest.ResponseRecorder) reachback.Error {
	t.Helper()
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	var e reachback.Error
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e))
	require.Equal(t, e.Code.Status(), w.Code)
	require.NotEmpty(t, e.CorrelationID)
	return e
}

func TestHandlerRoutes(t *testing.T) {
	h := newHandler(newSource())
	auth := "Authorization: Bearer alice-token"
	for _, tt := range []struct {
		name, method, target string
		fields               []string
		want                 reachback.Code // "" for 200
		allow                string
	}{
		{"feed", "GET", "/feed", []string{auth}, "", ""},
		{"feed, head only", "HEAD", "/feed", []string{auth}, "", ""},
		{"file", "GET", "/feed/rdp/desktop.rdp", []string{auth}, "", ""},
		{"keys", "GET", "/reachback/v1/keys", nil, "", ""},
		{"feed, no token", "GET", "/feed", nil, reachback.CodeTokenMissing, ""},
		{"feed, other scheme", "GET", "/feed", []string{"Authorization: Basic YTpi"}, reachback.CodeTokenMissing, ""},
		{"feed, unknown token", "GET", "/feed", []string{"Authorization: Bearer x"}, reachback.CodeTokenInvalid, ""},
		{"file, no token", "GET", "/feed/rdp/desktop.rdp", nil, reachback.CodeTokenMissing, ""},
		{"file, no such", "GET", "/feed/rdp/nothing.rdp", []string{auth}, reachback.CodeResourceNotFound, ""},
		{"file without its extension", "GET", "/feed/rdp/desktop", []string{auth}, reachback.CodeResourceNotFound, ""},
		{"file by another way", "GET", "/feed/rdp/x/../desktop.rdp", []string{auth}, reachback.CodeResourceNotFound, ""},
		{"feed, wrong method", "POST", "/feed", []string{auth}, reachback.CodeMethodNotAllowed, "GET, HEAD"},
		{"file, wrong method", "DELETE", "/feed/rdp/desktop.rdp", []string{auth}, reachback.CodeMethodNotAllowed, "GET, HEAD"},
		{"keys, wrong method", "POST", "/reachback/v1/keys", nil, reachback.CodeMethodNotAllowed, "GET, HEAD"},
		{"connect, wrong method", "GET", "/reachback/v1/connect", []string{auth}, reachback.CodeMethodNotAllowed, "POST"},
		{"nothing there", "GET", "/feeds", []string{auth}, reachback.CodeNotFound, ""},
		{"a page that is not served", "GET", "/", nil, reachback.CodeNotFound, ""},
		{"icon, no such", "GET", "/feed/icon/0.png", nil, reachback.CodeNotFound, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := request(h, tt.method, tt.target, "", tt.fields...)
			require.Equal(t, tt.allow, w.Header().Get("Allow"))
			if tt.want == "" {
				require.Equal(t, http.StatusOK, w.Code)
				require.Equal(t, tt.method == "HEAD", w.Body.Len() == 0)
				return
			}
			require.Equal(t, tt.want, refusal(t, w).Code)
		})
	}
}

// Two Authorization fields, of which another reader could take the other, are
// refused before either is looked at.
func TestC5_DuplicateAuthorizationIsRefused(t *testing.T) {
	h := newHandler(newSource())
	for _, target := range []string{"/feed", "/feed/rdp/desktop.rdp"} {
		w := get(h, "alice-token", target, "Authorization: Bearer bob-token")
		require.Equal(t, reachback.CodeBadRequest, refusal(t, w).Code, target)
	}
	w := request(h, "POST", "/reachback/v1/connect", `{"resource":"desktop"}`, "Authorization: Bearer alice-token", "Authorization: Bearer alice-token")
	require.Equal(t, reachback.CodeBadRequest, refusal(t, w).Code)
}

// A connection token opens nothing here.
func TestA3_ConnectionTokenIsRefusedAtTheFeed(t *testing.T) {
	h := newHandler(newSource())
	for _, target := range []string{"/feed", "/feed/rdp/desktop.rdp"} {
		w := get(h, "connection-token", target)
		require.Equal(t, reachback.CodeWrongAudience, refusal(t, w).Code)
		require.Equal(t, http.StatusUnauthorized, w.Code)
		require.Equal(t, `Bearer error="invalid_token"`, w.Header().Get("WWW-Authenticate"))
		w = request(h, "GET", target, "")
		require.Equal(t, "Bearer", w.Header().Get("WWW-Authenticate"), "nobody said anything")
	}
	w := request(h, "POST", "/reachback/v1/connect", `{"resource":"desktop"}`, "Authorization: Bearer connection-token")
	require.Equal(t, reachback.CodeWrongAudience, refusal(t, w).Code)
}

// Who has no assignment sees an empty workspace, and of a resource that is not
// his the same answer as of one that does not exist, but for the correlation id.
func TestA8_NothingLeaksToTheUnassigned(t *testing.T) {
	h := newHandler(newSource())
	w := get(h, "bob-token", "/feed")
	require.Equal(t, http.StatusOK, w.Code)
	for _, secret := range []string{"desktop", "Desktop", "fin", "Finance", "secret-lab", "Secret laboratory"} {
		require.NotContains(t, w.Body.String(), secret)
	}
	require.NotContains(t, get(h, "alice-token", "/feed").Body.String(), "ecret")

	answers := make(map[string]bool)
	for _, id := range []string{"desktop", "secret-lab", "does-not-exist", "..%2fdesktop", strings.Repeat("x", 200)} {
		for _, method := range []string{"GET", "HEAD"} {
			w := request(h, method, "/feed/rdp/"+id+".rdp", "", "Authorization: Bearer bob-token")
			e := refusal(t, w)
			answers[strings.ReplaceAll(w.Body.String(), e.CorrelationID, "ID")] = true
		}
		w := request(h, "POST", "/reachback/v1/connect", `{"resource":"`+id+`"}`, "Authorization: Bearer bob-token")
		e := refusal(t, w)
		answers[strings.ReplaceAll(w.Body.String(), e.CorrelationID, "ID")] = true
	}
	require.Len(t, answers, 1)
}

// An assignment that ended counts at the next request for the file.
func TestFileChecksTheAssignmentAgain(t *testing.T) {
	s := newSource()
	h := newHandler(s)
	w := get(h, "alice-token", "/feed/rdp/fin.rdp")
	require.Equal(t, http.StatusOK, w.Code)
	s.change(func(s *source) { s.resources["alice"] = s.resources["alice"][1:] })
	w = get(h, "alice-token", "/feed/rdp/fin.rdp", "If-None-Match: "+w.Header().Get("ETag"))
	require.Equal(t, reachback.CodeResourceNotFound, refusal(t, w).Code)
}

// Clients take 404 and an empty list for "the workspace is gone", so no failure
// is answered so, whatever the source says.
func TestFailureIsNeverAnEmptyWorkspace(t *testing.T) {
	database := errors.New("database: secret-host:5432 refused")
	for _, tt := range []struct {
		name   string
		change func(*source)
		want   reachback.Code
	}{
		{"issuer down", func(s *source) { s.err = reachback.Refuse(reachback.CodeUnavailable) }, reachback.CodeUnavailable},
		{"issuer's fault", func(s *source) { s.err = database }, reachback.CodeUnavailable},
		{"issuer says not found", func(s *source) { s.err = reachback.Refuse(reachback.CodeNotFound) }, reachback.CodeUnavailable},
		{"database's fault", func(s *source) { s.listErr = database }, reachback.CodeUnavailable},
		{"database says not found", func(s *source) { s.listErr = reachback.Refuse(reachback.CodeResourceNotFound) }, reachback.CodeUnavailable},
		{"rate limit", func(s *source) { s.err = reachback.Refuse(reachback.CodeRateLimited) }, reachback.CodeRateLimited},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSource()
			tt.change(s)
			for _, target := range []string{"/feed", "/feed/rdp/desktop.rdp", "/feed/rdp/nothing.rdp"} {
				w := get(newHandler(s), "alice-token", target)
				require.Equal(t, tt.want, refusal(t, w).Code, target)
				require.NotContains(t, w.Body.String(), "secret-host")
			}
		})
	}
}

func TestHandlerWithoutItsFieldsRefuses(t *testing.T) {
	for _, h := range []*feed.Handler{
		{URL: "https://feed.example.test"},
		{Source: newSource()},
		{Source: newSource(), URL: "http://feed.example.test"},
		{Source: newSource(), URL: "https://user@feed.example.test"},
	} {
		require.Equal(t, reachback.CodeInternal, refusal(t, get(h, "alice-token", "/feed")).Code)
	}
}

// The document and the files are validated by strong ETags, which change with
// what they stand for and with nothing else.
func TestValidators(t *testing.T) {
	s := newSource()
	h := newHandler(s)
	const radc = "Accept: application/x-msts-radc+xml; radc_schema_version=2.0"
	for _, target := range []string{"/feed", "/feed/rdp/fin.rdp"} {
		first := get(h, "alice-token", target, radc)
		tag := first.Header().Get("ETag")
		require.Regexp(t, `^"[0-9a-f]{32}"$`, tag)
		require.Equal(t, "private, no-cache", first.Header().Get("Cache-Control"))
		require.Equal(t, "Accept, Authorization, Cookie", first.Header().Get("Vary"))

		same := get(newHandler(s), "alice-token", target, radc)
		require.Equal(t, tag, same.Header().Get("ETag"))
		require.Equal(t, first.Body.String(), same.Body.String())

		for _, match := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
			w := get(h, "alice-token", target, radc, "If-None-Match: "+match)
			require.Equal(t, http.StatusNotModified, w.Code, match)
			require.Zero(t, w.Body.Len())
			require.Equal(t, tag, w.Header().Get("ETag"))
		}
		require.Equal(t, http.StatusOK, get(h, "alice-token", target, radc, `If-None-Match: "x"`).Code)
		require.Equal(t, reachback.CodeTokenInvalid, refusal(t, get(h, "no-token", target, radc, "If-None-Match: "+tag)).Code)
	}

	tag := get(h, "alice-token", "/feed", radc).Header().Get("ETag")
	require.NotEqual(t, tag, get(h, "alice-token", "/feed").Header().Get("ETag"), "another version")
	require.NotEqual(t, tag, get(h, "bob-token", "/feed", radc).Header().Get("ETag"), "another user")
	s.change(func(s *source) { s.resources["alice"][1].RDP = map[string]string{"audiomode": "i:2"} })
	require.NotEqual(t, tag, get(h, "alice-token", "/feed", radc).Header().Get("ETag"), "a file changed")
}

// A record has the correlation id of the answer, and never the token.
func TestHandlerLogs(t *testing.T) {
	var log bytes.Buffer
	h := newHandler(newSource())
	h.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e := refusal(t, get(h, "stolen-token", "/feed"))
	get(h, "alice-token", "/feed")
	w := request(h, "POST", "/reachback/v1/connect", `{"resource":"desktop"}`, "Authorization: Bearer alice-token")
	require.Equal(t, http.StatusOK, w.Code)
	refusal(t, get(h, "alice-token", "/nothing%0d%0ahere"+strings.Repeat("x", 1000)))

	records := log.String()
	require.Equal(t, 4, strings.Count(records, "\n"))
	require.Contains(t, records, e.CorrelationID)
	require.Contains(t, records, `"correlation_id":"c0rrelation"`)
	require.Contains(t, records, `"user":"alice"`)
	for _, secret := range []string{"stolen-token", "alice-token", "token-for-desktop"} {
		require.NotContains(t, records, secret)
	}
	for line := range strings.Lines(records) {
		require.Less(t, len(line), 600)
	}
}

// Over HTTP/2, as browsers speak it, everything answers the same.
func TestFloodOfRefusalsIsRecordedInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := newHandler(newSource())
		h.Logger = slog.New(slog.NewTextHandler(&log, nil))
		for range 2 * limit.Burst {
			require.Equal(t, http.StatusUnauthorized, get(h, "guess", "/feed").Code)
		}
		require.Equal(t, limit.Burst, strings.Count(log.String(), "request refused"))
		require.Equal(t, http.StatusOK, get(h, "alice-token", "/feed").Code, "from the same address")
		log.Reset()
		time.Sleep(time.Second)
		get(h, "guess", "/feed")
		require.Contains(t, log.String(), "request refused")
	})
}

func TestHandlerOverHTTP2(t *testing.T) {
	h := newHandler(newSource())
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for _, tt := range []struct {
		token string
		want  int
	}{{"alice-token", 200}, {"nobody", 401}, {"alice-token", 200}} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/feed", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+tt.token)
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, 2, resp.ProtoMajor)
		require.Equal(t, tt.want, resp.StatusCode)
	}
}
