package feed_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
)

// A signInIssuer is an issuer whose every answer a test can falsify.
type signInIssuer struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	key      *ecdsa.PrivateKey
	kid      string
	signWith *ecdsa.PrivateKey    // instead of key
	claims   map[string]any       // of the ID token, instead of the right ones
	answer   func(map[string]any) // changes the answer of the token endpoint
	asked    url.Values           // at the authorization endpoint
	down     bool
}

func newSignInIssuer(t *testing.T) *signInIssuer {
	i := &signInIssuer{t: t}
	i.rotate("1")
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	return i
}

func (i *signInIssuer) change(f func(*signInIssuer)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f(i)
}

func (i *signInIssuer) rotate(kid string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(i.t, err)
	i.change(func(i *signInIssuer) { i.key, i.kid = key, kid })
}

func (i *signInIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	var answer any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
			"id_token_signing_alg_values_supported": []string{"ES256"},
		}
	case "/keys":
		answer = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: i.kid, Algorithm: "ES256", Use: "sig"}}}
	case "/token":
		answer = i.token(r)
	}
	w.Header().Set("Content-Type", "application/json")
	if answer == nil {
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]any{"error": "invalid_grant"}
	}
	json.NewEncoder(w).Encode(answer)
}

// token spends the code "c", if the verifier is that of the challenge. The caller has i.mu.
func (i *signInIssuer) token(r *http.Request) any {
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if r.PostFormValue("code") != "c" || r.PostFormValue("redirect_uri") != i.asked.Get("redirect_uri") || r.PostFormValue("client_id") != "page" ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != i.asked.Get("code_challenge") || i.asked.Get("code_challenge_method") != "S256" {
		return nil
	}
	now := time.Now()
	claims := map[string]any{"iss": i.URL, "sub": "alice", "aud": "page", "nonce": i.asked.Get("nonce"), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	maps.Copy(claims, i.claims)
	key := i.key
	if i.signWith != nil {
		key = i.signWith
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: i.kid}}, nil)
	require.NoError(i.t, err)
	id, err := jwt.Signed(signer).Claims(claims).Serialize()
	require.NoError(i.t, err)
	answer := map[string]any{"access_token": "alice-token", "token_type": "Bearer", "expires_in": 600, "id_token": id}
	if i.answer != nil {
		i.answer(answer)
	}
	return answer
}

// A visitor is a browser at the feed: it keeps cookies, and goes where it is sent only
// when the test says so.
type visitor struct {
	t       *testing.T
	h       *feed.Handler
	cookies map[string]string
}

func newPage(t *testing.T, i *signInIssuer) (*visitor, *source) {
	s := newSource()
	h := newHandler(s)
	h.Browser = &feed.BrowserSignIn{SignIn: feed.SignIn{Issuer: i.URL, ClientID: "page", Audience: "feed"}}
	return &visitor{t, h, map[string]string{}}, s
}

func (v *visitor) do(method, target string, fields ...string) *httptest.ResponseRecorder {
	v.t.Helper()
	r := httptest.NewRequest(method, "https://feed.example.test"+target, nil)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	for name, value := range v.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	v.h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		require.True(v.t, c.Secure && c.HttpOnly && c.SameSite == http.SameSiteLaxMode && c.Path == "/" && c.Domain == "", c)
		require.True(v.t, strings.HasPrefix(c.Name, "__Host-"), c)
		require.LessOrEqual(v.t, len(c.String()), 4096)
		if v.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		}
	}
	return w
}

func (v *visitor) get(target string) *httptest.ResponseRecorder {
	v.t.Helper()
	return v.do("GET", target)
}

// begin goes to the issuer, and returns the state that is to come back.
func (v *visitor) begin(i *signInIssuer, target string) string {
	v.t.Helper()
	w := v.get(target)
	require.Equal(v.t, http.StatusSeeOther, w.Code, w.Body)
	to, err := url.Parse(w.Header().Get("Location"))
	require.NoError(v.t, err)
	require.Equal(v.t, i.URL+"/authorize", to.Scheme+"://"+to.Host+to.Path)
	i.change(func(i *signInIssuer) { i.asked = to.Query() })
	require.Equal(v.t, "openid", to.Query().Get("scope"))
	require.Equal(v.t, "feed", to.Query().Get("audience"))
	require.NotEmpty(v.t, to.Query().Get("nonce"))
	return to.Query().Get("state")
}

func (v *visitor) signIn(i *signInIssuer) *httptest.ResponseRecorder {
	v.t.Helper()
	return v.get("/signin/callback?code=c&state=" + v.begin(i, "/signin"))
}

func TestBrowserSignsInAndOut(t *testing.T) {
	i := newSignInIssuer(t)
	v, _ := newPage(t, i)
	w := v.get("/?q=desk")
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), `href="/signin?return=%2f%3fq%3ddesk"`)
	require.NotContains(t, w.Body.String(), "desktop.rdp")

	state := v.begin(i, "/signin?return=/%3Fq=desk")
	w = v.get("/signin/callback?code=c&state=" + state)
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body)
	require.Equal(t, "/?q=desk", w.Header().Get("Location"))
	require.Len(t, v.cookies, 1, "of the attempt nothing is left")
	for _, value := range v.cookies {
		require.NotContains(t, value, base64.RawURLEncoding.EncodeToString([]byte("alice-token")))
	}

	require.Contains(t, v.get("/").Body.String(), "Alice")
	require.Contains(t, v.get("/feed").Body.String(), "desktop.rdp")
	require.Equal(t, "application/x-rdp", v.get("/feed/rdp/desktop.rdp").Header().Get("Content-Type"))

	w = v.do("POST", "/signout", "Sec-Fetch-Site: same-origin")
	require.Equal(t, http.StatusSeeOther, w.Code)
	require.Equal(t, "/", w.Header().Get("Location"))
	require.Empty(t, v.cookies)
	require.Equal(t, http.StatusUnauthorized, v.get("/feed/rdp/desktop.rdp").Code)
}

// A sign-in counts only if every part of the issuer's answer is of this issuer, for this
// client and for the sign-in that this browser began.
func TestA9_AnswerOfTheIssuerIsFalse(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	claim := func(name string, value any) func(*signInIssuer) {
		return func(i *signInIssuer) { i.claims = map[string]any{name: value} }
	}
	for _, tt := range []struct {
		name   string
		change func(*signInIssuer)
		query  string // added to the callback's
		want   reachback.Code
	}{
		{"as it should be", func(*signInIssuer) {}, "", ""},
		{"nonce of another sign-in", claim("nonce", "other"), "", reachback.CodeSignInFailed},
		{"no nonce", claim("nonce", ""), "", reachback.CodeSignInFailed},
		{"another issuer", claim("iss", "https://other.example.test"), "", reachback.CodeSignInFailed},
		{"another client", claim("aud", "other"), "", reachback.CodeSignInFailed},
		{"other clients too", claim("aud", []string{"page", "other"}), "", reachback.CodeSignInFailed},
		{"expired", claim("exp", time.Now().Add(-time.Hour).Unix()), "", reachback.CodeSignInFailed},
		{"key of somebody else", func(i *signInIssuer) { i.signWith = other }, "", reachback.CodeSignInFailed},
		{"no ID token", func(i *signInIssuer) { i.answer = func(a map[string]any) { delete(a, "id_token") } }, "", reachback.CodeSignInFailed},
		{"hash of another access token", claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), "", reachback.CodeSignInFailed},
		{"access token that the feed does not take", func(i *signInIssuer) { i.answer = func(a map[string]any) { a["access_token"] = "connection-token" } }, "", reachback.CodeWrongAudience},
		{"answer that another issuer brings", func(*signInIssuer) {}, "&iss=https://other.example.test", reachback.CodeSignInFailed},
		{"cancelled", func(*signInIssuer) {}, "&error=access_denied", reachback.CodeSignInFailed},
		{"two states", func(*signInIssuer) {}, "&state=x", reachback.CodeBadRequest},
		{"down", func(i *signInIssuer) { i.down = true }, "", reachback.CodeUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newSignInIssuer(t)
			v, _ := newPage(t, i)
			state := v.begin(i, "/signin")
			i.change(tt.change)
			w := v.do("GET", "/signin/callback?code=c&state="+state+tt.query, "Accept: application/json")
			if tt.want == "" {
				require.Equal(t, http.StatusSeeOther, w.Code)
				return
			}
			require.Equal(t, tt.want, refusal(t, w).Code)
			require.Empty(t, v.cookies, "neither a session nor another try at this one")
		})
	}
}

// Whoever sends a user a link that ends a sign-in of his own cannot have the user signed
// in as him: state and cookie belong together.
func TestA9_SignInOfAnotherBrowser(t *testing.T) {
	i := newSignInIssuer(t)
	v, _ := newPage(t, i)
	attacker := &visitor{t, v.h, map[string]string{}}
	link := "/signin/callback?code=c&state=" + attacker.begin(i, "/signin")
	require.Equal(t, reachback.CodeSignInFailed, refusal(t, v.do("GET", link, "Accept: application/json")).Code)
	v.begin(i, "/signin")
	require.Equal(t, reachback.CodeSignInFailed, refusal(t, v.do("GET", link, "Accept: application/json")).Code)

	// A cookie of one kind is none of the other, and is not opened by another process.
	attacker.begin(i, "/signin")
	attacker.cookies["__Host-reachback"] = attacker.cookies["__Host-reachback-signin"]
	require.Equal(t, http.StatusUnauthorized, attacker.get("/feed").Code)
	require.Equal(t, http.StatusSeeOther, v.signIn(i).Code)
	v.cookies["__Host-reachback-signin"] = v.cookies["__Host-reachback"]
	require.Equal(t, reachback.CodeSignInFailed, refusal(t, v.do("GET", link, "Accept: application/json")).Code)
	elsewhere, _ := newPage(t, i)
	elsewhere.cookies = v.cookies
	require.Equal(t, http.StatusUnauthorized, elsewhere.get("/feed").Code)
}

// An issuer that changes its keys needs no restart of the feed, and the withdrawn key
// is good for nothing at once.
func TestA9_IssuerRotatesItsKeys(t *testing.T) {
	i := newSignInIssuer(t)
	v, _ := newPage(t, i)
	require.Equal(t, http.StatusSeeOther, v.signIn(i).Code)
	old := i.key
	i.rotate("2")
	require.Equal(t, http.StatusSeeOther, v.signIn(i).Code)
	i.change(func(i *signInIssuer) { i.signWith, i.kid = old, "1" })
	require.Equal(t, http.StatusForbidden, v.signIn(i).Code)
}

// The browser's cookie comes with whatever request a page of another origin has it make.
// It opens nothing there, and nothing that changes something goes by it at all.
func TestC7_CookieIsNoToken(t *testing.T) {
	i := newSignInIssuer(t)
	v, _ := newPage(t, i)
	v.signIn(i)
	w := v.do("POST", "/reachback/v1/connect", "Sec-Fetch-Site: same-origin")
	require.Equal(t, reachback.CodeTokenMissing, refusal(t, w).Code)
	for _, field := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example.test", "Origin: null"} {
		for _, target := range []string{"/signout", "/reachback/v1/connect"} {
			w = v.do("POST", target, field, "Accept: application/json")
			require.Equal(t, reachback.CodeCrossOrigin, refusal(t, w).Code, field)
		}
		w = v.get("/feed")
		require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
	}
	require.Equal(t, http.StatusMethodNotAllowed, v.get("/signout").Code)
	require.NotEmpty(t, v.cookies, "still signed in")
	// A token that is shown counts, whatever the cookie says.
	require.Equal(t, http.StatusUnauthorized, v.do("GET", "/feed", "Authorization: Bearer nobody").Code)
}

func TestSignInLeadsNowhereElse(t *testing.T) {
	i := newSignInIssuer(t)
	v, _ := newPage(t, i)
	for _, tt := range []struct{ to, want string }{
		{"/?q=x", "/?q=x"},
		{"https://evil.example.test/", "/"},
		{"//evil.example.test/", "/"},
		{"///evil.example.test/", "/"},
		{`/\evil.example.test/`, "/"},
		{"/\t/evil.example.test/", "/"},
		{"\n//evil.example.test", "/"},
		{"javascript:alert(1)", "/"},
		{"evil", "/"},
		{"", "/"},
		{"/" + strings.Repeat("x", 600), "/"},
	} {
		state := v.begin(i, "/signin?return="+url.QueryEscape(tt.to))
		w := v.get("/signin/callback?code=c&state=" + state)
		require.Equal(t, tt.want, w.Header().Get("Location"), tt.to)
	}
}

func TestSessionEnds(t *testing.T) {
	i := newSignInIssuer(t)
	v, s := newPage(t, i)
	i.answer = func(a map[string]any) { a["expires_in"] = -5 }
	v.signIn(i)
	require.Equal(t, reachback.CodeTokenExpired, refusal(t, v.do("GET", "/feed", "Accept: application/json")).Code, "whatever the source takes")
	i.answer = nil
	v.signIn(i)
	s.change(func(s *source) { delete(s.users, "alice-token") }) // as if it had expired
	w := v.get("/")
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "has ended")
	require.Empty(t, v.cookies)

	v.cookies["__Host-reachback"] = "forged"
	require.Contains(t, v.get("/").Body.String(), "has ended")

	s.change(func(s *source) { s.users[strings.Repeat("x", 4000)] = reachback.User{Subject: "alice"} })
	i.answer = func(a map[string]any) { a["access_token"] = strings.Repeat("x", 4000) }
	w = v.signIn(i)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Contains(t, w.Body.String(), "too long for a cookie")
}

func TestBrowserSignInIsChecked(t *testing.T) {
	for _, tt := range []struct {
		name, url string
		browser   feed.BrowserSignIn
	}{
		{"short key", "https://feed.example.test", feed.BrowserSignIn{SignIn: feed.SignIn{Issuer: "https://idp.example.test", ClientID: "page"}, Key: []byte("changeme")}},
		{"issuer without TLS", "https://feed.example.test", feed.BrowserSignIn{SignIn: feed.SignIn{Issuer: "http://idp.example.test", ClientID: "page"}}},
		{"no client", "https://feed.example.test", feed.BrowserSignIn{SignIn: feed.SignIn{Issuer: "https://idp.example.test"}}},
		{"page below a path", "https://feed.example.test/below", feed.BrowserSignIn{SignIn: feed.SignIn{Issuer: "https://idp.example.test", ClientID: "page"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHandler(newSource())
			h.URL, h.Browser = tt.url, &tt.browser
			require.Equal(t, reachback.CodeInternal, refusal(t, get(h, "alice-token", "/feed")).Code)
		})
	}
}
