package feed

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/printable"
)

const (
	issuerTimeout = 8 * time.Second // of one request to the issuer
	maxIssuer     = 512 << 10       // bytes of one answer
	maxCode       = 4 << 10         // bytes of an authorization code
	maxIDToken    = 64 << 10

	// What the issuer says of itself is asked for again after discoveryLife, and not
	// more often than every discoveryPause: anybody can begin to sign in.
	discoveryLife  = 10 * time.Minute
	discoveryPause = 5 * time.Second
)

// An issuer is an OpenID Connect issuer as its client sees it.
type issuer struct {
	config *BrowserSignIn
	client *http.Client

	lock  chan struct{} // holds an element while the rest is read or changed
	known *metadata     // nil until the issuer has answered
	err   error         // of the last question, if it failed
	asked time.Time
}

// metadata is what the issuer says of itself.
type metadata struct {
	provider    *oidc.Provider
	endpoint    oauth2.Endpoint
	namesItself bool // in the answers that browsers bring (RFC 9207)
}

func newIssuer(b *BrowserSignIn) *issuer {
	var t http.RoundTripper
	if b.HTTP != nil {
		t = b.HTTP.Transport
	}
	if t == nil {
		// Requests are rare: no connection is kept for the next one.
		t = &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: carrier.HandshakeTimeout,
			MaxResponseHeaderBytes: carrier.MaxHead, DisableKeepAlives: true,
		}
	}
	return &issuer{config: b, lock: make(chan struct{}, 1), client: &http.Client{
		Transport: boundedTransport{t}, Timeout: issuerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the issuer redirects") },
	}}
}

// A boundedTransport makes answers end after maxIssuer bytes.
type boundedTransport struct{ http.RoundTripper }

func (b boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxIssuer), resp.Body}
	}
	return resp, err
}

// metadata returns what the issuer says of itself, as of the last ten minutes or, where it
// does not answer, of before.
func (i *issuer) metadata(ctx context.Context) (*metadata, error) {
	select {
	case i.lock <- struct{}{}:
		defer func() { <-i.lock }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	now := time.Now()
	age := now.Sub(i.asked)
	switch {
	case i.err == nil && i.known != nil && age < discoveryLife:
		return i.known, nil
	case i.err == nil || age >= discoveryPause:
		// A browser that goes away must not look like an issuer that is away.
		m, err := i.discover(context.WithoutCancel(ctx))
		if i.asked, i.err = now, err; err == nil {
			i.known = m
		}
	}
	if i.known == nil {
		return nil, fmt.Errorf("%w: %w", reachback.Refuse(reachback.CodeUnavailable), i.err)
	}
	return i.known, nil
}

func (i *issuer) discover(ctx context.Context) (*metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, i.client), i.config.Issuer)
	if err != nil {
		return nil, fmt.Errorf("feed: issuer %s: %s", i.config.Issuer, printable.Clip(err.Error()))
	}
	var doc struct {
		JWKS        string   `json:"jwks_uri"`
		Auth        []string `json:"token_endpoint_auth_methods_supported"`
		NamesItself bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := p.Claims(&doc); err != nil {
		return nil, fmt.Errorf("feed: issuer %s: %s", i.config.Issuer, printable.Clip(err.Error()))
	}
	m := &metadata{p, p.Endpoint(), doc.NamesItself}
	for _, u := range []string{doc.JWKS, m.endpoint.AuthURL, m.endpoint.TokenURL} {
		if !i.admitted(u) {
			return nil, fmt.Errorf("feed: issuer %s: its address %q is not https", i.config.Issuer, printable.Clip(u))
		}
	}
	// By default a client with a secret shows it in the header. One without has only its id.
	m.endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if i.config.ClientSecret == "" || len(doc.Auth) > 0 && !slices.Contains(doc.Auth, "client_secret_basic") {
		m.endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return m, nil
}

// admitted reports whether the issuer may name this address: https, or http at a loopback
// address where the issuer is at one too.
func (i *issuer) admitted(named string) bool {
	u, err := url.Parse(named)
	return err == nil && u.Hostname() != "" && u.User == nil &&
		(u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) && strings.HasPrefix(i.config.Issuer, "http:"))
}

func (i *issuer) oauth(m *metadata, redirect string) *oauth2.Config {
	scopes := slices.Clone(i.config.Scopes)
	if !slices.Contains(scopes, oidc.ScopeOpenID) {
		scopes = append(scopes, oidc.ScopeOpenID)
	}
	return &oauth2.Config{ClientID: i.config.ClientID, ClientSecret: i.config.ClientSecret, Endpoint: m.endpoint, RedirectURL: redirect, Scopes: scopes}
}

// parameters say which API the access token is for, at both endpoints.
func (i *issuer) parameters(more ...oauth2.AuthCodeOption) []oauth2.AuthCodeOption {
	if i.config.Resource != "" {
		more = append(more, oauth2.SetAuthURLParam("resource", i.config.Resource))
	}
	if i.config.Audience != "" {
		more = append(more, oauth2.SetAuthURLParam("audience", i.config.Audience))
	}
	return more
}

// authorizationURL is where the browser goes to sign in.
func (i *issuer) authorizationURL(ctx context.Context, redirect string, a *attempt) (string, error) {
	m, err := i.metadata(ctx)
	if err != nil {
		return "", err
	}
	return i.oauth(m, redirect).AuthCodeURL(a.State, i.parameters(oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier))...), nil
}

// exchange takes the answer that the browser brought, and returns the access token.
func (i *issuer) exchange(ctx context.Context, redirect string, answer url.Values, a *attempt) (*oauth2.Token, error) {
	m, err := i.metadata(ctx)
	if err != nil {
		return nil, err
	}
	if iss := answer.Get("iss"); iss != i.config.Issuer && (iss != "" || m.namesItself) {
		return nil, signInFailed("the answer is of another issuer", nil)
	}
	switch code := answer.Get("code"); {
	case answer.Get("error") == "access_denied":
		return nil, signInFailed("the sign-in was cancelled", nil)
	case answer.Get("error") != "" || code == "" || len(code) > maxCode:
		return nil, signInFailed("the issuer did not sign the user in", fmt.Errorf("it answered %q", printable.Clip(answer.Get("error"))))
	}
	ctx = oidc.ClientContext(ctx, i.client)
	token, err := i.oauth(m, redirect).Exchange(ctx, answer.Get("code"), i.parameters(oauth2.VerifierOption(a.Verifier))...)
	if r, ok := errors.AsType[*oauth2.RetrieveError](err); ok && r.Response.StatusCode < http.StatusInternalServerError {
		// Its text is the whole answer.
		return nil, signInFailed("the issuer did not take its own code", fmt.Errorf("it answered %d %q", r.Response.StatusCode, printable.Clip(cmp.Or(r.ErrorCode, "no error code"))))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: issuer %s: %s", reachback.Refuse(reachback.CodeUnavailable), i.config.Issuer, printable.Clip(err.Error()))
	}
	if err := i.checkIDToken(ctx, m, token, a.Nonce); err != nil {
		return nil, signInFailed("the issuer's answer does not verify", err)
	}
	return token, nil
}

// checkIDToken proves that the answer is of this issuer, for this client and this sign-in.
// The keys are asked for anew each time: sign-ins are rare, and so no key outlives
// its withdrawal.
func (i *issuer) checkIDToken(ctx context.Context, m *metadata, token *oauth2.Token, nonce string) error {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" || len(raw) > maxIDToken {
		return errors.New("no ID token, or one that is too long")
	}
	ctx = context.WithoutCancel(ctx) // the library would leave its request behind; the client bounds it
	id, err := m.provider.VerifierContext(ctx, &oidc.Config{ClientID: i.config.ClientID}).Verify(ctx, raw)
	if err != nil {
		return errors.New(printable.Clip(err.Error()))
	}
	if len(id.Audience) != 1 {
		return errors.New("the ID token is for others too")
	}
	if nonce == "" || subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1 {
		return errors.New("the nonce of the ID token is another")
	}
	if id.AccessTokenHash != "" {
		return id.VerifyAccessToken(token.AccessToken)
	}
	return nil
}
