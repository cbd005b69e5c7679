package feed_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
)

func TestSignIn(t *testing.T) {
	want := &feed.SignIn{
		Issuer: "https://idp.example.test/t", ClientID: "reachback", Scopes: []string{"openid", "offline_access"},
		Resource: "https://feed.example.test", Audience: "api",
	}
	var seen http.Header
	h := &feed.Handler{Source: newSource(), SignIn: want}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		h.ServeHTTP(w, r)
	}))
	defer server.Close()
	h.URL = server.URL
	c := &feed.Client{URL: server.URL, HTTP: server.Client(), Token: token("alice-token")}
	got, err := c.SignIn(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Empty(t, seen.Get("Authorization"), "a token is not sent where none is needed")

	c.Token = nil
	_, err = c.SignIn(t.Context())
	require.NoError(t, err)

	h.SignIn = nil
	_, err = c.SignIn(t.Context())
	require.Equal(t, reachback.CodeNotFound, reachback.CodeOf(err))
	h.SignIn = &feed.SignIn{Issuer: "http://idp.example.test", ClientID: "c"}
	_, err = c.SignIn(t.Context())
	require.Equal(t, reachback.CodeInternal, reachback.CodeOf(err), "a mistake of the operator's")
}

// A client goes nowhere that would not keep its user's secrets.
func TestSignInOfAnotherKind(t *testing.T) {
	const good = `{"issuer":"https://idp.example.test","client_id":"c","scopes":["openid"]}`
	for _, tt := range []struct{ name, doc string }{
		{"no document", `[]`},
		{"no issuer", `{"client_id":"c"}`},
		{"no client", `{"issuer":"https://idp.example.test"}`},
		{"an issuer without TLS", strings.Replace(good, "https", "http", 1)},
		{"an issuer on the file system", strings.Replace(good, "https://idp.example.test", "file:///etc/passwd", 1)},
		{"an issuer with a password", strings.Replace(good, "idp.", "u:p@idp.", 1)},
		{"an issuer with a query", strings.Replace(good, ".test", ".test?a", 1)},
		{"two issuers", strings.Replace(good, "{", `{"issuer":"https://other.example.test",`, 1)},
		{"a scope that is two", strings.Replace(good, `"openid"`, `"openid admin"`, 1)},
		{"scopes without end", strings.Replace(good, `"openid"`, `"openid"`+strings.Repeat(`,"x"`, 32), 1)},
		{"a document without end", good + strings.Repeat(" ", 8<<10)},
		{"a line break in the client", strings.Replace(good, `"c"`, `"c\n"`, 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, tt.doc) }))
			defer server.Close()
			c := &feed.Client{URL: server.URL, HTTP: server.Client()}
			_, err := c.SignIn(t.Context())
			require.Equal(t, reachback.CodeProtocolError, reachback.CodeOf(err), "%v", err)
		})
	}
}
