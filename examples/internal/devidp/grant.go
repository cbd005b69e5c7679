package devidp

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// Grant types of the token endpoint.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
	grantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
)

// refreshLife is from the sign-in on, however often the tokens are refreshed.
const refreshLife = 30 * 24 * time.Hour

// A grant is one sign-in that can be refreshed. Its refresh token is the grant's id
// and a secret, which is exchanged at each use. Who shows an earlier secret has a
// copy of the token, or somebody else has: the grant ends (RFC 9700, section 4.14).
type grant struct {
	user   string
	scopes []string
	at     time.Time // of the sign-in
	secret string
}

// tokens is the answer of the token endpoint.
type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	params, refusal := clientForm(r)
	var t *tokens
	if refusal == nil {
		i.mu.Lock()
		t, refusal = i.exchange(params, time.Now())
		i.mu.Unlock()
	}
	switch {
	case refusal == nil:
		answer(w, http.StatusOK, t)
	case refusal.Code == "server_error":
		answer(w, http.StatusInternalServerError, refusal)
	case refusal.Code == "invalid_client":
		w.Header().Set("WWW-Authenticate", "Basic")
		answer(w, http.StatusUnauthorized, refusal)
	default:
		answer(w, http.StatusBadRequest, refusal)
	}
}

// clientForm reads a form that only the client sends.
func clientForm(r *http.Request) (map[string]string, *oauthError) {
	params, refusal := form(r)
	if refusal != nil {
		return nil, refusal
	}
	id := params["client_id"]
	if user, password, ok := r.BasicAuth(); ok && password == "" {
		id = user
	}
	if id != ClientID || params["client_secret"] != "" {
		return nil, &oauthError{"invalid_client", "the client is " + ClientID + ", and has no secret"}
	}
	return params, nil
}

// exchange gives tokens for a code, a refresh token or a device code. The caller
// has i.mu.
func (i *Issuer) exchange(params map[string]string, now time.Time) (*tokens, *oauthError) {
	switch params["grant_type"] {
	case grantCode:
		return i.spend(params, now)
	case grantRefresh:
		return i.refresh(params["refresh_token"], now)
	case grantDevice:
		return i.poll(params["device_code"], now)
	}
	return nil, &oauthError{"unsupported_grant_type", ""}
}

func invalidGrant(why string) *oauthError { return &oauthError{"invalid_grant", why} }

// spend takes an authorization code. Shown twice, it takes back what it gave.
func (i *Issuer) spend(params map[string]string, now time.Time) (*tokens, *oauthError) {
	c, ok := i.codes.get(params["code"], now)
	if !ok {
		return nil, invalidGrant("the code is unknown or too old")
	}
	if c.spent {
		i.grants.remove(c.grant)
		return nil, invalidGrant("the code was used before")
	}
	c.spent = true
	verifier := params["code_verifier"]
	sum := sha256.Sum256([]byte(verifier))
	switch {
	case params["redirect_uri"] != c.redirect.String():
		return nil, invalidGrant("the code was sent to another redirect_uri")
	case len(verifier) < 43 || len(verifier) > 128,
		subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(c.challenge)) != 1:
		return nil, invalidGrant("the code_verifier does not fit")
	}
	t, id, refusal := i.give(&grant{user: c.user, scopes: c.scopes, at: c.at}, c.nonce, now)
	c.grant = id
	return t, refusal
}

// give begins a grant, and returns its first tokens. Only one that may be
// refreshed is kept.
func (i *Issuer) give(g *grant, nonce string, now time.Time) (t *tokens, id string, refusal *oauthError) {
	if t, refusal = i.tokens(g, nonce, now); refusal == nil && has(g.scopes, "offline_access") {
		g.secret = rand.Text()
		id = i.grants.add(g, now)
		t.RefreshToken = id + "." + g.secret
	}
	return t, id, refusal
}

func (i *Issuer) refresh(token string, now time.Time) (*tokens, *oauthError) {
	id, secret, _ := strings.Cut(token, ".")
	g, ok := i.grants.get(id, now)
	if !ok {
		return nil, invalidGrant("the refresh token is unknown or too old")
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(g.secret)) != 1 {
		i.grants.remove(id)
		return nil, invalidGrant("the refresh token was used before; sign in again")
	}
	t, refusal := i.tokens(g, "", now)
	if refusal != nil {
		i.grants.remove(id)
		return nil, refusal
	}
	g.secret = rand.Text()
	t.RefreshToken = id + "." + g.secret
	return t, nil
}

// tokens returns fresh ones of the grant's user, as the seed has him now.
func (i *Issuer) tokens(g *grant, nonce string, now time.Time) (*tokens, *oauthError) {
	u, ok := i.user(g.user)
	if !ok {
		return nil, invalidGrant("the user is gone")
	}
	t := &tokens{TokenType: "Bearer", ExpiresIn: int(accessLife / time.Second), Scope: strings.Join(g.scopes, " ")}
	var err error
	if t.AccessToken, err = i.accessToken(u, t.Scope, accessLife, now); err == nil && has(g.scopes, "openid") {
		t.IDToken, err = i.idToken(u, nonce, g.at, now)
	}
	if err != nil {
		return nil, &oauthError{"server_error", ""}
	}
	return t, nil
}
