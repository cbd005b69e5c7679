package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

const kid = "k1"

// A seed makes the key the same in every run, so that fuzz corpora stay valid.
var (
	private = ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))
	keys    = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: private.Public(), KeyID: kid}}}
	issued  = time.Unix(1_800_000_000, 0).UTC()
)

func framed() *Connection {
	return &Connection{
		ID:            "c-1",
		User:          reachback.User{Issuer: "https://idp.example", Subject: "7", Tenant: "t", Name: "Alice", Groups: []string{"staff"}},
		Resource:      "desktop",
		ClientKey:     [32]byte{1, 2, 3},
		CorrelationID: "corr",
		IssuedAt:      issued,
		Expires:       issued.Add(ConnectionLife),
	}
}

func grant() *reachback.Grant {
	return &reachback.Grant{
		User: "7", Tenant: "t", Resource: "desktop", Session: "s1", CorrelationID: "corr", Host: "h1",
		HostKey: [32]byte{9}, ClientKey: [32]byte{1, 2, 3},
		Policy: reachback.Policy{Shortpath: true, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, DSCP: 46, MaxRate: 1e6},
	}
}

func signConnection(t testing.TB, c *Connection) string {
	t.Helper()
	s, err := SignConnection(kid, private, c, issued)
	require.NoError(t, err)
	return s
}

func signGrant(t testing.TB, g *reachback.Grant, nonce string) string {
	t.Helper()
	s, err := SignGrant(kid, private, g, nonce, issued)
	require.NoError(t, err)
	return s
}

// forge signs header and claims as they are, which SignConnection never would.
func forge(header, claims string, k ed25519.PrivateKey) string {
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(header)) + "." + b64([]byte(claims))
	return signed + "." + b64(ed25519.Sign(k, []byte(signed)))
}

const connectionHeader = `{"alg":"EdDSA","kid":"k1","typ":"reachback-connection+jwt"}`

func TestConnectionRoundTrip(t *testing.T) {
	raw := framed()
	raw.ClientKey = [32]byte{}
	for _, tt := range []struct {
		name string
		c    *Connection
		raw  bool
	}{
		{"framed", framed(), false},
		{"raw", raw, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := VerifyConnection(keys, signConnection(t, tt.c), issued)
			require.NoError(t, err)
			got.IssuedAt, got.Expires = got.IssuedAt.UTC(), got.Expires.UTC()
			require.Equal(t, tt.c, got)
			require.Equal(t, tt.raw, got.Raw())
		})
	}
}

func TestGrantRoundTrip(t *testing.T) {
	raw := grant()
	raw.Raw, raw.ClientKey = true, [32]byte{}
	for _, tt := range []struct {
		name string
		g    *reachback.Grant
	}{
		{"framed", grant()},
		{"raw", raw},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := VerifyGrant(keys, signGrant(t, tt.g, "nonce"), "nonce", issued)
			require.NoError(t, err)
			require.Equal(t, tt.g, got)
		})
	}
}

func TestA4_ForgedTokensAreRefused(t *testing.T) {
	genuine := signConnection(t, framed())
	body, signature := genuine[:strings.LastIndex(genuine, ".")], genuine[strings.LastIndex(genuine, ".")+1:]
	claims := fmt.Sprintf(`{"aud":"reachback:gateway","sub":"7","jti":"c-1","resource":"desktop","iat":%d,"exp":%d}`, issued.Unix(), issued.Unix()+600)
	with := func(member string) string { return strings.Replace(claims, "{", "{"+member+",", 1) }
	stranger := ed25519.NewKeyFromSeed([]byte("fedcba9876543210fedcba9876543210"))
	b64 := base64.RawURLEncoding.EncodeToString

	_, err := VerifyConnection(keys, forge(connectionHeader, claims, private), issued)
	require.NoError(t, err, "the forger's tools work")

	for _, tt := range []struct {
		name, token string
		want        reachback.Code
	}{
		{"none at all", "", reachback.CodeTokenMissing},
		{"algorithm none", b64([]byte(`{"alg":"none","kid":"k1","typ":"reachback-connection+jwt"}`)) + "." + b64([]byte(claims)) + ".", reachback.CodeTokenInvalid},
		{"another algorithm", forge(`{"alg":"HS256","kid":"k1","typ":"reachback-connection+jwt"}`, claims, private), reachback.CodeTokenInvalid},
		{"no key id", forge(`{"alg":"EdDSA","typ":"reachback-connection+jwt"}`, claims, private), reachback.CodeTokenInvalid},
		{"unknown key id", forge(`{"alg":"EdDSA","kid":"k2","typ":"reachback-connection+jwt"}`, claims, private), reachback.CodeTokenInvalid},
		{"known key id, another key", forge(connectionHeader, claims, stranger), reachback.CodeTokenInvalid},
		{"a key of its own in the header", forge(`{"alg":"EdDSA","kid":"k1","typ":"reachback-connection+jwt","jwk":{"kty":"OKP","crv":"Ed25519","x":"`+b64(stranger.Public().(ed25519.PublicKey))+`"}}`, claims, stranger), reachback.CodeTokenInvalid},
		{"signature cut", body + "." + signature[:len(signature)-4], reachback.CodeTokenInvalid},
		{"signature lengthened", genuine + "AAAA", reachback.CodeTokenInvalid},
		{"signature empty", body + ".", reachback.CodeTokenInvalid},
		{"claims changed under a signature", b64([]byte(connectionHeader)) + "." + b64([]byte(claims)) + "." + signature, reachback.CodeTokenInvalid},
		{"a claim twice", forge(connectionHeader, with(`"resource":"payroll"`), private), reachback.CodeTokenInvalid},
		{"a header field twice", forge(strings.Replace(connectionHeader, "{", `{"kid":"k2",`, 1), claims, private), reachback.CodeTokenInvalid},
		{"a thumbprint of zeros", forge(connectionHeader, with(`"cnf":{"spki#S256":"`+b64(make([]byte, 32))+`"}`), private), reachback.CodeTokenInvalid},
		{"a thumbprint too short", forge(connectionHeader, with(`"cnf":{"spki#S256":"AAAA"}`), private), reachback.CodeTokenInvalid},
		{"a confirmation without a thumbprint", forge(connectionHeader, with(`"cnf":{}`), private), reachback.CodeTokenInvalid},
		{"no jti", forge(connectionHeader, strings.Replace(claims, `"jti"`, `"x"`, 1), private), reachback.CodeTokenInvalid},
		{"no expiry", forge(connectionHeader, strings.Replace(claims, `"exp"`, `"x"`, 1), private), reachback.CodeTokenInvalid},
		{"no time of issue", forge(connectionHeader, strings.Replace(claims, `"iat"`, `"x"`, 1), private), reachback.CodeTokenInvalid},
		{"longer than a token may be", forge(connectionHeader, with(`"x":"`+strings.Repeat("x", MaxLen)+`"`), private), reachback.CodeTokenInvalid},
		{"another type", forge(`{"alg":"EdDSA","kid":"k1","typ":"JWT"}`, claims, private), reachback.CodeWrongAudience},
		{"another audience", forge(connectionHeader, strings.Replace(claims, "reachback:gateway", "feed", 1), private), reachback.CodeWrongAudience},
		{"a grant", signGrant(t, grant(), "nonce"), reachback.CodeWrongAudience},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := VerifyConnection(keys, tt.token, issued)
			require.Equal(t, tt.want, reachback.CodeOf(err))
		})
	}
}

func TestA5_ClocksMayDifferByTheLeeway(t *testing.T) {
	// As SPEC.md, section 4, has them, and not as the code does.
	const leeway = 60 * time.Second
	conn, g := signConnection(t, framed()), signGrant(t, grant(), "nonce")
	for _, tt := range []struct {
		name        string
		now         time.Time
		conn, grant reachback.Code
	}{
		{"a clock behind by the leeway", issued.Add(-leeway), "", ""},
		{"by a second more", issued.Add(-leeway - time.Second), reachback.CodeTokenNotYetValid, reachback.CodeGrantInvalid},
		{"a grant's last moment", issued.Add(time.Minute + leeway), "", ""},
		{"a second after it", issued.Add(time.Minute + leeway + time.Second), "", reachback.CodeGrantExpired},
		{"a token's last moment", issued.Add(10*time.Minute + leeway), "", reachback.CodeGrantExpired},
		{"a second after it", issued.Add(10*time.Minute + leeway + time.Second), reachback.CodeTokenExpired, reachback.CodeGrantExpired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := VerifyConnection(keys, conn, tt.now)
			require.Equal(t, tt.conn, reachback.CodeOf(err))
			_, err = VerifyGrant(keys, g, "nonce", tt.now)
			require.Equal(t, tt.grant, reachback.CodeOf(err))
		})
	}
}

func TestGrantIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name, token, nonce string
		want               reachback.Code
	}{
		{"for another call", signGrant(t, grant(), "other"), "nonce", reachback.CodeGrantMismatch},
		{"asked without a nonce", signGrant(t, grant(), ""), "", reachback.CodeGrantMismatch},
		{"a connection token", signConnection(t, framed()), "nonce", reachback.CodeGrantInvalid},
		{"nothing", "", "nonce", reachback.CodeGrantInvalid},
		{"damaged", signGrant(t, grant(), "nonce") + "A", "nonce", reachback.CodeGrantInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := VerifyGrant(keys, tt.token, tt.nonce, issued)
			require.Equal(t, tt.want, reachback.CodeOf(err))
		})
	}
}

// payload returns the claims of a token as JSON.
func payload(t testing.TB, token string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	require.NoError(t, err)
	return string(b)
}

func TestOnlyTheSayingsOfAGenuineTokenAreTold(t *testing.T) {
	genuine := signConnection(t, framed())
	for _, tt := range []struct {
		name, token string
		now         time.Time
		code        reachback.Code
		told        bool
	}{
		{"in time", genuine, issued, "", true},
		{"too late", genuine, issued.Add(ConnectionLife + Leeway + time.Second), reachback.CodeTokenExpired, true},
		{"too early", genuine, issued.Add(-Leeway - time.Second), reachback.CodeTokenNotYetValid, true},
		{"too late and cut", genuine[:len(genuine)-4], issued.Add(time.Hour), reachback.CodeTokenInvalid, false},
		{"too late and incomplete", forge(connectionHeader, fmt.Sprintf(`{"aud":"reachback:gateway","sub":"7","iat":%d,"exp":%d}`, issued.Unix(), issued.Unix()), private), issued.Add(time.Hour), reachback.CodeTokenInvalid, false},
		{"of another service", signGrant(t, grant(), "nonce"), issued.Add(time.Hour), reachback.CodeWrongAudience, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := VerifyConnection(keys, tt.token, tt.now)
			require.Equal(t, tt.code, reachback.CodeOf(err))
			require.Equal(t, tt.code == "", c != nil, "who looks at the first result alone lets nobody in")
			if got := Genuine(c, err); tt.told {
				require.Equal(t, "7", got.User.Subject)
			} else {
				require.Nil(t, got)
			}
		})
	}
}
