// Package devidp is an issuer of users' tokens for demonstrations: it signs a
// token for whomever the operator of the machine names. It must not serve any
// other address than loopback.
package devidp

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/examples/internal/program"
)

const (
	audience = "reachback:feed"
	leeway   = 60 * time.Second
	life     = 30 * 24 * time.Hour
	maxToken = 8 << 10
	keyFile  = "dev-idp.pem"
)

// An Issuer signs and verifies tokens with one key, kept in its folder.
type Issuer struct {
	url string
	key ed25519.PrivateKey
}

// Open reads the issuer's key in dir, or makes it.
func Open(dir, url string) (*Issuer, error) {
	path := filepath.Join(dir, keyFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return create(dir, url)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key", path)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a key of another kind", path)
	}
	return &Issuer{url: url, key: key}, nil
}

func create(dir, url string) (*Issuer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	_, err = program.WriteFile(dir, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return &Issuer{url: url, key: key}, err
}

type claims struct {
	jwt.Claims
	Name   string   `json:"name,omitempty"`
	Groups []string `json:"groups,omitempty"`
}

// Issue returns a token that signs the user in for 30 days from now.
func (i *Issuer) Issue(name string, groups []string, now time.Time) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: i.key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims{
		Claims: jwt.Claims{
			Issuer: i.url, Subject: name, Audience: jwt.Audience{audience},
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(life)),
		},
		Name: name, Groups: groups,
	}).Serialize()
}

// TokenFile is the name of the file with a user's token.
func TokenFile(user string) string { return program.FileName(user) + ".token" }

// WriteToken writes a fresh token of the user to dir and returns the file's path.
func (i *Issuer) WriteToken(dir, name string, groups []string) (string, error) {
	t, err := i.Issue(name, groups, time.Now())
	if err != nil {
		return "", err
	}
	return program.WriteFile(dir, TokenFile(name), []byte(t+"\n"))
}

// Verify implements broker.Verifier.
func (i *Issuer) Verify(_ context.Context, token string) (*reachback.User, error) {
	if len(token) > maxToken {
		return nil, reachback.Refuse(reachback.CodeTokenInvalid)
	}
	t, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return nil, reachback.Refuse(reachback.CodeTokenInvalid)
	}
	// Another audience is told apart before the signature is looked at:
	// such a token is signed with another key.
	var claimed jwt.Claims
	if err := t.UnsafeClaimsWithoutVerification(&claimed); err != nil {
		return nil, reachback.Refuse(reachback.CodeTokenInvalid)
	}
	if !claimed.Audience.Contains(audience) {
		return nil, reachback.Refuse(reachback.CodeWrongAudience)
	}
	var c claims
	if err := t.Claims(i.key.Public(), &c); err != nil || c.Subject == "" || c.Expiry == nil {
		return nil, reachback.Refuse(reachback.CodeTokenInvalid)
	}
	err = c.ValidateWithLeeway(jwt.Expected{Issuer: i.url, Time: time.Now()}, leeway)
	switch {
	case errors.Is(err, jwt.ErrExpired):
		return nil, reachback.Refuse(reachback.CodeTokenExpired)
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return nil, reachback.Refuse(reachback.CodeTokenNotYetValid)
	case err != nil:
		return nil, reachback.Refuse(reachback.CodeTokenInvalid)
	}
	return &reachback.User{Issuer: c.Issuer, Subject: c.Subject, Name: c.Name, Groups: c.Groups}, nil
}
