package feed_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/limit"
)

// Each way to a feed tells a user of his own tenant and no other: the document in every
// version and form, discovery, and the sizes of the answers.
func TestA8_NoWayToTheFeedLeaks(t *testing.T) {
	s := newSource()
	s.workspace = map[string]string{"west": "Secret workspace"}
	h := newHandler(s)
	const discovery = "Accept: application/x-msts-radc-discovery+xml"
	for _, path := range []string{"/feed", "/feed?folder=/", "/feed?folder=/Money", "/RDWeb/Feed/webfeed.aspx", "/api/arm/feeddiscovery"} {
		for _, accept := range []string{"Accept: text/xml", radc, discovery} {
			w := get(h, "bob-token", path, accept)
			require.Equal(t, http.StatusOK, w.Code)
			for _, secret := range []string{"desktop", "inance", "ecret", "west", "<SubFolders"} {
				require.NotContains(t, w.Body.String(), secret, path)
			}
		}
	}
	// A validator that another user had is no key to his document.
	tag := get(h, "alice-token", "/feed", radc).Header().Get("ETag")
	require.Equal(t, http.StatusOK, get(h, "bob-token", "/feed", radc, "If-None-Match: "+tag).Code)
	for _, path := range []string{"/feed/workspace.wcx", "/RDWebService.asmx"} {
		require.NotContains(t, request(h, "GET", path, "").Body.String(), "ecret")
	}
}

// Whatever a request says of where it comes from, it is its socket's address that is
// counted and recorded.
func TestC4_ForwardedAddressesAreNotBelievedAtTheFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := newHandler(newSource())
		h.Logger = slog.New(slog.NewTextHandler(&log, nil))
		for i := range 2 * limit.Burst {
			address := "198.51.100." + string(rune('0'+i%10))
			w := get(h, "guess", "/feed", "X-Forwarded-For: "+address, "Forwarded: for="+address, "X-Real-IP: "+address, "True-Client-IP: "+address)
			require.Equal(t, http.StatusUnauthorized, w.Code)
		}
		require.Equal(t, limit.Burst, strings.Count(log.String(), "request refused"), "one address, one limit")
		require.NotContains(t, log.String(), "198.51.100")
		require.Contains(t, log.String(), "remote=192.0.2.1:1234")

		// Nor does a request say where the feed is.
		w := get(h, "alice-token", "/feed", "X-Forwarded-Host: evil.test", "Forwarded: host=evil.test", "X-Forwarded-Proto: http")
		require.NotContains(t, w.Body.String(), "evil.test")
		r := httptest.NewRequest("GET", "https://evil.test/feed", nil)
		r.Header.Set("Authorization", "Bearer alice-token")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		require.Equal(t, http.StatusOK, rec.Code)
		require.NotContains(t, rec.Body.String(), "evil.test")
	})
}

// A page of another origin has the user's browser ask for a connection: refused before
// anybody is asked who the user is. Nothing that is read may be read by such a page.
func TestC7_RequestsOfOtherOriginsAreRefused(t *testing.T) {
	h := classicHandler()
	const body = `{"resource":"desktop"}`
	for _, tt := range []struct {
		name   string
		fields []string
		want   int
	}{
		{"another site", []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.test"}, 403},
		{"a neighbour", []string{"Sec-Fetch-Site: same-site", "Origin: https://www.example.test"}, 403},
		{"an old browser", []string{"Origin: https://evil.test"}, 403},
		{"a file", []string{"Origin: null"}, 403},
		{"the feed's host without TLS", []string{"Origin: http://feed.example.test"}, 403},
		{"the feed's page", []string{"Sec-Fetch-Site: same-origin", "Origin: https://feed.example.test"}, 200},
		{"the feed's page in an old browser", []string{"Origin: https://feed.example.test"}, 200},
		{"no browser", nil, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := request(h, "POST", "/reachback/v1/connect", body, append(tt.fields, "Authorization: Bearer alice-token")...)
			require.Equal(t, tt.want, w.Code)
			if tt.want != 200 {
				require.Equal(t, reachback.CodeCrossOrigin, refusal(t, w).Code)
				require.NotContains(t, w.Body.String(), "token-for-desktop")
			}
			for _, path := range []string{"/feed", "/feed/rdp/desktop.rdp", "/reachback/v1/keys"} {
				w := get(h, "alice-token", path, tt.fields...)
				require.Equal(t, http.StatusOK, w.Code)
				for name := range w.Header() {
					require.False(t, strings.HasPrefix(name, "Access-Control-"), "%s would let the page read it", name)
				}
			}
		})
	}
	w := request(h, "OPTIONS", "/reachback/v1/connect", "", "Origin: https://evil.test", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")
	require.Equal(t, reachback.CodeMethodNotAllowed, refusal(t, w).Code, "no preflight succeeds")
	require.Equal(t, reachback.CodeBadRequest, refusal(t, request(h, "POST", "/reachback/v1/connect", body,
		"Authorization: Bearer alice-token", "Origin: https://feed.example.test", "Origin: https://evil.test")).Code)
}

// What users are called, and what they ask for, stays one record of bounded length.
func TestD12_RecordsOfTheFeedAreEscapedAndCut(t *testing.T) {
	nasty := "alice\r\nlevel=ERROR msg=forged\x1b[2J\u2028" + strings.Repeat("x", 5000)
	for name, handler := range map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler {
			return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
		"json": func(w io.Writer) slog.Handler {
			return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := newSource()
			s.users["nasty"] = reachback.User{Issuer: nasty, Subject: nasty, Tenant: nasty, Name: nasty}
			s.resources[nasty] = []reachback.Resource{{ID: "a", Title: "A", Kind: reachback.KindDesktop}}
			h := newHandler(s)
			h.Logger = slog.New(handler(&log))
			require.Equal(t, 200, get(h, "nasty", "/feed").Code)
			require.Equal(t, 200, get(h, "nasty", "/feed/rdp/a.rdp").Code)
			require.Equal(t, 200, get(h, "nasty", "/feed", "Accept: application/x-msts-radc-discovery+xml").Code)
			target := "/feed/rdp/%0d%0alevel=ERROR%1b" + strings.Repeat("x", 5000)
			require.Equal(t, 404, get(h, "nasty", target).Code)
			body, err := json.Marshal(map[string]string{"resource": nasty[:3000]})
			require.NoError(t, err)
			request(h, "POST", "/reachback/v1/connect", string(body), "Authorization: Bearer nasty")
			require.Equal(t, 5, strings.Count(log.String(), "\n"))
			for line := range strings.Lines(log.String()) {
				require.Less(t, len(line), 1500)
				line = strings.TrimSuffix(line, "\n")
				require.False(t, strings.ContainsAny(line, "\r\x1b\u2028"), line)
				require.False(t, strings.HasPrefix(line, "level=ERROR msg=forged"))
			}
		})
	}
}

// The keys with which a client judges grants are those of the feed's origin. A gateway is
// never asked for any, and a feed that passes the question on is not followed.
func TestG11_KeysComeFromTheFeedsOriginOnly(t *testing.T) {
	var asked atomic.Int64
	gateway := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		io.WriteString(w, `{"gateways":["https://evil.test"],"token":"t","keys":{"keys":["evil"]},"correlation_id":"c"}`)
	}))
	gateway.Config.ErrorLog = quiet
	gateway.StartTLS()
	defer gateway.Close()
	s := newSite(t)
	s.source.keys = `{"keys":["genuine"]}`
	s.source.connectTo = func(*reachback.User, string, [32]byte) (*reachback.Connection, error) {
		return &reachback.Connection{Gateways: []string{gateway.URL}, Token: "t", Keys: []byte(s.source.keys)}, nil
	}
	conn, err := s.client("").Connect(t.Context(), "desktop", [32]byte{1})
	require.NoError(t, err)
	require.JSONEq(t, `{"keys":["genuine"]}`, string(conn.Keys))

	for _, status := range []int{301, 302, 303, 307, 308} {
		s.answer(func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, gateway.URL+r.URL.Path, status)
			return true
		})
		_, err = s.client("").Connect(t.Context(), "desktop", [32]byte{1})
		require.Equal(t, reachback.CodeProtocolError, reachback.CodeOf(err), "%v", err)
	}
	require.Zero(t, asked.Load())

	// A gateway that answers in the feed's place has another certificate.
	c := s.client("")
	c.URL = gateway.URL
	c.HTTP = &http.Client{Transport: &http.Transport{}}
	_, err = c.Connect(t.Context(), "desktop", [32]byte{1})
	require.Equal(t, reachback.CodeCertificateUntrusted, reachback.CodeOf(err))
	require.Zero(t, asked.Load())
}
