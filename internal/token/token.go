// Package token makes and checks the two signed tokens of reachback: the
// connection token, which opens a call at a gateway, and the grant, which tells
// a client whom it may talk to. Both are compact JWS with EdDSA (SPEC.md,
// section 4).
package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/reachback/reachback"
)

const (
	// Leeway is how far the clocks of two machines may differ.
	Leeway = 60 * time.Second
	// ConnectionLife is how long a connection token may be used to start.
	ConnectionLife = 10 * time.Minute
	// GrantLife is how long a client may take to accept a grant.
	GrantLife = 60 * time.Second
	// MaxLen bounds a token before anything is computed from it.
	MaxLen = 12 << 10

	audienceGateway = "reachback:gateway"
	audienceGrant   = "reachback:grant"
	typeConnection  = "reachback-connection+jwt"
	typeGrant       = "reachback-grant+jwt"
)

// A Connection is the content of a connection token.
type Connection struct {
	ID            string // jti: spent once, or, without ClientKey, repeated for a short time
	User          reachback.User
	Resource      string
	ClientKey     [32]byte // zero: the token opens raw calls only
	CorrelationID string
	IssuedAt      time.Time
	Expires       time.Time
}

// Raw reports whether the token opens raw calls; otherwise it opens framed ones.
func (c *Connection) Raw() bool { return c.ClientKey == [32]byte{} }

// A key is the SHA-256 thumbprint of a SubjectPublicKeyInfo, base64url in JSON.
type key [32]byte

func (k key) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, k[:]), nil
}

func (k *key) UnmarshalText(b []byte) error {
	d, err := base64.RawURLEncoding.Strict().AppendDecode(nil, b)
	if err != nil || len(d) != len(k) {
		return errors.New("not a thumbprint")
	}
	copy(k[:], d)
	return nil
}

type confirmation struct {
	SPKI key `json:"spki#S256"`
}

type connectionClaims struct {
	jwt.Claims
	UserIssuer    string        `json:"user_iss"`
	Name          string        `json:"name,omitempty"`
	Tenant        string        `json:"tenant,omitempty"`
	Groups        []string      `json:"groups,omitempty"`
	Resource      string        `json:"resource"`
	CorrelationID string        `json:"cid"`
	Confirmation  *confirmation `json:"cnf,omitempty"`
}

type grantClaims struct {
	jwt.Claims
	Tenant        string           `json:"tenant,omitempty"`
	Resource      string           `json:"resource"`
	Session       string           `json:"session"`
	CorrelationID string           `json:"cid"`
	Host          string           `json:"host"`
	HostKey       key              `json:"host_key"`
	Nonce         string           `json:"nonce"`
	Raw           bool             `json:"raw,omitempty"`
	Policy        reachback.Policy `json:"policy"`
	Confirmation  *confirmation    `json:"cnf,omitempty"`
}

// SignConnection returns c as a signed token, issued at now, good for
// [ConnectionLife]. It fills in no fields of c.
func SignConnection(kid string, k ed25519.PrivateKey, c *Connection, now time.Time) (string, error) {
	claims := connectionClaims{
		Claims: jwt.Claims{
			Subject:  c.User.Subject,
			Audience: jwt.Audience{audienceGateway},
			ID:       c.ID,
			IssuedAt: jwt.NewNumericDate(now),
			Expiry:   jwt.NewNumericDate(now.Add(ConnectionLife)),
		},
		UserIssuer:    c.User.Issuer,
		Name:          c.User.Name,
		Tenant:        c.User.Tenant,
		Groups:        c.User.Groups,
		Resource:      c.Resource,
		CorrelationID: c.CorrelationID,
	}
	if !c.Raw() {
		claims.Confirmation = &confirmation{key(c.ClientKey)}
	}
	return sign(kid, k, typeConnection, claims)
}

// An Untimely error refuses a genuine connection token that came too late or too
// early. What the token says is for the record of the refusal alone, which is why
// it is not returned where a caller could take it for verified.
type Untimely struct {
	Connection *Connection
	refusal    error
}

func (u *Untimely) Error() string { return u.refusal.Error() }
func (u *Untimely) Unwrap() error { return u.refusal }

// Genuine returns what the token says, given both results of [VerifyConnection]:
// nil unless the broker has signed it.
func Genuine(c *Connection, err error) *Connection {
	if u, ok := errors.AsType[*Untimely](err); ok {
		return u.Connection
	}
	return c
}

// VerifyConnection checks signature, audience and times of a connection token.
// Every error is a *reachback.Error or, when the times are all that is wrong, an
// [*Untimely] that wraps one.
func VerifyConnection(keys *jose.JSONWebKeySet, token string, now time.Time) (*Connection, error) {
	var claims connectionClaims
	if err := verify(keys, token, typeConnection, audienceGateway, &claims); err != nil {
		return nil, err
	}
	if claims.IssuedAt == nil || claims.Expiry == nil {
		return nil, reachback.Refuse(reachback.CodeTokenInvalid)
	}
	if claims.ID == "" || claims.Subject == "" || claims.Resource == "" {
		return nil, reachback.Refuse(reachback.CodeTokenInvalid)
	}
	c := &Connection{
		ID: claims.ID,
		User: reachback.User{
			Issuer: claims.UserIssuer, Subject: claims.Subject, Name: claims.Name,
			Tenant: claims.Tenant, Groups: claims.Groups,
		},
		Resource:      claims.Resource,
		CorrelationID: claims.CorrelationID,
		IssuedAt:      claims.IssuedAt.Time(),
		Expires:       claims.Expiry.Time(),
	}
	if claims.Confirmation != nil {
		c.ClientKey = claims.Confirmation.SPKI
		if c.Raw() { // a thumbprint of zeros would turn a framed token into a raw one
			return nil, reachback.Refuse(reachback.CodeTokenInvalid)
		}
	}
	switch err := validate(&claims.Claims, now); reachback.CodeOf(err) {
	case "":
		return c, nil
	case reachback.CodeTokenExpired, reachback.CodeTokenNotYetValid:
		return nil, &Untimely{c, err}
	default:
		return nil, err
	}
}

// SignGrant returns g as a signed token for the call with that nonce, issued
// at now, good for [GrantLife].
func SignGrant(kid string, k ed25519.PrivateKey, g *reachback.Grant, nonce string, now time.Time) (string, error) {
	claims := grantClaims{
		Claims: jwt.Claims{
			Subject:  g.User,
			Audience: jwt.Audience{audienceGrant},
			IssuedAt: jwt.NewNumericDate(now),
			Expiry:   jwt.NewNumericDate(now.Add(GrantLife)),
		},
		Tenant: g.Tenant, Resource: g.Resource, Session: g.Session, CorrelationID: g.CorrelationID,
		Host: g.Host, HostKey: g.HostKey, Nonce: nonce, Raw: g.Raw, Policy: g.Policy,
	}
	if g.ClientKey != [32]byte{} {
		claims.Confirmation = &confirmation{key(g.ClientKey)}
	}
	return sign(kid, k, typeGrant, claims)
}

// VerifyGrant checks signature, audience, times and nonce of a grant. Whether
// it is for the user, resource, mode and key that were asked for is for the
// caller to compare. Every error is a *reachback.Error.
func VerifyGrant(keys *jose.JSONWebKeySet, token, nonce string, now time.Time) (*reachback.Grant, error) {
	var claims grantClaims
	if err := verify(keys, token, typeGrant, audienceGrant, &claims); err != nil {
		return nil, reachback.Refuse(reachback.CodeGrantInvalid)
	}
	if err := validate(&claims.Claims, now); err != nil {
		if reachback.CodeOf(err) == reachback.CodeTokenExpired {
			return nil, reachback.Refuse(reachback.CodeGrantExpired)
		}
		return nil, reachback.Refuse(reachback.CodeGrantInvalid)
	}
	if nonce == "" || claims.Nonce != nonce {
		return nil, reachback.Refuse(reachback.CodeGrantMismatch)
	}
	g := &reachback.Grant{
		User: claims.Subject, Tenant: claims.Tenant, Resource: claims.Resource, Session: claims.Session,
		CorrelationID: claims.CorrelationID, Host: claims.Host, HostKey: claims.HostKey,
		Raw: claims.Raw, Policy: claims.Policy,
	}
	if claims.Confirmation != nil {
		g.ClientKey = claims.Confirmation.SPKI
	}
	return g, nil
}

func sign(kid string, k ed25519.PrivateKey, typ string, claims any) (string, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: k, KeyID: kid}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

// verify checks everything of the token that does not depend on the time. One
// key at most is tried, so the cost is bounded by [MaxLen]. A token for another
// service is named as such before its key is looked for, because that key is
// usually another service's too.
func verify(keys *jose.JSONWebKeySet, token, typ, audience string, claims any) error {
	invalid := reachback.Refuse(reachback.CodeTokenInvalid)
	if token == "" {
		return reachback.Refuse(reachback.CodeTokenMissing)
	}
	if len(token) > MaxLen || keys == nil {
		return invalid
	}
	t, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(t.Headers) != 1 {
		return invalid
	}
	var claimed jwt.Claims
	if err := t.UnsafeClaimsWithoutVerification(&claimed); err != nil {
		return invalid
	}
	if t.Headers[0].ExtraHeaders[jose.HeaderType] != typ || !claimed.Audience.Contains(audience) {
		return reachback.Refuse(reachback.CodeWrongAudience)
	}
	found := keys.Key(t.Headers[0].KeyID)
	if len(found) != 1 {
		return invalid
	}
	pub, ok := found[0].Key.(ed25519.PublicKey)
	if !ok {
		return invalid
	}
	// The decoder is go-jose's own: unlike encoding/json it refuses a
	// duplicate key, which two readers would read as two values.
	if err := t.Claims(pub, claims); err != nil {
		return invalid
	}
	return nil
}

// UnknownKey reports whether a token, which may be anything, names a key that is not
// in the set.
func UnknownKey(keys *jose.JSONWebKeySet, token string) bool {
	if len(token) > MaxLen || keys == nil {
		return false
	}
	t, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA})
	return err == nil && len(t.Headers) == 1 && len(keys.Key(t.Headers[0].KeyID)) == 0
}

func validate(c *jwt.Claims, now time.Time) error {
	if c.IssuedAt == nil || c.Expiry == nil {
		return reachback.Refuse(reachback.CodeTokenInvalid)
	}
	err := c.ValidateWithLeeway(jwt.Expected{Time: now}, Leeway)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrExpired):
		return reachback.Refuse(reachback.CodeTokenExpired)
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return reachback.Refuse(reachback.CodeTokenNotYetValid)
	}
	return reachback.Refuse(reachback.CodeTokenInvalid)
}
