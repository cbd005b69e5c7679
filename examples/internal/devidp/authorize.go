package devidp

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	loginLife = 10 * time.Minute // for the user to choose
	codeLife  = time.Minute      // for the client to come for its tokens

	// cookie binds a login page to the browser that asked for it. The prefix
	// makes browsers take it from this host only.
	cookie = "__Host-dev-idp"
)

// A login is an authorization request whose user is being asked.
type login struct {
	request
	browser string // value of its cookie
}

// A request is what a client asked for.
type request struct {
	redirect  *url.URL
	state     string
	nonce     string
	scopes    []string
	challenge string // of PKCE, S256
}

// A code stands for tokens until its client comes for them.
type code struct {
	request
	user  string
	at    time.Time // when he signed in
	spent bool
	grant string // what it gave, if that can be refreshed
}

// authorize shows the login page. What is wrong with the client or with where it
// wants the answer is told to the user: sending it there would make the issuer an
// open redirector.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	params, refusal := single(r.URL.Query())
	if refusal != nil {
		showError(w, refusal.Description)
		return
	}
	redirect, ok := i.redirect(params["redirect_uri"])
	switch {
	case params["client_id"] != ClientID:
		showError(w, "There is no such client here.")
		return
	case !ok:
		showError(w, "The client wants the answer at an address that is not registered for it.")
		return
	}
	req := request{redirect, params["state"], params["nonce"], strings.Fields(params["scope"]), params["code_challenge"]}
	if refusal := req.check(params); refusal != nil {
		i.reply(w, r, &req, url.Values{"error": {refusal.Code}, "error_description": {refusal.Description}})
		return
	}
	browser := i.browser(w, r)
	i.mu.Lock()
	id := i.logins.add(&login{req, browser}, time.Now())
	users := names(i.users)
	i.mu.Unlock()
	show(w, redirect, loginPage, page{Action: i.at(pathLogin), ID: id, Users: users})
}

// check refuses what the client can be told of.
func (q *request) check(params map[string]string) *oauthError {
	challenge, err := base64.RawURLEncoding.Strict().DecodeString(q.challenge)
	switch {
	case params["response_type"] != "code":
		return &oauthError{"unsupported_response_type", "code is the only one"}
	case params["response_mode"] != "" && params["response_mode"] != "query":
		return &oauthError{"invalid_request", "query is the only response_mode"}
	case params["request"] != "" || params["request_uri"] != "":
		return &oauthError{"request_not_supported", ""}
	case params["code_challenge_method"] != "S256" || err != nil || len(challenge) != sha256.Size:
		return &oauthError{"invalid_request", "PKCE with S256 is required"}
	case params["prompt"] == "none":
		return &oauthError{"login_required", ""}
	case len(q.state)+len(q.nonce) > 2048:
		return &oauthError{"invalid_request", "state and nonce are too long"}
	}
	return nil
}

// redirect reads the address that the client wants its answer at: on this
// machine at any port, as programs without a server of their own do (RFC 8252,
// section 7.3), or at the page of the issuer's own origin.
func (i *Issuer) redirect(s string) (*url.URL, bool) {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Fragment != "" || u.RawQuery != "" || u.Opaque != "" {
		return nil, false
	}
	ip := net.ParseIP(u.Hostname())
	native := u.Scheme == "http" && ip != nil && ip.IsLoopback() && u.Path == "/callback"
	own := u.Scheme == i.url.Scheme && u.Host == i.url.Host && u.Path == "/signin/callback"
	return u, native || own
}

// browser returns the value of the browser's cookie, and gives it one if need be.
func (i *Issuer) browser(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(cookie); err == nil && len(c.Value) == 26 {
		return c.Value
	}
	value := rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: cookie, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return value
}

// login takes the user's choice and sends him back to the client.
func (i *Issuer) login(w http.ResponseWriter, r *http.Request) {
	params, ok := i.ownForm(w, r)
	if !ok {
		return
	}
	now := time.Now()
	i.mu.Lock()
	l, ok := i.logins.get(params["id"], now)
	ok = ok && l.redirect != nil && sameBrowser(r, l.browser)
	user, known := i.user(params["user"])
	denied := params["decision"] == "deny"
	var secret string
	if ok && (known || denied) {
		i.logins.remove(params["id"])
		if known && !denied {
			secret = i.codes.add(&code{request: l.request, user: user.Name, at: now}, now)
		}
	}
	users := names(i.users)
	i.mu.Unlock()
	switch {
	case !ok:
		showError(w, "This page is out of date. Start again in the program that wants you to sign in.")
	case denied:
		i.reply(w, r, &l.request, url.Values{"error": {"access_denied"}})
	case !known:
		show(w, l.redirect, loginPage, page{Action: i.at(pathLogin), ID: params["id"], Users: users, Message: "There is no user of that name."})
	default:
		i.reply(w, r, &l.request, url.Values{"code": {secret}})
	}
}

// ownForm reads a form of one of the issuer's pages. It answers itself, and
// returns false, when it was another site that sent it.
func (i *Issuer) ownForm(w http.ResponseWriter, r *http.Request) (map[string]string, bool) {
	var crossOrigin http.CrossOriginProtection
	if err := crossOrigin.Check(r); err != nil {
		showError(w, "This form was sent by another site.")
		return nil, false
	}
	params, refusal := form(r)
	if refusal != nil {
		showError(w, refusal.Description)
		return nil, false
	}
	return params, true
}

func sameBrowser(r *http.Request, want string) bool {
	c, err := r.Cookie(cookie)
	return err == nil && want != "" && subtle.ConstantTimeCompare([]byte(c.Value), []byte(want)) == 1
}

// reply sends the user back to the client.
func (i *Issuer) reply(w http.ResponseWriter, r *http.Request, q *request, v url.Values) {
	if q.state != "" {
		v.Set("state", q.state)
	}
	v.Set("iss", i.url.String())
	for name := range v { // error_description may be empty
		if v.Get(name) == "" {
			v.Del(name)
		}
	}
	to := *q.redirect
	to.RawQuery = v.Encode()
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

// has reports whether the scope was asked for.
func has(scopes []string, scope string) bool { return slices.Contains(scopes, scope) }
