package feed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

// Paths of the sign-in of browsers.
const (
	pathBrowserSignIn = "/signin"
	pathCallback      = "/signin/callback"
	pathSignOut       = "/signout"
)

const (
	signInLife      = 10 * time.Minute // for the user to sign in at the issuer
	maxSession      = 12 * time.Hour   // before he is asked again, whatever the issuer says
	sessionFallback = time.Hour        // where the issuer does not say how long its token lives
	minBrowserKey   = 32               // bytes
)

// A BrowserSignIn signs users in with their browsers, for the page: by an authorization
// code with PKCE at an OpenID Connect issuer, where [Handler.URL] with the path
// /signin/callback is the client's redirect URI.
//
// A browser holds the access token in a cookie that only this handler can read, until
// the token ends, or for 12 hours at most. Then the user signs in again, which the issuer
// may do without asking him. The cookie counts as the token does, at requests that
// change nothing, and where the page itself asks for a file that opens a resource.
type BrowserSignIn struct {
	// SignIn has the issuer, which client the feed is there, and what it asks for;
	// "openid" is always among the scopes. The access tokens must be such as
	// Source.Authenticate takes, and, to fit into a cookie, have at most 2900 bytes.
	SignIn
	// ClientSecret is the client's; empty for a public client.
	ClientSecret string
	// Key seals the cookies: 32 random bytes or more, the same in all processes that
	// serve the page. Nil: one is made, and users sign in again after a restart.
	Key []byte
	// HTTP has the transport for requests to the issuer. Nil trusts the system's
	// certificate authorities and honours HTTPS_PROXY.
	HTTP *http.Client
}

// browsers is what a handler keeps for the sign-in of browsers.
type browsers struct {
	*issuer
	redirectURL string
	aead        cipher.AEAD
}

func (b *BrowserSignIn) open(base *url.URL) (*browsers, error) {
	key := b.Key
	switch {
	case key == nil:
		key = make([]byte, minBrowserKey)
		rand.Read(key)
	case len(key) < minBrowserKey:
		return nil, fmt.Errorf("feed: browsers' sign-in: the key has less than %d bytes", minBrowserKey)
	}
	if base.Path != "" && base.Path != "/" {
		return nil, errors.New("feed: browsers' sign-in: the page is at the root of its origin, and the handler's URL has a path")
	}
	if err := b.SignIn.check(); err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, key, nil, "reachback feed cookies 1", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &browsers{newIssuer(b), "https://" + base.Host + pathCallback, aead}, nil
}

// An attempt is a sign-in that was begun, as its browser keeps it.
type attempt struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // of PKCE
	Return   string `json:"return"`   // a local path
}

// beginSignIn sends the browser to the issuer.
func (x *exchange) beginSignIn() error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodGet); err != nil {
		return err
	}
	a := attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: rand.Text() + rand.Text(), Return: localPath(x.r.URL.Query().Get("return"))}
	to, err := x.browsers.authorizationURL(x.r.Context(), x.browsers.redirectURL, &a)
	if err != nil {
		return err
	}
	value, err := json.Marshal(&a)
	if err != nil {
		return err
	}
	if err := x.setCookie(cookieAttempt, value, signInLife); err != nil {
		return err
	}
	x.redirect(to)
	return nil
}

// endSignIn takes the issuer's answer from the browser.
func (x *exchange) endSignIn() error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodGet); err != nil {
		return err
	}
	value, err := x.cookie(cookieAttempt)
	if err != nil || value == nil {
		return signInFailed("this sign-in was not begun in this browser, or too long ago", err)
	}
	x.clearCookie(cookieAttempt) // an attempt has one answer
	var a attempt
	if err := json.Unmarshal(value, &a); err != nil {
		return err
	}
	q, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil || len(q["state"]) > 1 || len(q["code"]) > 1 || len(q["iss"]) > 1 || len(q["error"]) > 1 {
		return reachback.Refuse(reachback.CodeBadRequest)
	}
	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(a.State)) != 1 {
		return signInFailed("the answer is to another sign-in than the one begun in this browser", nil)
	}
	token, err := x.browsers.exchange(x.r.Context(), x.browsers.redirectURL, q, &a)
	if err != nil {
		return err
	}
	// A token that is no use here is better refused now than at each page.
	if x.user, err = x.Source.Authenticate(withToken(x.r, token.AccessToken)); err != nil {
		return notGone(err)
	}
	life := sessionFallback
	if !token.Expiry.IsZero() {
		life = min(time.Until(token.Expiry), maxSession)
	}
	if err := x.setCookie(cookieSession, []byte(token.AccessToken), life); err != nil {
		return err
	}
	x.log(slog.LevelInfo, "browser signed in")
	x.redirect(a.Return)
	return nil
}

// signOut has the browser forget its token. The user may still be signed in at the
// issuer.
func (x *exchange) signOut() error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodPost); err != nil {
		return err
	}
	x.clearCookie(cookieSession)
	x.clearCookie(cookieAttempt)
	x.redirect(pathPage)
	return nil
}

// browserRequest returns the request as a program would make it that holds the token of
// the browser's cookie; the request as it is where there is none, where it does not count, or
// beside a token.
func (x *exchange) browserRequest() (*http.Request, error) {
	if x.browsers == nil || x.r.Header.Get("Authorization") != "" || !x.cookieCounts() {
		return x.r, nil
	}
	token, err := x.cookie(cookieSession)
	if err != nil || token == nil {
		return x.r, err
	}
	return withToken(x.r, string(token)), nil
}

// cookieCounts reports whether the request may go by the browser's cookie. A page of another
// site can have a browser ask for something, and not see the answer; so it counts where nothing
// is changed, and to open a resource where the browser says that the page asks. What says
// nothing of where it comes from is no browser's, and has no cookie to show.
func (x *exchange) cookieCounts() bool {
	switch {
	case x.r.Method == http.MethodGet || x.r.Method == http.MethodHead:
		return true
	case x.r.Method != http.MethodPost || !strings.HasPrefix(x.r.URL.Path, pathOpen):
		return false
	}
	if site := x.r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	return x.r.Header.Get("Origin") == "https://"+x.base.Host
}

func withToken(r *http.Request, token string) *http.Request {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Del("Cookie")
	return r
}

// redirect sends the browser on, by GET.
func (x *exchange) redirect(to string) {
	h := x.w.Header()
	h.Set("Location", to)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	x.w.WriteHeader(http.StatusSeeOther)
}

// localPath returns s if it leads nowhere but to this origin, else the page. Browsers take
// a backslash for a slash and drop line breaks and tabs, so none of them is let through.
func localPath(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.IsAbs() || u.Host != "" || len(s) > maxReturn ||
		!strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") ||
		strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		return pathPage
	}
	return s
}

const maxReturn = 512 // bytes

// signInFailed is a refusal with a reason for the user and a cause, which may be nil, for the log.
func signInFailed(reason string, cause error) error {
	e := &reachback.Error{Code: reachback.CodeSignInFailed, Message: reason}
	if cause == nil {
		return e
	}
	return fmt.Errorf("%w: %w", e, cause)
}
