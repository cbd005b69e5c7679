package feed

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/reachback/reachback"
)

// classicCookie is the cookie of [MS-TSWP], section 3.3.1.1.
const (
	classicCookie    = ".ASPXAUTH"
	maxClassicCookie = 4 << 10
)

// A ClassicSignIn lets in clients that Microsoft made for RD Web Access: RemoteApp and
// Desktop Connections of Windows, and the workspaces of its apps on other systems. They
// sign in by Negotiate or NTLM at a page that answers with a cookie, and show that cookie
// from then on. This package has no such page. The operator's, behind whatever knows his
// users by Kerberos, calls [AnswerClassicLogin].
//
// It is for installations that cannot do without, because of its limits. These clients
// show no page of an identity provider, so there is no second factor. The cookie is all
// that it takes to read a feed, so it should name its user under a signature and end
// within a day; asking again costs the client nothing. It is taken for the workspace and
// its files, never for connect. And the files, which hold no secret, open only through a
// gateway that has another way to know the user.
type ClassicSignIn struct {
	// Login is the page: a path at the feed's origin, or an https URL. It gets the
	// parameter ReturnUrl.
	Login string
	// Authenticate returns the user for whom the page made this value of the cookie.
	// Its refusals are *reachback.Error; 401 sends the client to the page again. It may
	// be called concurrently.
	Authenticate func(ctx context.Context, cookie string) (*reachback.User, error)
}

func (c *ClassicSignIn) check() error {
	u, err := url.Parse(c.Login)
	switch {
	case err != nil || u.User != nil || u.Fragment != "" || u.Opaque != "",
		u.Scheme != "https" && (u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/")):
		return errors.New("feed: classic sign-in: the page is neither a path nor an https URL")
	case c.Authenticate == nil:
		return errors.New("feed: classic sign-in: nobody checks the cookie")
	}
	return nil
}

// AnswerClassicLogin is the answer of a page for [ClassicSignIn], once it knows the user:
// the client will show this value as its cookie.
func AnswerClassicLogin(w http.ResponseWriter, cookie string) error {
	if cookie == "" || len(cookie) > maxClassicCookie || strings.ContainsFunc(cookie, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`",;\`, r) }) {
		return errors.New("feed: classic sign-in: the value cannot stand in a cookie")
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-msts-webfeed-login; charset=utf-8")
	h.Set("Cache-Control", "private, no-store")
	_, err := w.Write([]byte(cookie))
	return err
}

// classicUser returns the user of the cookie; nobody where it does not count: beside a
// token, and for requests that change something.
func (x *exchange) classicUser() (*reachback.User, error) {
	if x.Classic == nil || x.r.Header.Get("Authorization") != "" || x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		return nil, nil
	}
	switch cookies := x.r.CookiesNamed(classicCookie); {
	case len(cookies) == 0:
		return nil, nil
	case len(cookies) > 1:
		return nil, reachback.Refuse(reachback.CodeBadRequest)
	case len(cookies[0].Value) > maxClassicCookie:
		return nil, reachback.Refuse(reachback.CodeTokenInvalid)
	default:
		return x.Classic.Authenticate(x.r.Context(), cookies[0].Value)
	}
}

// classicChallenge answers a refusal of 401 as a classic client needs it, and reports
// whether it did. The client that reads a feed goes to the page by a redirect. The
// dialogs that add a workspace look for a challenge that they know, before anything
// else; a Bearer challenge would make them give up.
func (x *exchange) classicChallenge(err error) bool {
	if x.Classic == nil || x.err != nil || x.r.Header.Get("Authorization") != "" || reachback.AsError(err).Code.Status() != http.StatusUnauthorized {
		return false
	}
	h := x.w.Header()
	agent := x.r.UserAgent()
	reads := strings.HasPrefix(agent, "TSWorkspace/")
	for _, r := range parseAccept(x.r.Header.Values("Accept")) {
		reads = reads || r.typ == typeWorkspace
	}
	switch {
	case reads:
		u, _ := url.Parse(x.Classic.Login) // as checked at the start
		q := u.Query()
		q.Set("ReturnUrl", x.r.URL.Path)
		u.RawQuery = q.Encode()
		h.Set("Location", u.String())
		h.Set("Cache-Control", "no-store")
		x.w.WriteHeader(http.StatusFound)
	case strings.Contains(agent, "RdCore/"):
		h["Www-Authenticate"] = []string{"Negotiate", "NTLM"}
		h.Set("Cache-Control", "no-store")
		x.w.WriteHeader(http.StatusUnauthorized)
	default:
		return false
	}
	return true
}
