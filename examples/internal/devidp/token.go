package devidp

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/program"
)

const (
	// fileLife is that of the tokens in files, accessLife that of those which
	// can be refreshed.
	fileLife   = 30 * 24 * time.Hour
	accessLife = 15 * time.Minute
)

type claims struct {
	jwt.Claims
	Name     string           `json:"name,omitempty"`
	Groups   []string         `json:"groups,omitempty"`
	ClientID string           `json:"client_id,omitempty"` // access tokens (RFC 9068)
	Scope    string           `json:"scope,omitempty"`
	Nonce    string           `json:"nonce,omitempty"` // ID tokens
	AuthTime *jwt.NumericDate `json:"auth_time,omitempty"`
}

// accessToken is what the feed takes.
func (i *Issuer) accessToken(u broker.SeedUser, scopes string, life time.Duration, now time.Time) (string, error) {
	c := i.claims(u, audience, life, now)
	c.ClientID, c.Scope = ClientID, scopes
	return i.sign("at+jwt", c)
}

// idToken tells the client who its user is.
func (i *Issuer) idToken(u broker.SeedUser, nonce string, signedIn, now time.Time) (string, error) {
	c := i.claims(u, ClientID, accessLife, now)
	c.Nonce, c.AuthTime = nonce, jwt.NewNumericDate(signedIn)
	return i.sign("JWT", c)
}

func (i *Issuer) claims(u broker.SeedUser, audience string, life time.Duration, now time.Time) *claims {
	return &claims{
		Claims: jwt.Claims{
			Issuer: i.url.String(), Subject: u.Name, Audience: jwt.Audience{audience}, ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(life)),
		},
		Name: u.Name, Groups: slices.Clone(u.Groups),
	}
}

func (i *Issuer) sign(typ jose.ContentType, c *claims) (string, error) {
	key := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: keyID}}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType(typ))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(c).Serialize()
}

// TokenFile is the name of the file with a user's token.
func TokenFile(user string) string { return program.FileName(user) + ".token" }

// WriteToken writes a token that signs the user in for 30 days to dir, and returns
// the file's path.
func (i *Issuer) WriteToken(dir, name string, groups []string) (string, error) {
	t, err := i.accessToken(broker.SeedUser{Name: name, Groups: groups}, "", fileLife, time.Now())
	if err != nil {
		return "", err
	}
	return program.WriteFile(dir, TokenFile(name), []byte(t+"\n"))
}
