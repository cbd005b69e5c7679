package devidp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// A user signs in with a code and PKCE, and his tokens are refreshed until he is
// taken out of the seed.
func TestSignInAndRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		got, refusal := i.askCode(t, newBrowser(t, i).signIn("alice", nil), nil)
		require.Empty(t, refusal)
		u, err := i.Verifier().Verify(t.Context(), got.AccessToken)
		require.NoError(t, err)
		require.Equal(t, &reachback.User{Issuer: issuerURL, Subject: "alice", Name: "alice", Groups: []string{"staff"}}, u)
		_, err = i.Verifier().Verify(t.Context(), got.IDToken)
		require.Equal(t, reachback.CodeWrongAudience, reachback.CodeOf(err), "an ID token is the client's")

		b := newBrowser(t, i)
		b.edit = func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+got.AccessToken) }
		require.JSONEq(t, `{"sub":"alice","name":"alice","groups":["staff"]}`, b.do("GET", issuerURL+pathUserinfo, nil).Body.String())

		time.Sleep(accessLife + 2*time.Minute)
		_, err = i.Verifier().Verify(t.Context(), got.AccessToken)
		require.Equal(t, reachback.CodeTokenExpired, reachback.CodeOf(err))
		i.SetUsers([]broker.SeedUser{{Name: "alice", Groups: []string{"admins"}}})
		next, refusal := i.askRefresh(t, got.RefreshToken)
		require.Empty(t, refusal)
		u, err = i.Verifier().Verify(t.Context(), next.AccessToken)
		require.NoError(t, err)
		require.Equal(t, []string{"admins"}, u.Groups)

		i.SetUsers(nil)
		_, refusal = i.askRefresh(t, next.RefreshToken)
		require.Equal(t, "invalid_grant", refusal)
	})
}

// Codes and refresh tokens are good once. Who shows one again has a copy, so what it
// gave is taken back too.
func TestNothingIsSpentTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		b := newBrowser(t, i)
		code := b.signIn("alice", nil)
		got, _ := i.askCode(t, code, nil)
		_, refusal := i.askCode(t, code, nil)
		require.Equal(t, "invalid_grant", refusal)
		_, refusal = i.askRefresh(t, got.RefreshToken)
		require.Equal(t, "invalid_grant", refusal, "of a code that was shown twice")

		got, _ = i.askCode(t, b.signIn("alice", nil), nil)
		next, refusal := i.askRefresh(t, got.RefreshToken)
		require.Empty(t, refusal)
		_, refusal = i.askRefresh(t, got.RefreshToken)
		require.Equal(t, "invalid_grant", refusal)
		_, refusal = i.askRefresh(t, next.RefreshToken)
		require.Equal(t, "invalid_grant", refusal, "thief and owner cannot be told apart")

		for _, wrong := range []map[string]string{
			{"code_verifier": codeVerifier + "x"}, {"code_verifier": ""}, {"redirect_uri": "http://127.0.0.1:5556/callback"},
		} {
			code = b.signIn("alice", nil)
			_, refusal = i.askCode(t, code, wrong)
			require.Equal(t, "invalid_grant", refusal)
			_, refusal = i.askCode(t, code, nil)
			require.Equal(t, "invalid_grant", refusal, "the first attempt was the only one")
		}
		code = b.signIn("alice", nil)
		time.Sleep(codeLife)
		_, refusal = i.askCode(t, code, nil)
		require.Equal(t, "invalid_grant", refusal, "too late")

		got, _ = i.askCode(t, b.signIn("alice", map[string]string{"scope": "openid"}), nil)
		require.Empty(t, got.RefreshToken, "nobody asked for one")
		got, _ = i.askCode(t, b.signIn("alice", nil), nil)
		time.Sleep(refreshLife)
		_, refusal = i.askRefresh(t, got.RefreshToken)
		require.Equal(t, "invalid_grant", refusal)
	})
}

func TestAuthorizationRequests(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit map[string]string
		want string // the error that the client gets; empty: a page for the user
		page string // what the page says
	}{
		{"good", nil, "", "Sign in as"},
		{"IPv6", map[string]string{"redirect_uri": "http://[::1]:1/callback"}, "", "Sign in as"},
		{"the page of this origin", map[string]string{"redirect_uri": "https://127.0.0.1:8443/signin/callback"}, "", "Sign in as"},
		{"another client", map[string]string{"client_id": "x"}, "", "no such client"},
		{"an answer elsewhere", map[string]string{"redirect_uri": "https://evil.example.test/callback"}, "", "not registered"},
		{"an answer at a name", map[string]string{"redirect_uri": "http://127.0.0.1.example.test/callback"}, "", "not registered"},
		{"an answer at another path", map[string]string{"redirect_uri": "http://127.0.0.1:5555/evil"}, "", "not registered"},
		{"an answer with a user", map[string]string{"redirect_uri": "http://127.0.0.1@evil.example.test/callback"}, "", "not registered"},
		{"an answer in a script", map[string]string{"redirect_uri": "javascript:alert(1)"}, "", "not registered"},
		{"no answer", map[string]string{"redirect_uri": ""}, "", "not registered"},
		{"no PKCE", map[string]string{"code_challenge": ""}, "invalid_request", ""},
		{"plain PKCE", map[string]string{"code_challenge_method": "plain"}, "invalid_request", ""},
		{"implicit", map[string]string{"response_type": "token"}, "unsupported_response_type", ""},
		{"an answer by form", map[string]string{"response_mode": "form_post"}, "invalid_request", ""},
		{"without a page", map[string]string{"prompt": "none"}, "login_required", ""},
		{"by reference", map[string]string{"request_uri": "https://x.test"}, "request_not_supported", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBrowser(t, newIssuer(t))
			w := b.do("GET", issuerURL+pathAuthorize+"?"+asked(tt.edit).Encode(), nil)
			if tt.want == "" {
				require.Contains(t, w.Body.String(), tt.page)
				require.Empty(t, w.Header().Get("Location"))
				return
			}
			to, err := url.Parse(w.Header().Get("Location"))
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(to.String(), native+"?"))
			require.Equal(t, tt.want, to.Query().Get("error"))
			require.Equal(t, "st&te", to.Query().Get("state"))
		})
	}
	b := newBrowser(t, newIssuer(t))
	twice := asked(nil).Encode() + "&redirect_uri=https://evil.example.test/callback"
	require.Contains(t, b.do("GET", issuerURL+pathAuthorize+"?"+twice, nil).Body.String(), "stands twice")
}

// Who did not get the page from here cannot send its form.
func TestForms(t *testing.T) {
	i := newIssuer(t)
	b := newBrowser(t, i)
	page := func() url.Values {
		f := fields(b.do("GET", issuerURL+pathAuthorize+"?"+asked(nil).Encode(), nil).Body.String())
		f.Set("user", "alice")
		return f
	}
	for _, tt := range []struct {
		name string
		send func(url.Values) *httptest.ResponseRecorder
		want int
	}{
		{"own page", func(f url.Values) *httptest.ResponseRecorder { return b.do("POST", issuerURL+pathLogin, f) }, http.StatusSeeOther},
		{"a button of another site", func(f url.Values) *httptest.ResponseRecorder {
			b.edit = func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }
			defer func() { b.edit = nil }()
			return b.do("POST", issuerURL+pathLogin, f)
		}, http.StatusBadRequest},
		{"another site in an old browser", func(f url.Values) *httptest.ResponseRecorder {
			b.edit = func(r *http.Request) {
				r.Header.Del("Sec-Fetch-Site")
				r.Header.Set("Origin", "https://evil.example.test")
			}
			defer func() { b.edit = nil }()
			return b.do("POST", issuerURL+pathLogin, f)
		}, http.StatusBadRequest},
		{"another browser", func(f url.Values) *httptest.ResponseRecorder {
			return newBrowser(t, i).do("POST", issuerURL+pathLogin, f)
		}, http.StatusBadRequest},
		{"an id that was made up", func(f url.Values) *httptest.ResponseRecorder {
			f.Set("id", "x")
			return b.do("POST", issuerURL+pathLogin, f)
		}, http.StatusBadRequest},
		{"the page of a device", func(f url.Values) *httptest.ResponseRecorder {
			f.Set("id", fields(b.do("GET", issuerURL+pathDevice, nil).Body.String()).Get("id"))
			return b.do("POST", issuerURL+pathLogin, f)
		}, http.StatusBadRequest},
		{"twice", func(f url.Values) *httptest.ResponseRecorder {
			b.do("POST", issuerURL+pathLogin, f)
			return b.do("POST", issuerURL+pathLogin, f)
		}, http.StatusBadRequest},
		{"a user who is not there", func(f url.Values) *httptest.ResponseRecorder {
			f.Set("user", "mallory")
			return b.do("POST", issuerURL+pathLogin, f)
		}, http.StatusOK}, // the page again
		{"cancelled", func(f url.Values) *httptest.ResponseRecorder {
			f.Set("decision", "deny")
			return b.do("POST", issuerURL+pathLogin, f)
		}, http.StatusSeeOther},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := tt.send(page())
			require.Equal(t, tt.want, w.Code, w.Body)
			if tt.name == "cancelled" {
				require.Contains(t, w.Header().Get("Location"), "error=access_denied")
			}
		})
	}
}

func TestPagesAreLocked(t *testing.T) {
	b := newBrowser(t, newIssuer(t))
	for _, path := range []string{pathAuthorize + "?" + asked(nil).Encode(), pathAuthorize, pathDevice, pathDevice + "?user_code=BCDF-GHJK"} {
		w := b.do("GET", issuerURL+path, nil)
		policy := w.Header().Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
			require.Contains(t, policy, want)
		}
		require.NotContains(t, policy, "unsafe")
		require.Contains(t, w.Body.String(), "Demonstration")
		require.NotContains(t, w.Body.String(), `"<&>`, "names are escaped")
	}
}

// From elsewhere, or under another name, the issuer is not there.
func TestLoopbackOnly(t *testing.T) {
	for _, tt := range []struct{ name, remote, host string }{
		{"another machine", "192.0.2.7:4711", "127.0.0.1:8443"},
		{"no address", "@", "127.0.0.1:8443"},
		{"a name that was pointed here", "127.0.0.1:4711", "rebound.example.test:8443"},
		{"another port", "127.0.0.1:4711", "127.0.0.1:8444"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBrowser(t, newIssuer(t))
			b.edit = func(r *http.Request) { r.RemoteAddr, r.Host = tt.remote, tt.host }
			for _, path := range []string{pathDiscovery, pathJWKS, pathAuthorize, pathDevice, pathUserinfo, ""} {
				require.Equal(t, http.StatusNotFound, b.do("GET", issuerURL+path, nil).Code)
			}
			require.Equal(t, http.StatusNotFound, b.do("POST", issuerURL+pathToken, nil).Code)
		})
	}
}

func TestDeviceCode(t *testing.T) {
	type waiting struct {
		DeviceCode              string `json:"device_code"`
		UserCode                string `json:"user_code"`
		VerificationURI         string `json:"verification_uri"`
		VerificationURIComplete string `json:"verification_uri_complete"`
		Interval                int    `json:"interval"`
	}
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		begin := func() (d waiting) {
			w := newBrowser(t, i).do("POST", issuerURL+pathDeviceReq, url.Values{"client_id": {ClientID}, "scope": {"openid offline_access"}})
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &d))
			return d
		}
		poll := func(d waiting) (*tokens, string) {
			return i.askToken(t, url.Values{"grant_type": {grantDevice}, "device_code": {d.DeviceCode}})
		}
		// decide types the code, then chooses, and returns what the last page says.
		decide := func(userCode, name, value string) string {
			b := newBrowser(t, i)
			f := fields(b.do("GET", issuerURL+pathDevice, nil).Body.String())
			f.Set("user_code", userCode)
			page := b.do("POST", issuerURL+pathDevice, f).Body.String()
			f = fields(page)
			if f.Get("user_code") == "" {
				return page
			}
			f.Set(name, value)
			return b.do("POST", issuerURL+pathDevice, f).Body.String()
		}

		d := begin()
		_, refusal := poll(d)
		require.Equal(t, "authorization_pending", refusal)
		_, refusal = poll(d)
		require.Equal(t, "slow_down", refusal)
		time.Sleep(time.Duration(d.Interval) * time.Second)
		_, refusal = poll(d)
		require.Equal(t, "slow_down", refusal, "it was told to wait longer")
		require.Contains(t, decide(strings.ToLower(strings.ReplaceAll(d.UserCode, "-", " ")), "user", "alice"), "is signed in")
		time.Sleep(20 * time.Second)
		got, refusal := poll(d)
		require.Empty(t, refusal)
		u, err := i.Verifier().Verify(t.Context(), got.AccessToken)
		require.NoError(t, err)
		require.Equal(t, "alice", u.Subject)
		_, refusal = i.askRefresh(t, got.RefreshToken)
		require.Empty(t, refusal)
		time.Sleep(20 * time.Second)
		_, refusal = poll(d)
		require.Equal(t, "expired_token", refusal, "good once")
		require.Contains(t, decide(d.UserCode, "user", "alice"), "No program waits")

		d = begin()
		require.Contains(t, decide(d.UserCode, "user", "mallory"), "no user of that name")
		require.Contains(t, decide(d.UserCode, "decision", "deny"), "not signed in")
		_, refusal = poll(d)
		require.Equal(t, "access_denied", refusal)

		d = begin()
		time.Sleep(deviceLife)
		_, refusal = poll(d)
		require.Equal(t, "expired_token", refusal)

		// The link with the code asks for the decision at once, from this browser.
		d = begin()
		b := newBrowser(t, i)
		page := b.do("GET", d.VerificationURIComplete, nil).Body.String()
		require.Contains(t, page, d.UserCode)
		f := fields(page)
		f.Set("user", "alice")
		require.Contains(t, newBrowser(t, i).do("POST", issuerURL+pathDevice, f).Body.String(), "out of date")
		require.Contains(t, b.do("POST", issuerURL+pathDevice, f).Body.String(), "is signed in")

		// Guessing is slow.
		f = fields(b.do("GET", issuerURL+pathDevice, nil).Body.String())
		f.Set("user_code", "BCDF-GHJK")
		for range 64 {
			require.Contains(t, b.do("POST", issuerURL+pathDevice, f).Body.String(), "No program waits")
		}
		require.Contains(t, b.do("POST", issuerURL+pathDevice, f).Body.String(), "Too many")
	})
}

func TestClientsOfOthers(t *testing.T) {
	b := newBrowser(t, newIssuer(t))
	for _, form := range []url.Values{
		{"grant_type": {grantCode}},
		{"grant_type": {grantCode}, "client_id": {"x"}},
		{"grant_type": {grantCode}, "client_id": {ClientID}, "client_secret": {"guess"}},
	} {
		require.Equal(t, http.StatusUnauthorized, b.do("POST", issuerURL+pathToken, form).Code)
	}
	for _, form := range []url.Values{
		{"client_id": {ClientID}, "grant_type": {"password"}},
		{"client_id": {ClientID, ClientID}, "grant_type": {grantCode}},
		{"client_id": {ClientID}, "grant_type": {grantCode}, "x": {strings.Repeat("x", maxForm)}},
	} {
		require.Equal(t, http.StatusBadRequest, b.do("POST", issuerURL+pathToken, form).Code)
	}
}

// However much is begun, a bounded part of it is kept, and the newest.
func TestTablesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := newTable[int](time.Minute)
		var secrets []string
		for n := range 2 * maxEntries {
			secrets = append(secrets, tab.add(n, time.Now()))
		}
		require.Len(t, tab.entries, maxEntries)
		_, ok := tab.get(secrets[maxEntries-1], time.Now())
		require.False(t, ok)
		got, ok := tab.get(secrets[maxEntries], time.Now())
		require.True(t, ok)
		require.Equal(t, maxEntries, got)
		time.Sleep(time.Minute)
		_, ok = tab.get(secrets[2*maxEntries-1], time.Now())
		require.False(t, ok)
		require.Zero(t, tab.order.Len())
	})
}

// FuzzHandler sends anything anywhere: the issuer answers, and gives no token.
func FuzzHandler(f *testing.F) {
	i, err := Open(f.TempDir(), issuerURL)
	require.NoError(f, err)
	i.SetUsers([]broker.SeedUser{alice})
	f.Add("GET", pathAuthorize+"?"+asked(nil).Encode(), "")
	f.Add("POST", pathToken, url.Values{"grant_type": {grantRefresh}, "client_id": {ClientID}, "refresh_token": {"a.b"}}.Encode())
	f.Add("POST", pathToken, url.Values{"grant_type": {grantDevice}, "client_id": {ClientID}, "device_code": {"x"}}.Encode())
	f.Add("POST", pathDevice, "id=x&user_code=BCDF-GHJK&user=alice")
	f.Add("POST", pathLogin, "id=x&user=alice")
	f.Fuzz(func(t *testing.T, method, target, body string) {
		u, err := url.Parse(issuerURL + target)
		if err != nil || strings.ContainsAny(method, " \r\n") {
			return
		}
		r := &http.Request{
			Method: method, URL: u, Host: "127.0.0.1:8443", RemoteAddr: "127.0.0.1:1",
			Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
			Body:   readCloser{strings.NewReader(body)},
		}
		w := httptest.NewRecorder()
		i.ServeHTTP(w, r)
		require.Less(t, w.Code, 500, fmt.Sprint(method, target))
		require.NotContains(t, w.Body.String(), "access_token")
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
