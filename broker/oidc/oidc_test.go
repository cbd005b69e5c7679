package oidc_test

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker/oidc"
)

// static is a verifier with keys of every kind, which asks nobody.
func static(t testing.TB) *oidc.Verifier {
	return &oidc.Verifier{Issuer: issuerURL, Audience: audience, Keys: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		public("rsa", rsaKey()), public("ec", ecKey()), public("ed", edKey()), public("weak", weakKey()),
		{KeyID: "enc", Key: otherKey().Public(), Use: "enc"},
	}}}
}

func TestVerifyTakesWhatIssuersSign(t *testing.T) {
	v := static(t)
	for _, tt := range []struct {
		name  string
		token string
	}{
		{"RS256", sign(t, jose.RS256, "rsa", rsaKey(), good())},
		{"PS512", sign(t, jose.PS512, "rsa", rsaKey(), good())},
		{"ES256", sign(t, jose.ES256, "ec", ecKey(), good())},
		{"EdDSA", sign(t, jose.EdDSA, "ed", edKey(), good())},
		{"without kid", sign(t, jose.ES256, "", ecKey(), good())},
		{"an access token by its type", sign(t, jose.ES256, "ec", ecKey(), good(), map[jose.HeaderKey]any{"typ": "application/at+JWT"})},
		{"audience as a list", sign(t, jose.ES256, "ec", ecKey(), good(map[string]any{"aud": []string{audience}}))},
		{"several audiences and a client", sign(t, jose.ES256, "ec", ecKey(), good(map[string]any{"aud": []string{"x", audience}, "azp": "app"}))},
		{"several audiences and a client by RFC 9068", sign(t, jose.ES256, "ec", ecKey(), good(map[string]any{"aud": []string{"x", audience}, "client_id": "app"}))},
		{"without iat", sign(t, jose.ES256, "ec", ecKey(), good(map[string]any{"iat": nil}))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := v.Verify(t.Context(), tt.token)
			require.NoError(t, err)
			require.Equal(t, &reachback.User{Issuer: issuerURL, Subject: "alice-7", Name: "Alice", Groups: []string{"staff"}}, u)
		})
	}
}

func TestA4_TokensThatAreNotTheIssuers(t *testing.T) {
	part := func(v any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(v))) }
	genuine := sign(t, jose.ES256, "ec", ecKey(), good())
	cut := strings.Split(genuine, ".")
	payload := string(must(json.Marshal(good())))

	// hs256 is signed with what everybody knows of the RSA key.
	hs256 := func(secret []byte) string {
		input := part(map[string]string{"alg": "HS256", "kid": "rsa"}) + "." + cut[1]
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	der := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	embedded := func(extra map[jose.HeaderKey]any) string {
		return sign(t, jose.ES256, "ec", otherKey(), good(), extra)
	}
	crit := func() string {
		h := map[jose.HeaderKey]any{"crit": []string{"exp"}, "exp": 1}
		return sign(t, jose.ES256, "ec", ecKey(), good(), h)
	}

	v := static(t)
	for _, tt := range []struct {
		name  string
		token string
		want  reachback.Code
	}{
		{"empty", "", reachback.CodeTokenMissing},
		{"alg none", part(map[string]string{"alg": "none"}) + "." + cut[1] + ".", reachback.CodeTokenInvalid},
		{"alg None", part(map[string]string{"alg": "None"}) + "." + cut[1] + "." + cut[2], reachback.CodeTokenInvalid},
		{"HS256 with the public key, DER", hs256(der), reachback.CodeTokenInvalid},
		{"HS256 with the public key, PEM", hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), reachback.CodeTokenInvalid},
		{"another kid of ours", sign(t, jose.ES256, "rsa", ecKey(), good()), reachback.CodeTokenInvalid},
		{"an unknown kid", sign(t, jose.ES256, "nobody", ecKey(), good()), reachback.CodeTokenInvalid},
		{"another key under our kid", sign(t, jose.ES256, "ec", otherKey(), good()), reachback.CodeTokenInvalid},
		{"another key without kid", sign(t, jose.ES256, "", otherKey(), good()), reachback.CodeTokenInvalid},
		{"a key for encryption", sign(t, jose.ES256, "enc", otherKey(), good()), reachback.CodeTokenInvalid},
		{"a key that is too short", sign(t, jose.RS256, "weak", weakKey(), good()), reachback.CodeTokenInvalid},
		{"jwk in the header", embedded(map[jose.HeaderKey]any{"jwk": public("ec", otherKey())}), reachback.CodeTokenInvalid},
		{"jku in the header", embedded(map[jose.HeaderKey]any{"jku": "https://evil.example.test/jwks"}), reachback.CodeTokenInvalid},
		{"x5u in the header", embedded(map[jose.HeaderKey]any{"x5u": "file:///etc/passwd"}), reachback.CodeTokenInvalid},
		{"unknown critical header", crit(), reachback.CodeTokenInvalid},
		{"signature cut", genuine[:len(genuine)-4], reachback.CodeTokenInvalid},
		{"signature extended", genuine + "AAAA", reachback.CodeTokenInvalid},
		{"no signature", cut[0] + "." + cut[1] + ".", reachback.CodeTokenInvalid},
		{"claims of another token", cut[0] + "." + part(good(map[string]any{"sub": "root"})) + "." + cut[2], reachback.CodeTokenInvalid},
		{"four parts", genuine + ".AAAA", reachback.CodeTokenInvalid},
		{"line break inside", cut[0] + ".\n" + cut[1] + "." + cut[2], reachback.CodeTokenInvalid},
		{"JSON serialization", fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, cut[0], cut[1], cut[2]), reachback.CodeTokenInvalid},
		{"claim twice", sign(t, jose.ES256, "ec", ecKey(), payload[:len(payload)-1]+`,"sub":"root"}`), reachback.CodeTokenInvalid},
		{"claim twice, in a claim", sign(t, jose.ES256, "ec", ecKey(), payload[:len(payload)-1]+`,"x":{"a":1,"a":2}}`), reachback.CodeTokenInvalid},
		{"header twice", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"nobody","kid":"ec"}`)) + "." + cut[1] + "." + cut[2], reachback.CodeTokenInvalid},
		{"claims are no object", sign(t, jose.ES256, "ec", ecKey(), `["iss"]`), reachback.CodeTokenInvalid},
		{"claims are null", sign(t, jose.ES256, "ec", ecKey(), `null`), reachback.CodeWrongAudience},
		{"huge header", sign(t, jose.ES256, "ec", ecKey(), good(), map[jose.HeaderKey]any{"x": strings.Repeat("x", 12<<10)}), reachback.CodeTokenInvalid},
		{"a JWT inside a JWT", sign(t, jose.ES256, "ec", ecKey(), `"`+genuine+`"`, map[jose.HeaderKey]any{"cty": "JWT"}), reachback.CodeTokenInvalid},
		{"a logout token", sign(t, jose.ES256, "ec", ecKey(), good(), map[jose.HeaderKey]any{"typ": "logout+jwt"}), reachback.CodeTokenInvalid},
		{"typ is a number", sign(t, jose.ES256, "ec", ecKey(), good(), map[jose.HeaderKey]any{"typ": 1}), reachback.CodeTokenInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := v.Verify(t.Context(), tt.token)
			require.Equal(t, tt.want, reachback.CodeOf(err), "%v", err)
			require.Nil(t, u)
		})
	}
}

func TestA9_ClaimsThatAreNotForUs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		claims map[string]any
		edit   func(*oidc.Verifier)
		want   reachback.Code
	}{
		{"as it should be", nil, nil, ""},
		{"another issuer", map[string]any{"iss": "https://idp.example.test/other"}, nil, reachback.CodeTokenInvalid},
		{"the issuer with a slash", map[string]any{"iss": issuerURL + "/"}, nil, reachback.CodeTokenInvalid},
		{"no issuer", map[string]any{"iss": nil}, nil, reachback.CodeTokenInvalid},
		{"another audience", map[string]any{"aud": "reachback:gateway"}, nil, reachback.CodeWrongAudience},
		{"a part of the audience", map[string]any{"aud": "reachback"}, nil, reachback.CodeWrongAudience},
		{"no audience", map[string]any{"aud": nil}, nil, reachback.CodeWrongAudience},
		{"several audiences and no client", map[string]any{"aud": []string{audience, "x"}}, nil, reachback.CodeTokenInvalid},
		{"a client of ours", map[string]any{"azp": "app"}, func(v *oidc.Verifier) { v.Clients = []string{"app"} }, ""},
		{"another client", map[string]any{"azp": "theirs"}, func(v *oidc.Verifier) { v.Clients = []string{"app"} }, reachback.CodeWrongAudience},
		{"no client", nil, func(v *oidc.Verifier) { v.Clients = []string{"app"} }, reachback.CodeWrongAudience},
		{"azp decides before client_id", map[string]any{"azp": "theirs", "client_id": "app"}, func(v *oidc.Verifier) { v.Clients = []string{"app"} }, reachback.CodeWrongAudience},
		{"an algorithm that is not admitted here", nil, func(v *oidc.Verifier) { v.Algorithms = []string{"RS256"} }, reachback.CodeTokenInvalid},
		{"no subject", map[string]any{"sub": nil}, nil, reachback.CodeTokenInvalid},
		{"a subject with a line break", map[string]any{"sub": "a\nb"}, nil, reachback.CodeTokenInvalid},
		{"a subject without end", map[string]any{"sub": strings.Repeat("a", 257)}, nil, reachback.CodeTokenInvalid},
		{"a number for subject", map[string]any{"sub": 7}, nil, reachback.CodeTokenInvalid},
		{"no expiry", map[string]any{"exp": nil}, nil, reachback.CodeTokenInvalid},
		{"an expiry beyond all time", map[string]any{"exp": 1e300}, nil, reachback.CodeTokenInvalid},
		{"no tenant", nil, func(v *oidc.Verifier) { v.Claims.Tenant = "tid" }, reachback.CodeTokenInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := static(t)
			if tt.edit != nil {
				tt.edit(v)
			}
			_, err := v.Verify(t.Context(), sign(t, jose.ES256, "ec", ecKey(), good(tt.claims)))
			require.Equal(t, tt.want, reachback.CodeOf(err), "%v", err)
		})
	}
}

// A clock that is off by the leeway is no harm, by a second more it is named.
func TestA5_ClockOfTheIssuer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		claim string
		off   time.Duration // of the claim from now
		want  reachback.Code
	}{
		{"just expired", "exp", -60 * time.Second, ""},
		{"expired", "exp", -61 * time.Second, reachback.CodeTokenExpired},
		{"valid soon", "nbf", 60 * time.Second, ""},
		{"valid later", "nbf", 61 * time.Second, reachback.CodeTokenNotYetValid},
		{"issued soon", "iat", 60 * time.Second, ""},
		{"issued later", "iat", 61 * time.Second, reachback.CodeTokenNotYetValid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := good(map[string]any{tt.claim: time.Now().Add(tt.off).Unix()})
				_, err := static(t).Verify(t.Context(), sign(t, jose.ES256, "ec", ecKey(), c))
				require.Equal(t, tt.want, reachback.CodeOf(err), "%v", err)
			})
		})
	}
}

func TestClaims(t *testing.T) {
	many := func(n int) (g []string) {
		for i := range n {
			g = append(g, fmt.Sprint("g", i))
		}
		return g
	}
	for _, tt := range []struct {
		name   string
		how    oidc.Claims
		claims map[string]any
		want   *reachback.User // without issuer and subject; nil: token_invalid
	}{
		{"nothing but who he is", oidc.Claims{}, map[string]any{"groups": nil, "name": nil}, &reachback.User{}},
		{"one group as a text", oidc.Claims{}, map[string]any{"groups": "staff", "name": nil}, &reachback.User{Groups: []string{"staff"}}},
		{"groups are null", oidc.Claims{}, map[string]any{"groups": json.RawMessage("null"), "name": nil}, &reachback.User{}},
		{"groups under another name", oidc.Claims{Groups: "https://x.test/roles"}, map[string]any{"https://x.test/roles": []string{"a"}, "name": nil}, &reachback.User{Groups: []string{"a"}}},
		{"the most groups", oidc.Claims{}, map[string]any{"groups": many(256), "name": nil}, &reachback.User{Groups: many(256)}},
		{"one more", oidc.Claims{}, map[string]any{"groups": many(257)}, nil},
		{"a long group", oidc.Claims{}, map[string]any{"groups": []string{strings.Repeat("g", 257)}}, nil},
		{"a group with a line break", oidc.Claims{}, map[string]any{"groups": []string{"a\r\nb"}}, nil},
		{"an empty group", oidc.Claims{}, map[string]any{"groups": []string{""}}, nil},
		{"groups are objects", oidc.Claims{}, map[string]any{"groups": []any{map[string]any{"id": 1}}}, nil},
		{"the name that he goes by", oidc.Claims{}, map[string]any{"groups": nil, "preferred_username": "alice", "email": "a@x.test"}, &reachback.User{Name: "alice"}},
		{"the e-mail address for want of a name", oidc.Claims{}, map[string]any{"groups": nil, "name": "bad\x00", "email": "a@x.test"}, &reachback.User{Name: "a@x.test"}},
		{"a claim of one's own for the name", oidc.Claims{Name: "upn"}, map[string]any{"groups": nil, "upn": "a@corp"}, &reachback.User{Name: "a@corp"}},
		{"one tenant for all", oidc.Claims{FixedTenant: "acme"}, map[string]any{"groups": nil, "name": nil, "tid": "evil"}, &reachback.User{Tenant: "acme"}},
		{"the tenant of the token", oidc.Claims{Tenant: "tid", FixedTenant: "acme"}, map[string]any{"groups": nil, "name": nil, "tid": "west"}, &reachback.User{Tenant: "west"}},
		{"a tenant that is no text", oidc.Claims{Tenant: "tid"}, map[string]any{"tid": []string{"west"}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := static(t)
			v.Claims = tt.how
			u, err := v.Verify(t.Context(), sign(t, jose.ES256, "ec", ecKey(), good(tt.claims)))
			if tt.want == nil {
				require.Equal(t, reachback.CodeTokenInvalid, reachback.CodeOf(err), "%v", err)
				return
			}
			require.NoError(t, err)
			tt.want.Issuer, tt.want.Subject = issuerURL, "alice-7"
			require.Equal(t, tt.want, u)
		})
	}
}

func TestVerifierThatCannotWork(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    *oidc.Verifier
		want string
	}{
		{"no issuer", &oidc.Verifier{Audience: "a"}, "https"},
		{"issuer without TLS", &oidc.Verifier{Issuer: "http://idp.example.test", Audience: "a"}, "https"},
		{"issuer with a query", &oidc.Verifier{Issuer: "https://idp.example.test?x", Audience: "a"}, "https"},
		{"issuer with a password", &oidc.Verifier{Issuer: "https://u:p@idp.example.test", Audience: "a"}, "https"},
		{"issuer is a file", &oidc.Verifier{Issuer: "file:///etc/issuer", Audience: "a"}, "https"},
		{"no audience", &oidc.Verifier{Issuer: issuerURL}, "audience"},
		{"no algorithm", &oidc.Verifier{Issuer: issuerURL, Audience: "a", Algorithms: []string{}}, "algorithm"},
		{"alg none", &oidc.Verifier{Issuer: issuerURL, Audience: "a", Algorithms: []string{"none"}}, "none"},
		{"a shared secret", &oidc.Verifier{Issuer: issuerURL, Audience: "a", Algorithms: []string{"RS256", "HS256"}}, "HS256"},
		{"no usable key", &oidc.Verifier{Issuer: issuerURL, Audience: "a", Keys: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: []byte("secret")}, public("weak", weakKey())}}}, "no public key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorContains(t, tt.v.Check(t.Context()), tt.want)
			_, err := tt.v.Verify(t.Context(), sign(t, jose.ES256, "ec", ecKey(), good()))
			require.Error(t, err)
		})
	}
}

// Neither a token nor a part of one stands in an error or in a record.
func TestTokensStandInNoError(t *testing.T) {
	var log bytes.Buffer
	v := (&idp{keys: []jose.JSONWebKey{public("ec", ecKey())}}).verifier(t)
	v.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, key := range []crypto.Signer{ecKey(), otherKey()} {
		for _, c := range []map[string]any{{"aud": "other"}, {"iss": "other"}, {"exp": 1}, {"groups": 1}} {
			token := sign(t, jose.ES256, "ec", key, good(c))
			_, err := v.Verify(t.Context(), token)
			require.Error(t, err)
			for _, part := range strings.Split(token, ".") {
				require.NotContains(t, err.Error()+log.String(), part)
			}
		}
	}
}

// FuzzVerify changes tokens, and signs whatever it makes of the claims: nothing is
// taken but what says the right issuer, audience and a subject.
func FuzzVerify(f *testing.F) {
	// Without RSA, whose keys take a fuzzing process seconds to make.
	v := &oidc.Verifier{Issuer: issuerURL, Audience: audience, Keys: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public("ec", ecKey()), public("ed", edKey())}}}
	f.Add([]byte(sign(f, jose.ES256, "ec", ecKey(), good())), must(json.Marshal(good())))
	f.Add([]byte(sign(f, jose.EdDSA, "ed", edKey(), good(map[string]any{"aud": []string{audience, "b"}, "azp": "c"}))), []byte(`{"aud":"reachback:feed"}`))
	f.Add([]byte("a.b.c"), []byte(`{"iss":"`+issuerURL+`","aud":["reachback:feed"],"sub":"x","exp":99999999999,"groups":[""]}`))
	f.Fuzz(func(t *testing.T, token, claims []byte) {
		for _, s := range []string{string(token), sign(t, jose.EdDSA, "ed", edKey(), string(claims))} {
			u, err := v.Verify(t.Context(), s)
			if err != nil {
				require.NotEqual(t, reachback.CodeInternal, reachback.CodeOf(err), "%v", err)
				continue
			}
			require.Equal(t, issuerURL, u.Issuer)
			require.NotEmpty(t, u.Subject)
			require.LessOrEqual(t, len(u.Groups), 256)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, bb := range []struct {
		name  string
		token string
	}{
		{"RS256", sign(b, jose.RS256, "rsa", rsaKey(), good())},
		{"ES256", sign(b, jose.ES256, "ec", ecKey(), good())},
		{"EdDSA", sign(b, jose.EdDSA, "ed", edKey(), good())},
	} {
		b.Run(bb.name, func(b *testing.B) {
			v := static(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), bb.token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
