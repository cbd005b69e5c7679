package oidc

import (
	"encoding/json"
	"strings"

	strict "github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/reachback/reachback"
)

const (
	maxGroups = 256
	maxText   = 256 // bytes of a subject, tenant, group or name
)

// Claims says which claims of a token have what. Names are of top-level claims.
type Claims struct {
	// Groups has the user's groups, one text or a list. Empty means "groups". A
	// token without it is of a user in no group.
	Groups string
	// Name is for display. Empty takes the first that is there of
	// preferred_username, name and email.
	Name string
	// Tenant has the user's tenant, and a token without it is refused. Empty puts
	// all users into FixedTenant.
	Tenant      string
	FixedTenant string
}

// claims are those of a token, each as it came.
type claims map[string]json.RawMessage

// standard reads the registered claims.
func (c claims) standard(std *jwt.Claims) error {
	registered := make(claims, 7)
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"} {
		if v, ok := c[name]; ok {
			registered[name] = v
		}
	}
	b, err := json.Marshal(registered)
	if err != nil {
		return err
	}
	return strict.Unmarshal(b, std)
}

// text returns the claim, or "" where it is not one short line.
func (c claims) text(name string) string {
	var s string
	if strict.Unmarshal(c[name], &s) != nil || !plain(s) {
		return ""
	}
	return s
}

// groups returns the list in the claim. Of too many groups none are dropped: what
// the user may see must not depend on the order in which his issuer lists them.
func (c claims) groups(name string) ([]string, error) {
	v, ok := c[name]
	if !ok || string(v) == "null" {
		return nil, nil
	}
	var list []string
	if err := strict.Unmarshal(v, &list); err != nil {
		var one string
		if strict.Unmarshal(v, &one) != nil {
			return nil, invalid("the claim %q is neither a text nor a list of texts", name)
		}
		list = []string{one}
	}
	if len(list) > maxGroups {
		return nil, invalid("the claim %q has more than %d groups", name, maxGroups)
	}
	for _, g := range list {
		if g == "" || !plain(g) {
			return nil, invalid("the claim %q has a group that is empty, longer than %d bytes, or with control characters", name, maxText)
		}
	}
	return list, nil
}

// user maps verified claims.
func (m *Claims) user(issuer string, c claims) (*reachback.User, error) {
	u := &reachback.User{Issuer: issuer, Subject: c.text("sub"), Tenant: m.FixedTenant}
	if u.Subject == "" {
		return nil, invalid("no subject")
	}
	if m.Tenant != "" {
		if u.Tenant = c.text(m.Tenant); u.Tenant == "" {
			return nil, invalid("no tenant in the claim %q", m.Tenant)
		}
	}
	groups := m.Groups
	if groups == "" {
		groups = "groups"
	}
	var err error
	if u.Groups, err = c.groups(groups); err != nil {
		return nil, err
	}
	names := []string{m.Name}
	if m.Name == "" {
		names = []string{"preferred_username", "name", "email"}
	}
	for _, n := range names {
		if u.Name = c.text(n); u.Name != "" {
			break
		}
	}
	return u, nil
}

// plain reports whether s may stand in logs and in keys of the directory.
func plain(s string) bool {
	return len(s) <= maxText && !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfffd
	})
}
