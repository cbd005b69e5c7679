package feed_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
)

const (
	pathConnect = "/reachback/v1/connect"
	acceptFile  = "Accept: application/x-rdp"
)

// newRawSource is newSource whose desktop's pool admits stock clients, with another token for
// each connection.
func newRawSource() *source {
	s := newSource()
	admit(s)
	return s
}

func admit(s *source) {
	s.resources["alice"][1].Raw = true
	n := 0
	s.connectTo = func(u *reachback.User, resource string, key [32]byte) (*reachback.Connection, error) {
		for _, r := range s.resources[u.Subject] {
			if r.ID != resource {
				continue
			}
			if !r.Raw && key == [32]byte{} {
				return nil, reachback.Refuse(reachback.CodeRawNotAllowed)
			}
			n++
			return &reachback.Connection{
				Gateways: []string{"https://gw.example.test:8443"}, Token: fmt.Sprintf("secret-%d.for.%s", n, resource), Keys: []byte(s.keys), CorrelationID: "cid",
			}, nil
		}
		return nil, reachback.Refuse(reachback.CodeResourceNotFound)
	}
}

// connectionFile checks that the answer is a file to open the resource once, and returns it
// and its token.
func connectionFile(t *testing.T, w *httptest.ResponseRecorder, resource string) (f *feed.RDPFile, token string) {
	t.Helper()
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, "application/x-rdp", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	require.Empty(t, w.Header().Get("ETag"))
	require.Equal(t, `attachment; filename="`+resource+`.rdp"`, w.Header().Get("Content-Disposition"))
	f, err := feed.ParseRDP(w.Body.Bytes())
	require.NoError(t, err)
	for name, want := range map[string]string{
		"full address": resource, "alternate full address": resource, "gatewayhostname": "gw.example.test:8443",
		"gatewayusagemethod": "1", "gatewayprofileusagemethod": "1", "gatewaycredentialssource": "5", "promptcredentialonce": "0",
		"autoreconnection enabled": "0",
	} {
		got, _ := f.Get(name)
		require.Equal(t, want, got.Value, name)
	}
	s, _ := f.Get("gatewayaccesstoken")
	require.Equal(t, byte('s'), s.Type)
	require.Contains(t, s.Value, ".for."+resource)
	return f, s.Value
}

func TestConnectAnswersWithAFile(t *testing.T) {
	h := newHandler(newRawSource())
	const auth = "Authorization: Bearer alice-token"
	const desktop = `{"resource":"desktop"}`
	stored, err := feed.ParseRDP(get(h, "alice-token", "/feed/rdp/desktop.rdp").Body.Bytes())
	require.NoError(t, err)
	f, first := connectionFile(t, request(h, "POST", pathConnect, desktop, auth, acceptFile), "desktop")
	_, second := connectionFile(t, request(h, "POST", pathConnect, desktop, auth, acceptFile), "desktop")
	require.NotEqual(t, first, second)
	for _, s := range stored.Settings() {
		if s.Name != "gatewayhostname" && s.Name != "autoreconnection enabled" {
			got, _ := f.Get(s.Name)
			require.Equal(t, s, got, "it does what the stored file does")
		}
	}
	require.Len(t, f.Settings(), len(stored.Settings())+1)

	for _, tt := range []struct {
		accept string
		file   bool
	}{
		{"", false}, {"*/*", false}, {"application/json", false}, {"application/x-rdp;q=0", false}, {"application/x-rdp;q=0.5, application/json", false},
		{"application/x-rdp, */*;q=0.1", true}, {"application/json;q=0.5, APPLICATION/X-RDP", true},
	} {
		w := request(h, "POST", pathConnect, desktop, auth, "Accept: "+tt.accept)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, tt.file, w.Header().Get("Content-Type") == "application/x-rdp", tt.accept)
	}

	refuses := func(want reachback.Code, body string, fields ...string) {
		t.Helper()
		w := request(h, "POST", pathConnect, body, append(fields, acceptFile)...)
		require.Equal(t, want, refusal(t, w).Code)
		require.NotContains(t, w.Body.String(), "secret-")
	}
	refuses(reachback.CodeRawNotAllowed, `{"resource":"fin"}`, auth)
	refuses(reachback.CodeBadRequest, `{"resource":"desktop","key":"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA"}`, auth)
	refuses(reachback.CodeTokenMissing, desktop)
	refuses(reachback.CodeCrossOrigin, desktop, auth, "Sec-Fetch-Site: cross-site")
}

// A file has no room for a gateway's path, and without the path it would lead elsewhere.
func TestConnectionFileNamesNoGatewayWithAPath(t *testing.T) {
	const auth = "Authorization: Bearer alice-token"
	s := newRawSource()
	var gateways []string
	connect := s.connectTo
	s.connectTo = func(u *reachback.User, resource string, key [32]byte) (*reachback.Connection, error) {
		c, err := connect(u, resource, key)
		c.Gateways = gateways
		return c, err
	}
	h := newHandler(s)
	ask := func() *httptest.ResponseRecorder {
		return request(h, "POST", pathConnect, `{"resource":"desktop"}`, auth, acceptFile)
	}
	gateways = []string{"https://proxy.example.test/gw", "https://gw.example.test:8443/", "quic://gw.example.test:8443"}
	for range 50 {
		connectionFile(t, ask(), "desktop")
	}
	for _, gateways = range [][]string{nil, {"https://proxy.example.test/gw"}, {"wss://gw.example.test:8443"}} {
		require.Equal(t, reachback.CodeNoGateway, refusal(t, ask()).Code)
	}
}

// A signature is made once for a gateway, and covers everything but the token.
func TestConnectionFileIsSigned(t *testing.T) {
	signer, key, roots := newSigner(t, "Example publisher", time.Hour)
	h := newHandler(newRawSource())
	h.Signer = func() *feed.Signer { return signer }
	tokens := make(map[string]bool)
	for range 3 {
		f, token := connectionFile(t, request(h, "POST", pathConnect, `{"resource":"desktop"}`, "Authorization: Bearer alice-token", acceptFile), "desktop")
		tokens[token] = true
		signature, err := f.Verify(feed.VerifyOptions{Roots: roots})
		require.NoError(t, err)
		require.Equal(t, "Example publisher", signature.Publisher)
		for _, name := range []string{"full address", "alternate full address", "gatewayhostname", "gatewayusagemethod", "gatewayprofileusagemethod", "gatewaycredentialssource"} {
			require.Contains(t, signature.Covered, name)
		}
		require.Empty(t, signature.Unsignable)
		require.NoError(t, f.Set("gatewayhostname", 's', "evil.example.test"))
		_, err = f.Verify(feed.VerifyOptions{Roots: roots})
		require.Error(t, err)
	}
	require.Len(t, tokens, 3)
	require.Equal(t, int64(1), key.signatures.Load())
}

// A person opens a resource in whatever program he has, by a form of the page.
func TestPageOpens(t *testing.T) {
	i := newSignInIssuer(t)
	v, s := newPage(t, i)
	s.change(admit)
	var log bytes.Buffer
	v.h.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	const own = "Sec-Fetch-Site: same-origin"
	require.Equal(t, http.StatusUnauthorized, v.do("POST", "/open/desktop.rdp", own).Code)
	v.signIn(i)
	page := v.get("/").Body.String()
	require.Contains(t, page, `<form method="post" action="/open/desktop.rdp">`)
	require.Contains(t, page, `href="/feed/rdp/desktop.rdp"`, "the file to keep")
	require.NotContains(t, page, `"/open/fin.rdp"`)

	_, first := connectionFile(t, v.do("POST", "/open/desktop.rdp", own), "desktop")
	_, second := connectionFile(t, v.do("POST", "/open/desktop.rdp", "Origin: https://feed.example.test"), "desktop")
	require.NotEqual(t, first, second)
	require.NotContains(t, log.String(), "secret-")
	require.Contains(t, log.String(), `"connection issued"`)
	require.Contains(t, log.String(), `"correlation_id":"cid"`)

	// Where stock clients are not admitted, the stored file is all there is.
	w := v.do("POST", "/open/fin.rdp", own)
	require.Equal(t, http.StatusSeeOther, w.Code)
	require.Equal(t, "/feed/rdp/fin.rdp", w.Header().Get("Location"))
	w = v.get("/open/desktop.rdp")
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, "POST", w.Header().Get("Allow"))

	// The operator has changed his mind since the page was asked.
	s.change(func(s *source) {
		s.connectTo = func(*reachback.User, string, [32]byte) (*reachback.Connection, error) {
			return nil, reachback.Refuse(reachback.CodeRawNotAllowed)
		}
	})
	w = v.do("POST", "/open/desktop.rdp", own)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Contains(t, w.Body.String(), "That is not possible")
}

// A page of another origin cannot have a file made, nor one that does not say where it is.
func TestC7_OpenIsThePagesAlone(t *testing.T) {
	i := newSignInIssuer(t)
	v, s := newPage(t, i)
	s.change(admit)
	v.signIn(i)
	s.change(func(s *source) {
		s.connectTo = func(*reachback.User, string, [32]byte) (*reachback.Connection, error) {
			t.Error("a connection was asked for")
			return nil, reachback.Refuse(reachback.CodeInternal)
		}
	})
	for field, want := range map[string]reachback.Code{
		"Sec-Fetch-Site: cross-site":       reachback.CodeCrossOrigin,
		"Sec-Fetch-Site: same-site":        reachback.CodeCrossOrigin,
		"Origin: https://evil.example.net": reachback.CodeCrossOrigin,
		"Origin: null":                     reachback.CodeCrossOrigin,
		"Sec-Fetch-Site: none":             reachback.CodeTokenMissing,
		"X-Nothing: said":                  reachback.CodeTokenMissing,
	} {
		w := v.do("POST", "/open/desktop.rdp", field, "Accept: application/json")
		require.Equal(t, want, refusal(t, w).Code, field)
	}
	w := v.do("POST", pathConnect, "Sec-Fetch-Site: same-origin", "Origin: https://feed.example.test", acceptFile)
	require.Equal(t, reachback.CodeTokenMissing, refusal(t, w).Code, "there a cookie never counts")
}

// Asking for a file tells no more of others' resources than anything else does.
func TestA8_OpenTellsNothingOfOthers(t *testing.T) {
	i := newSignInIssuer(t)
	v, s := newPage(t, i)
	s.change(admit)
	s.change(func(s *source) { s.resources["carol"][0].Raw = true })
	v.signIn(i)
	answers := make(map[string]bool)
	for _, id := range []string{"secret-lab", "does-not-exist", "..%2fdesktop", "desktop.rdp", strings.Repeat("x", 200)} {
		w := v.do("POST", "/open/"+id+".rdp", "Sec-Fetch-Site: same-origin", "Accept: application/json")
		e := refusal(t, w)
		answers[strings.ReplaceAll(w.Body.String(), e.CorrelationID, "ID")] = true
		w = request(v.h, "POST", pathConnect, `{"resource":"`+id+`"}`, "Authorization: Bearer alice-token", acceptFile)
		e = refusal(t, w)
		answers[strings.ReplaceAll(w.Body.String(), e.CorrelationID, "ID")] = true
	}
	require.Len(t, answers, 1)
	require.Equal(t, reachback.CodeResourceNotFound, refusal(t, v.do("POST", "/open/desktop", "Sec-Fetch-Site: same-origin", "Accept: application/json")).Code)
}

// A connection token, whoever found it in a file, asks for no other.
func TestA3_TokenOfAFileIsRefusedAtTheFeed(t *testing.T) {
	i := newSignInIssuer(t)
	v, s := newPage(t, i)
	s.change(admit)
	for _, path := range []string{pathConnect, "/open/desktop.rdp"} {
		w := request(v.h, "POST", path, `{"resource":"desktop"}`, "Authorization: Bearer connection-token", acceptFile)
		require.Equal(t, reachback.CodeWrongAudience, refusal(t, w).Code, path)
	}
}

func TestClientConnectFile(t *testing.T) {
	signer, _, roots := newSigner(t, "Example publisher", time.Hour)
	s := newSite(t)
	s.source.change(admit)
	var now *feed.Signer
	s.handler.Signer = func() *feed.Signer { return now }
	dir := t.TempDir()
	c := s.client(dir)
	f, err := c.ConnectFile(t.Context(), "desktop")
	require.NoError(t, err)
	token, _ := f.Get("gatewayaccesstoken")
	require.Equal(t, "secret-1.for.desktop", token.Value)
	for id, want := range map[string]reachback.Code{"fin": reachback.CodeRawNotAllowed, "secret-lab": reachback.CodeResourceNotFound} {
		_, err = c.ConnectFile(t.Context(), id)
		require.Equal(t, want, reachback.CodeOf(err), "%v", err)
	}

	c.Signatures, c.Trust.Roots = feed.SignaturesRequired, roots
	_, err = c.ConnectFile(t.Context(), "desktop")
	require.ErrorIs(t, err, feed.ErrUnsigned)
	now = signer
	f, err = c.ConnectFile(t.Context(), "desktop")
	require.NoError(t, err)
	require.True(t, f.Signed())
	stored, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, stored)

	c.Signatures = feed.SignaturesIgnored
	for name, body := range map[string]string{
		"another resource":  "full address:s:fin\r\nalternate full address:s:fin\r\ngatewayaccesstoken:s:t\r\n",
		"overridden":        "full address:s:desktop\r\nalternate full address:s:evil\r\ngatewayaccesstoken:s:t\r\n",
		"no token":          "full address:s:desktop\r\nalternate full address:s:desktop\r\n",
		"token of no type":  "full address:s:desktop\r\nalternate full address:s:desktop\r\ngatewayaccesstoken:i:1\r\n",
		"not a file":        `{"gateways":["https://gw.example.test"],"token":"t","keys":{}}`,
		"too large to read": strings.Repeat("a:s:\r\n", 50_000),
	} {
		s.answer(func(w http.ResponseWriter, r *http.Request) bool { io.WriteString(w, body); return true })
		_, err := c.ConnectFile(t.Context(), "desktop")
		require.Equal(t, reachback.CodeProtocolError, reachback.CodeOf(err), "%s: %v", name, err)
		require.NotContains(t, err.Error(), "secret-")
	}
}
