package feed_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
)

func TestPageShowsTheWorkspace(t *testing.T) {
	i := newSignInIssuer(t)
	v, s := newPage(t, i)
	v.signIn(i)
	s.change(func(s *source) { s.workspace = map[string]string{"": "Example <Inc>"} })
	w := v.get("/")
	require.Equal(t, http.StatusOK, w.Code)
	page := w.Body.String()
	for _, want := range []string{
		"<bdi>Example &lt;Inc&gt;</bdi>", "<bdi>Alice</bdi>", "<h2><bdi>Money</bdi></h2>", "<bdi>Finance &lt;&amp;&gt; Müller</bdi>",
		`href="/feed/rdp/fin.rdp"`, `href="/feed/rdp/desktop.rdp"`, `action="/signout"`, "https://feed.example.test/feed",
		`href="ms-rd:subscribe?url=https://feed.example.test/feed"`,
	} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, "secret-lab")
	require.NotContains(t, page, "Publisher", "nobody signs")

	// Nothing is of another origin or inline, and nobody frames or keeps the page.
	require.NotRegexp(t, `(src|href|action|srcset)="(https?:|//|data:)`, page)
	require.NotRegexp(t, `<style| style="| on[a-z]+="|<script>`, page)
	policy := w.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "frame-ancestors 'none'")
	require.NotContains(t, policy, "unsafe")
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	require.Equal(t, "same-origin", w.Header().Get("Referrer-Policy"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	for _, asset := range []string{"page.css", "page.js", "icon.svg"} {
		require.Equal(t, http.StatusOK, v.get("/page/"+asset).Code)
	}
	require.Equal(t, http.StatusNotFound, v.get("/page/workspace.html").Code)
}

// The search is the server's as well: a browser may run no script.
func TestPageSearchWithoutScript(t *testing.T) {
	i := newSignInIssuer(t)
	v, _ := newPage(t, i)
	v.signIn(i)
	for _, tt := range []struct {
		query  string
		hidden int
		text   string
	}{
		{"", 0, ""},
		{"müller+money", 1, "1 of 2 shown"},
		{"DESKTOP", 1, "1 of 2 shown"},
		{"nothing+like+it", 2, "0 of 2 shown"},
		{`"><script>`, 2, "0 of 2 shown"},
	} {
		page := v.get("/?q=" + tt.query).Body.String()
		require.Equal(t, tt.hidden, strings.Count(page, "<li hidden>"), tt.query)
		require.Contains(t, page, tt.text)
		require.NotContains(t, page, "<script>")
	}
	require.Equal(t, http.StatusBadRequest, v.get("/?q="+strings.Repeat("x", 201)).Code)
}

func TestPageOfNothing(t *testing.T) {
	i := newSignInIssuer(t)
	v, s := newPage(t, i)
	v.signIn(i)
	s.change(func(s *source) { s.resources["alice"] = nil })
	w := v.get("/")
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "Nothing here yet")
}

// A person gets a page for what a program gets JSON for.
func TestRefusalsAsPages(t *testing.T) {
	i := newSignInIssuer(t)
	v, s := newPage(t, i)
	require.Equal(t, http.StatusUnauthorized, v.get("/feed/rdp/desktop.rdp").Code)
	v.signIn(i)
	check := func(target, text string, code reachback.Code) {
		t.Helper()
		w := v.get(target)
		require.Equal(t, code.Status(), w.Code)
		require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
		require.Contains(t, w.Body.String(), text)
		require.Contains(t, w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'")
		require.Equal(t, code, refusal(t, v.do("GET", target, "Accept: application/json")).Code)
	}
	check("/feed/rdp/secret-lab.rdp", "There is nothing here", reachback.CodeResourceNotFound)
	check("/nothing", "There is nothing here", reachback.CodeNotFound)
	check("/feed/publisher.cer", "There is nothing here", reachback.CodeNotFound)
	s.change(func(s *source) { s.listErr = http.ErrServerClosed })
	check("/", "That did not work", reachback.CodeUnavailable)
	w := v.do("POST", "/signout", "Origin: https://evil.example.test")
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Contains(t, w.Body.String(), "That is not possible")
}

// Who signs the files is told where they are offered, as the policies of Windows take it.
func TestPageShowsThePublisher(t *testing.T) {
	i := newSignInIssuer(t)
	v, _ := newPage(t, i)
	certificate, err := examplePublisher()
	require.NoError(t, err)
	signer, err := feed.NewSigner(certificate, time.Now())
	require.NoError(t, err)
	v.h.Signer = func() *feed.Signer { return signer }
	v.signIn(i)
	page := v.get("/").Body.String()
	require.Contains(t, page, "<bdi>Contoso</bdi>")
	require.Contains(t, page, fmt.Sprintf("%X", sha1.Sum(certificate.Certificate[0])))
	require.Contains(t, page, fmt.Sprintf("%X", sha256.Sum256(certificate.Certificate[0])))
	w := v.get("/feed/publisher.cer")
	require.Equal(t, certificate.Certificate[0], w.Body.Bytes())
	require.Equal(t, "application/pkix-cert", w.Header().Get("Content-Type"))
}
