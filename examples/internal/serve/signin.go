package serve

import (
	"context"
	"net/http"
	"slices"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/oidc"
	"github.com/reachback/reachback/examples/internal/devidp"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
)

// signInScopes are what users' programs ask the issuer for. With the last most
// issuers give a refresh token.
var signInScopes = []string{"openid", "profile", "offline_access"}

// devPath is where the demonstration issuer is, below the public URL.
const devPath = "/dev-idp"

// issuerURL is that of the issuer of users; empty where nobody signs in.
func (s *Server) issuerURL() string {
	if s.plan.SignIn.DevIdP {
		return s.URL + devPath
	}
	return s.plan.SignIn.Issuer
}

// openSignIn makes what verifies users' tokens, and has the feed say where they get
// one.
func (s *Server) openSignIn(h *feed.Handler, mux *http.ServeMux) (err error) {
	c := &s.plan.SignIn
	if c.DevIdP {
		if s.issuer, err = devidp.Open(s.plan.Dir, s.issuerURL()); err != nil {
			return err
		}
		s.broker.Verifier, h.SignIn = s.issuer.Verifier(), s.issuer.SignIn()
		mux.Handle(devPath+"/", s.issuer)
		return s.openPage(h)
	}
	s.verifier = &oidc.Verifier{Issuer: c.Issuer, Audience: c.Audience, Logger: s.logger.With("part", "sign-in")}
	s.broker.Verifier = s.verifier
	if c.ClientID != "" {
		h.SignIn = &feed.SignIn{Issuer: c.Issuer, ClientID: c.ClientID, Scopes: signInScopes}
		if c.Audience != c.ClientID { // else it is in every ID token anyway
			h.SignIn.Audience = c.Audience
		}
		return s.openPage(h)
	}
	return nil
}

// openPage has browsers sign in where programs do, as the same client: its redirect URI
// at the issuer is the public URL with /signin/callback. No refresh token is asked for,
// since a page has no use for one.
func (s *Server) openPage(h *feed.Handler) error {
	signIn := *h.SignIn
	signIn.Scopes = slices.DeleteFunc(slices.Clone(signIn.Scopes), func(scope string) bool { return scope == "offline_access" })
	h.Browser = &feed.BrowserSignIn{SignIn: signIn, Key: s.store.cookies}
	if file := s.plan.SignIn.ClientSecretFile; file != "" {
		secret, err := readSecret("-oidc-client-secret-file", file, leastPassword)
		if err != nil {
			return err
		}
		h.Browser.ClientSecret = string(secret)
	}
	if s.issuer != nil { // which is this server
		trust, err := program.TrustFile(s.CAFile)
		if err != nil {
			return err
		}
		h.Browser.HTTP = &http.Client{Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true}}
	}
	return nil
}

// checkIssuer tells the operator when nobody can sign in. It is no reason not to
// start: hosts and live sessions need no issuer, and it may come back.
func (s *Server) checkIssuer(ctx context.Context) {
	if err := s.verifier.Check(ctx); err != nil && ctx.Err() == nil {
		s.logger.Error("the issuer of users' tokens does not answer, so nobody can sign in now", "issuer", s.plan.SignIn.Issuer, "err", err)
	}
}

// issueTokens names the demonstration issuer's users, and writes a token of each to
// the folder.
func (s *Server) issueTokens(users []broker.SeedUser) error {
	s.issuer.SetUsers(users)
	tokens := make(map[string]string)
	for _, u := range users {
		path, err := s.issuer.WriteToken(s.plan.Dir, u.Name, u.Groups)
		if err != nil {
			return err
		}
		tokens[u.Name] = path
	}
	s.Tokens = tokens
	return nil
}
