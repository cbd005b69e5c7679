package oidc_test

import (
	"bufio"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker/oidc"
	"github.com/reachback/reachback/internal/peertest"
)

// An independent issuer is npm's oidc-provider in a process of its own.
type independent struct {
	t       *testing.T
	url     string
	stdin   io.WriteCloser
	replies *bufio.Scanner
	config  *oauth2.Config
	browser *http.Client
}

// startIndependent starts one. It ends with the test.
func startIndependent(t *testing.T) *independent {
	t.Helper()
	node := peertest.Path(t, "node", "nodejs")
	modules := os.Getenv("REACHBACK_NODE_MODULES")
	if _, err := os.Stat(filepath.Join(modules, "oidc-provider")); modules == "" || err != nil {
		peertest.Missing(t, "REACHBACK_NODE_MODULES does not name a folder node_modules that has oidc-provider; `npm install oidc-provider` makes one")
	}
	cmd := exec.Command(node, filepath.Join("testdata", "issuer.mjs"), modules)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill()
		io.Copy(io.Discard, stdout)
		cmd.Wait()
		if t.Failed() {
			t.Log(stderr.String())
		}
	})
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	i := &independent{t: t, stdin: stdin, replies: bufio.NewScanner(stdout)}
	i.browser = &http.Client{
		Jar:       jar,
		Transport: &http.Transport{DisableKeepAlives: true},
		Timeout:   30 * time.Second,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Path == "/callback" {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
	i.url = i.reply()
	p, err := oidc.Discover(t.Context(), nil, i.url)
	require.NoError(t, err)
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams
	i.config = &oauth2.Config{
		ClientID: "reachback", Endpoint: endpoint, Scopes: []string{"openid", "offline_access"}, RedirectURL: "http://127.0.0.1:9/callback",
	}
	return i
}

func (i *independent) reply() string {
	i.t.Helper()
	for i.replies.Scan() {
		var line struct{ Reply string }
		if strings.HasPrefix(i.replies.Text(), `{"reply"`) && json.Unmarshal(i.replies.Bytes(), &line) == nil {
			return line.Reply
		}
	}
	i.t.Fatal("the issuer has ended")
	return ""
}

// tell has the issuer change.
func (i *independent) tell(command string) {
	i.t.Helper()
	_, err := io.WriteString(i.stdin, command+"\n")
	require.NoError(i.t, err)
	require.Equal(i.t, "done", i.reply())
}

var (
	formTag  = regexp.MustCompile(`(?s)<form[^>]* action="([^"]*)"[^>]*>(.*?)</form>`)
	inputTag = regexp.MustCompile(`<input[^>]*>`)
	attr     = regexp.MustCompile(`\b(name|value)="([^"]*)"`)
)

// click fills in and sends the form of each page, until there is none.
func (i *independent) click(resp *http.Response, fill map[string]string) *http.Response {
	i.t.Helper()
	for range 8 {
		page, err := io.ReadAll(resp.Body)
		require.NoError(i.t, err)
		require.NoError(i.t, resp.Body.Close())
		form := formTag.FindStringSubmatch(string(page))
		if form == nil || resp.StatusCode >= 300 && resp.StatusCode < 400 {
			require.Less(i.t, resp.StatusCode, 400, string(page))
			return resp
		}
		values := url.Values{}
		for _, input := range inputTag.FindAllString(form[2], -1) {
			field := map[string]string{}
			for _, a := range attr.FindAllStringSubmatch(input, -1) {
				field[a[1]] = html.UnescapeString(a[2])
			}
			if v, ok := fill[field["name"]]; ok {
				field["value"] = v
			}
			values.Set(field["name"], field["value"])
		}
		to, err := resp.Request.URL.Parse(html.UnescapeString(form[1]))
		require.NoError(i.t, err)
		resp, err = i.browser.PostForm(to.String(), values)
		require.NoError(i.t, err)
	}
	i.t.Fatal("the pages have no end")
	return nil
}

var resource = oauth2.SetAuthURLParam("resource", "urn:reachback:feed")

// code signs alice in with her browser, by a code and PKCE.
func (i *independent) code() *oauth2.Token {
	i.t.Helper()
	verifier := oauth2.GenerateVerifier()
	resp, err := i.browser.Get(i.config.AuthCodeURL("state", resource, oauth2.S256ChallengeOption(verifier)))
	require.NoError(i.t, err)
	resp = i.click(resp, map[string]string{"login": "alice", "password": "x"})
	back, err := resp.Location()
	require.NoError(i.t, err)
	require.Equal(i.t, "state", back.Query().Get("state"))
	t, err := i.config.Exchange(i.t.Context(), back.Query().Get("code"), resource, oauth2.VerifierOption(verifier))
	require.NoError(i.t, err)
	return t
}

// refresh exchanges the refresh token.
func (i *independent) refresh(t *oauth2.Token) *oauth2.Token {
	i.t.Helper()
	next, err := i.config.Exchange(i.t.Context(), "", resource,
		oauth2.SetAuthURLParam("grant_type", "refresh_token"), oauth2.SetAuthURLParam("refresh_token", t.RefreshToken))
	require.NoError(i.t, err)
	if next.RefreshToken == "" {
		next.RefreshToken = t.RefreshToken
	}
	return next
}

// The verifier takes the tokens of an issuer that others have written, through
// everything that an issuer does.
func TestIndependentIssuer(t *testing.T) {
	i := startIndependent(t)
	v := &oidc.Verifier{Issuer: i.url, Audience: audience, Clients: []string{"reachback"}}
	defer v.Close()
	require.NoError(t, v.Check(t.Context()))
	alice := &reachback.User{Issuer: i.url, Subject: "alice", Name: "Name of alice", Groups: []string{"staff", "it"}}
	verify := func(token *oauth2.Token) {
		t.Helper()
		u, err := v.Verify(t.Context(), token.AccessToken)
		require.NoError(t, err)
		require.Equal(t, alice, u)
	}
	refused := func(token *oauth2.Token, want reachback.Code) {
		t.Helper()
		_, err := v.Verify(t.Context(), token.AccessToken)
		require.Equal(t, want, reachback.CodeOf(err), "%v", err)
	}

	token := i.code()
	verify(token)
	_, err := v.Verify(t.Context(), token.Extra("id_token").(string))
	require.Equal(t, reachback.CodeWrongAudience, reachback.CodeOf(err), "an ID token is the client's")
	first := token
	token = i.refresh(token)
	require.NotEqual(t, first.AccessToken, token.AccessToken)
	verify(token)

	// A program without a browser.
	d, err := i.config.DeviceAuth(t.Context(), resource)
	require.NoError(t, err)
	resp, err := i.browser.Get(d.VerificationURI)
	require.NoError(t, err)
	i.click(resp, map[string]string{"user_code": d.UserCode, "login": "alice", "password": "x"})
	d.Interval = 1
	device, err := i.config.DeviceAccessToken(t.Context(), d, resource)
	require.NoError(t, err)
	verify(device)

	// Other keys, while the verifier goes on.
	i.tell(`{"rotate": true}`)
	rotated := i.refresh(token)
	require.NotEqual(t, kid(t, token), kid(t, rotated))
	verify(rotated)
	verify(token)
	i.tell(`{"withdraw": true}`)
	token = i.refresh(rotated)
	verify(token)

	// Seconds pass while the test runs, so what is to be accepted keeps clear of
	// the leeway's end where time brings it nearer.
	for _, tt := range []struct {
		name    string
		command string
		want    reachback.Code
	}{
		{"59 s ahead", `{"clock": 59}`, ""},
		{"65 s ahead", `{"clock": 65}`, reachback.CodeTokenNotYetValid},
		{"right again", `{"clock": 0}`, ""},
		{"behind by its token's life and 40 s", `{"ttl": 30, "clock": -70}`, ""},
		{"behind by its token's life and 61 s", `{"clock": -91}`, reachback.CodeTokenExpired},
	} {
		i.tell(tt.command)
		if token = i.refresh(token); tt.want == "" {
			verify(token)
		} else {
			refused(token, tt.want)
		}
	}
}

func kid(t *testing.T, token *oauth2.Token) string {
	t.Helper()
	parsed, err := jwt.ParseSigned(token.AccessToken, []jose.SignatureAlgorithm{jose.ES256})
	require.NoError(t, err)
	return parsed.Headers[0].KeyID
}
