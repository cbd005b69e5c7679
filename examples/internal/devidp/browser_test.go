package devidp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/broker"
)

// A browser keeps cookies and sends forms as one does. It asks the issuer without a
// socket, so it can live in virtual time.
type browser struct {
	t      *testing.T
	issuer *Issuer
	jar    *cookiejar.Jar
	edit   func(*http.Request) // of the requests to come
}

func newIssuer(t *testing.T) *Issuer {
	i, err := Open(t.TempDir(), issuerURL)
	require.NoError(t, err)
	i.SetUsers([]broker.SeedUser{alice, {Name: `bob "<&>`}})
	return i
}

func newBrowser(t *testing.T, i *Issuer) *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{t: t, issuer: i, jar: jar}
}

func (b *browser) do(method, target string, form url.Values) *httptest.ResponseRecorder {
	b.t.Helper()
	u, err := url.Parse(issuerURL)
	require.NoError(b.t, err)
	if u, err = u.Parse(target); err != nil {
		b.t.Fatal(err)
	}
	r := httptest.NewRequest(method, u.String(), strings.NewReader(form.Encode()))
	r.RemoteAddr = "127.0.0.1:4711"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, c := range b.jar.Cookies(u) {
		r.AddCookie(c)
	}
	if b.edit != nil {
		b.edit(r)
	}
	w := httptest.NewRecorder()
	b.issuer.ServeHTTP(w, r)
	b.jar.SetCookies(u, w.Result().Cookies())
	return w
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)

// fields are the hidden ones of the page's form.
func fields(page string) url.Values {
	v := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		v.Set(m[1], html.UnescapeString(m[2]))
	}
	return v
}

const (
	native       = "http://127.0.0.1:5555/callback"
	codeVerifier = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
)

// asked are the parameters of an authorization request as it should be.
func asked(edit map[string]string) url.Values {
	sum := sha256.Sum256([]byte(codeVerifier))
	v := url.Values{
		"response_type": {"code"}, "client_id": {ClientID}, "redirect_uri": {native}, "state": {"st&te"}, "nonce": {"n"},
		"scope": {"openid offline_access"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for name, value := range edit {
		if v.Set(name, value); value == "" {
			v.Del(name)
		}
	}
	return v
}

// signIn goes from the authorization request to the code.
func (b *browser) signIn(user string, edit map[string]string) string {
	b.t.Helper()
	w := b.do("GET", issuerURL+pathAuthorize+"?"+asked(edit).Encode(), nil)
	require.Equal(b.t, http.StatusOK, w.Code, w.Body)
	f := fields(w.Body.String())
	f.Set("user", user)
	w = b.do("POST", issuerURL+pathLogin, f)
	require.Equal(b.t, http.StatusSeeOther, w.Code, w.Body)
	to, err := url.Parse(w.Header().Get("Location"))
	require.NoError(b.t, err)
	require.Equal(b.t, "st&te", to.Query().Get("state"))
	require.Equal(b.t, issuerURL, to.Query().Get("iss"))
	return to.Query().Get("code")
}

// token asks the token endpoint, as the client, which has no cookies.
func (i *Issuer) askToken(t *testing.T, form url.Values) (*tokens, string) {
	t.Helper()
	form.Set("client_id", ClientID)
	w := newBrowser(t, i).do("POST", issuerURL+pathToken, form)
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	if w.Code != http.StatusOK {
		var e oauthError
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e))
		return nil, e.Code
	}
	var got tokens
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	return &got, ""
}

func (i *Issuer) askCode(t *testing.T, code string, edit map[string]string) (*tokens, string) {
	t.Helper()
	form := url.Values{"grant_type": {grantCode}, "code": {code}, "redirect_uri": {native}, "code_verifier": {codeVerifier}}
	for name, value := range edit {
		form.Set(name, value)
	}
	return i.askToken(t, form)
}

func (i *Issuer) askRefresh(t *testing.T, token string) (*tokens, string) {
	t.Helper()
	return i.askToken(t, url.Values{"grant_type": {grantRefresh}, "refresh_token": {token}})
}
