package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	strict "github.com/go-jose/go-jose/v4/json"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

const (
	pathSignIn = "/reachback/v1/signin"

	maxSignIn = 8 << 10 // bytes of the document
	maxScopes = 32
)

// A SignIn says where the feed's users sign in: which client a program of theirs is
// at which OpenID Connect issuer, and what it asks there. It holds no secret, so
// the client is a public one.
type SignIn struct {
	// Issuer is the issuer's URL; its discovery document has the rest. ClientID
	// is a client there that may use device codes, or codes with PKCE.
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	// Scopes are asked for. With "offline_access" most issuers give a refresh
	// token.
	Scopes []string `json:"scopes"`
	// Resource and Audience are sent as parameters of these names where they are
	// set. Issuers that serve several APIs learn so for which of them the access
	// token is: by "resource" as RFC 8707 has it, by "audience" before that.
	Resource string `json:"resource,omitempty"`
	Audience string `json:"audience,omitempty"`
}

// check refuses what no client could use, or should.
func (s *SignIn) check() error {
	u, err := url.Parse(s.Issuer)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "",
		u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return errors.New("feed: sign-in: the issuer is not an https URL")
	case s.ClientID == "" || !visible(s.ClientID) || !visible(s.Resource) || !visible(s.Audience):
		return errors.New("feed: sign-in: client, resource or audience is empty, too long or not of visible characters")
	case len(s.Scopes) > maxScopes:
		return fmt.Errorf("feed: sign-in: more than %d scopes", maxScopes)
	}
	for _, scope := range s.Scopes {
		if scope == "" || !visible(scope) || strings.ContainsAny(scope, `"\`) {
			return errors.New("feed: sign-in: a scope that is none")
		}
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func visible(s string) bool {
	return len(s) <= 512 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// parseSignIn reads the document. Whoever could put a name in twice could tell two
// readers two issuers.
func parseSignIn(body []byte) (*SignIn, error) {
	s := &SignIn{}
	if strict.Unmarshal(body, s) != nil || s.check() != nil {
		return nil, &reachback.Error{Code: reachback.CodeProtocolError, Message: "the feed's answer does not say where to sign in"}
	}
	return s, nil
}

// signIn answers with the sign-in document, which anybody may have.
func (x *exchange) signIn() error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodGet, http.MethodHead); err != nil {
		return err
	}
	if x.SignIn == nil {
		return reachback.Refuse(reachback.CodeNotFound)
	}
	if err := x.SignIn.check(); err != nil {
		return err
	}
	doc, err := json.Marshal(x.SignIn)
	if err != nil {
		return err
	}
	x.w.Header().Set("Cache-Control", "no-cache")
	x.send("application/json", append(doc, '\n'))
	return nil
}

// SignIn asks the feed where its users sign in. The refusal not_found says that the
// feed does not tell. No token is needed or sent.
func (c *Client) SignIn(ctx context.Context) (*SignIn, error) {
	s, err := c.dial()
	if err != nil {
		return nil, err
	}
	defer s.close()
	a, err := s.get(ctx, s.at(pathSignIn), "application/json", "", maxSignIn)
	if err != nil {
		return nil, fmt.Errorf("feed: sign-in: %w", err)
	}
	doc, err := parseSignIn(a.body)
	if err != nil {
		return nil, fmt.Errorf("feed: sign-in: %w", err)
	}
	return doc, nil
}
