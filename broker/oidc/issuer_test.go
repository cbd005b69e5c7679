package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/broker/oidc"
)

const (
	issuerURL = "https://idp.example.test/tenant"
	audience  = "reachback:feed"
)

// Keys are made once: RSA takes its time.
var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	weakKey  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	otherKey = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	edKey    = sync.OnceValue(func() ed25519.PrivateKey { _, k, err := ed25519.GenerateKey(rand.Reader); return must(k, err) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func public(kid string, k crypto.Signer) jose.JSONWebKey {
	return jose.JSONWebKey{KeyID: kid, Key: k.Public(), Use: "sig"}
}

// An idp is an issuer at a server of its own, or, as a RoundTripper, inside a
// bubble of virtual time.
type idp struct {
	mu      sync.Mutex
	keys    []jose.JSONWebKey
	answer  func(w http.ResponseWriter, r *http.Request) bool // answers in the place of the issuer; false: not
	jwks    string                                            // jwks_uri; empty: the usual
	issuer  string                                            // of discovery; empty: where it is asked
	delay   time.Duration
	fetches int // of key sets
}

func (p *idp) change(f func(*idp)) { p.mu.Lock(); defer p.mu.Unlock(); f(p) }

func (p *idp) count() int { p.mu.Lock(); defer p.mu.Unlock(); return p.fetches }

func (p *idp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.URL.Path == "/tenant/jwks" {
		p.fetches++
	}
	if p.answer != nil && p.answer(w, r) {
		return
	}
	base := "https://" + r.Host + "/tenant"
	doc := map[string]string{"issuer": base, "jwks_uri": base + "/jwks", "authorization_endpoint": base + "/auth", "token_endpoint": base + "/token"}
	if p.jwks != "" {
		doc["jwks_uri"] = p.jwks
	}
	if p.issuer != "" {
		doc["issuer"] = p.issuer
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/tenant/.well-known/openid-configuration":
		json.NewEncoder(w).Encode(doc)
	case "/tenant/jwks":
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: p.keys})
	default:
		http.NotFound(w, r)
	}
}

// RoundTrip lets a verifier ask the issuer without a socket.
func (p *idp) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = r.URL.Host
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// verifier returns one that asks p without a socket.
func (p *idp) verifier(t *testing.T) *oidc.Verifier {
	v := &oidc.Verifier{Issuer: issuerURL, Audience: audience, HTTP: &http.Client{Transport: p}}
	t.Cleanup(v.Close)
	return v
}

// good are the claims of a token that passes now.
func good(edit ...map[string]any) map[string]any {
	c := map[string]any{
		"iss": issuerURL, "aud": audience, "sub": "alice-7", "name": "Alice", "groups": []string{"staff"},
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	for _, e := range edit {
		maps.Copy(c, e)
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign signs claims, a struct or text of JSON, with header fields besides.
func sign(t testing.TB, alg jose.SignatureAlgorithm, kid string, key any, claims any, header ...map[jose.HeaderKey]any) string {
	t.Helper()
	o := (&jose.SignerOptions{}).WithType("JWT")
	for _, h := range header {
		for k, v := range h {
			o.WithHeader(k, v)
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, o)
	require.NoError(t, err)
	if text, ok := claims.(string); ok {
		jws, err := signer.Sign([]byte(text))
		require.NoError(t, err)
		return must(jws.CompactSerialize())
	}
	s, err := jwt.Signed(signer).Claims(claims).Serialize()
	require.NoError(t, err)
	return s
}
