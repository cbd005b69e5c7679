package feed

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/reachback/reachback"
)

// The cookies of a browser. Browsers take one with this prefix from this very host only,
// over TLS only, and for all of it, so no neighbour can plant one.
const (
	cookieSession = "__Host-reachback"
	cookieAttempt = "__Host-reachback-signin"

	// maxCookie bounds the value. Browsers drop a cookie of more than 4096 bytes with
	// its name and attributes, and say nothing.
	maxCookie = 3950
)

// setCookie gives the browser something to keep that it cannot read, change, or show as
// another cookie, and that ends on its own.
func (x *exchange) setCookie(name string, value []byte, life time.Duration) error {
	plain := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Add(life).Unix()))
	sealed := base64.RawURLEncoding.EncodeToString(x.browsers.aead.Seal(nil, nil, append(plain, value...), []byte(name)))
	if len(sealed) > maxCookie {
		return signInFailed("the issuer's access token is too long for a cookie; it may hold too many groups", nil)
	}
	http.SetCookie(x.w, newCookie(name, sealed, max(int(life/time.Second), 1)))
	return nil
}

func (x *exchange) clearCookie(name string) { http.SetCookie(x.w, newCookie(name, "", -1)) }

func newCookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// cookie returns what the browser was given to keep; nil without such a cookie. One that
// was not given by us, or has ended, is refused.
func (x *exchange) cookie(name string) ([]byte, error) {
	cookies := x.r.CookiesNamed(name)
	switch {
	case len(cookies) == 0:
		return nil, nil
	case len(cookies) > 1:
		return nil, reachback.Refuse(reachback.CodeBadRequest)
	case len(cookies[0].Value) > maxCookie:
		return nil, reachback.Refuse(reachback.CodeTokenInvalid)
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(cookies[0].Value)
	if err != nil {
		return nil, reachback.Refuse(reachback.CodeTokenInvalid)
	}
	plain, err := x.browsers.aead.Open(nil, nil, sealed, []byte(name))
	if err != nil || len(plain) < 8 {
		return nil, reachback.Refuse(reachback.CodeTokenInvalid)
	}
	if time.Now().Unix() >= int64(binary.BigEndian.Uint64(plain)) {
		return nil, reachback.Refuse(reachback.CodeTokenExpired)
	}
	return plain[8:], nil
}
