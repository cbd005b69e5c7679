package rdgateway

import (
	"crypto/ed25519"
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/limit"
	"github.com/reachback/reachback/internal/token"
)

// A token for host A does not help at host B: whom the token is for decides, and the
// leg of another host is refused.
func TestA2_TheLegOfAnotherHost(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		hosts := w.hosts("host-1", "host-2")
		c.setUp(w.token())
		c.send(channelPacket("desktop"))
		call := <-w.summons
		w.host = hosts[1]
		_, err := w.answerTo(call)
		require.Equal(t, reachback.CodeWrongHost, reachback.CodeOf(err))
		w.host = hosts[0]
		host, err := w.answerTo(call)
		require.NoError(t, err)
		c.opens()
		requireCarries(t, c, host, "the true pair")
	})
}

func TestA2_ATokenForAnotherResource(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		c.setUp(w.token(func(c *token.Connection) { c.Resource = "vault" }))
		c.send(channelPacket("desktop"))
		require.Equal(t, rapAccessDenied, status(t, 9, c.expect(9)))
		require.Empty(t, w.summons)

		// The true pair.
		quit(c)
		answering := w.answering()
		s, no := w.callTunnel(c.ws, w.token())
		require.Zero(t, no)
		requireCarries(t, s, <-answering, "x")
	})
}

// What is signed with the same keys for other purposes, and what other services sign.
func TestA3_TokensOfOtherServices(t *testing.T) {
	inWays(t, func(t *testing.T, w *world, call func(string) (io.ReadWriter, refused)) {
		grant, err := token.SignGrant("k1", w.signing, &reachback.Grant{User: "alice", Resource: "desktop"}, "0123456789abcdef", time.Now())
		require.NoError(t, err)
		claims := `{"iss":"https://issuer","aud":"feed","sub":"alice","iat":946684800,"exp":4102444800,"resource":"desktop","jti":"x"}`
		oidc := forge(t, w.signing, "k1", "JWT", claims)
		feed := forge(t, w.signing, "k1", "reachback-connection+jwt", claims)
		for name, tok := range map[string]string{"a grant": grant, "a feed's token": oidc, "one that calls itself ours": feed} {
			_, no := call(tok)
			no.require(t, reachback.CodeWrongAudience, name)
		}
		require.EqualValues(t, 3, w.relay.Stats().Refused[reachback.CodeWrongAudience])
		require.Empty(t, w.summons, "nobody was asked")
		requireNothingLeft(t, w)
	})
}

// forge signs claims as a token of any type.
func forge(t *testing.T, key ed25519.PrivateKey, kid, typ, claims string) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", kid)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, opts)
	require.NoError(t, err)
	o, err := s.Sign([]byte(claims))
	require.NoError(t, err)
	tok, err := o.CompactSerialize()
	require.NoError(t, err)
	return tok
}

func TestA4_ForgedTokens(t *testing.T) {
	inWays(t, func(t *testing.T, w *world, call func(string) (io.ReadWriter, refused)) {
		good := w.token()
		head, rest, _ := strings.Cut(good, ".")
		body, sig, _ := strings.Cut(rest, ".")
		_, stranger, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		b64 := base64.RawURLEncoding.EncodeToString
		const typ = "reachback-connection+jwt"
		claims, err := base64.RawURLEncoding.DecodeString(body)
		require.NoError(t, err)
		for name, tok := range map[string]string{
			"no algorithm":          b64([]byte(`{"alg":"none","kid":"k1","typ":"`+typ+`"}`)) + "." + body + ".",
			"another algorithm":     b64([]byte(`{"alg":"HS256","kid":"k1","typ":"`+typ+`"}`)) + "." + body + "." + sig,
			"another key's id":      forge(t, w.signing, "k2", typ, string(claims)),
			"a stranger's key":      forge(t, stranger, "k1", typ, string(claims)),
			"a cut signature":       good[:len(good)-4],
			"an extended signature": good + "AAAA",
			"no signature":          head + "." + body + ".",
			"a claim twice":         forge(t, w.signing, "k1", typ, strings.Replace(string(claims), "{", `{"resource":"vault",`, 1)),
			"longer than allowed":   head + "." + strings.Repeat("A", 13<<10) + "." + sig,
			"not ASCII":             "дом" + good,
		} {
			began := time.Now()
			_, no := call(tok)
			no.require(t, reachback.CodeTokenInvalid, name)
			require.Zero(t, time.Since(began), name)
		}
		require.Empty(t, w.summons)
		requireNothingLeft(t, w)

		answering := w.answering()
		s, no := call(good)
		require.Zero(t, no, "none of this spent the good one")
		requireCarries(t, s, <-answering, "x")
	})
}

func TestA5_TheLeewayIsAMinute(t *testing.T) {
	inWays(t, func(t *testing.T, w *world, call func(string) (io.ReadWriter, refused)) {
		// As SPEC.md, section 4, has them.
		const life, leeway = 10 * time.Minute, time.Minute
		at := func(d time.Duration) string {
			return w.token(func(c *token.Connection) { c.IssuedAt = time.Now().Add(d) })
		}
		for _, in := range []time.Duration{leeway, -life - leeway} {
			answering := w.answering()
			s, no := call(at(in))
			require.Zero(t, no, in)
			requireCarries(t, s, <-answering, "in time")
		}
		_, no := call(at(leeway + time.Second))
		no.require(t, reachback.CodeTokenNotYetValid)
		_, no = call(at(-life - leeway - time.Second))
		no.require(t, reachback.CodeTokenExpired)
	})
}

func TestA5_ExpiryDoesNotCutASession(t *testing.T) {
	inWays(t, func(t *testing.T, w *world, call func(string) (io.ReadWriter, refused)) {
		answering := w.answering()
		tok := w.token()
		s, no := call(tok)
		require.Zero(t, no)
		host := <-answering
		time.Sleep(time.Hour)
		requireCarries(t, s, host, "long after")
		requireCarries(t, host, s, "both ways")
		_, no = call(tok)
		no.require(t, reachback.CodeTokenExpired)
	})
}

// A token may expire between the tunnel and its channel: the later look counts.
func TestA5_ATokenThatExpiresInItsTunnel(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		tok := w.token(func(c *token.Connection) { c.IssuedAt = time.Now().Add(-11*time.Minute + 10*time.Second) })
		c.setUp(tok)
		time.Sleep(12 * time.Second)
		c.send(channelPacket("desktop"))
		require.Equal(t, cookieDenied, status(t, 9, c.expect(9)))
		require.Empty(t, w.summons)
	})
}

// A key that the gateway has stopped to trust since the tunnel was made.
func TestC6_AKeyThatIsTrustedNoMore(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		c.setUp(w.token())
		w.trust.Keys = &jose.JSONWebKeySet{}
		c.send(channelPacket("desktop"))
		require.Equal(t, cookieBadPacket, status(t, 9, c.expect(9)))
		require.Empty(t, w.summons)
	})
}

// A second tunnel, or a second channel, on a connection that has one is no way round
// the rules of the first.
func TestC6_ASecondTokenInATunnel(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		c.setUp(w.token())
		c.send(createPacket(w.token(func(c *token.Connection) { c.Resource = "vault" })), channelPacket("vault"))
		require.Equal(t, internalError, status(t, 5, c.expect(5)))
		c.requireClosed()
		require.Empty(t, w.summons)
	})
}

// Failures count for the address, whatever its clients say about themselves and
// whichever way in they take.
func TestC4_ForwardedForDoesNotHideWhoGuesses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.comeFrom("192.0.2.66:1")
		for range limit.Burst {
			require.Equal(t, reachback.CodeTokenInvalid,
				w.ask(rawRequest("Authorization: Bearer guess", "X-Forwarded-For: 198.51.100.7", "X-Real-IP: 198.51.100.7")))
		}
		for _, way := range ways {
			_, no := way.call(w, w.token())
			require.Equal(t, reachback.CodeRateLimited, no.code, way.name)
		}
		require.Equal(t, reachback.CodeRateLimited, w.ask(halfRequest(methodIn, "{1}", "Transfer-Encoding: chunked")))

		w.comeFrom("198.51.100.7:1") // whom they named
		answering := w.answering()
		s, no := w.callRaw(w.token())
		require.Zero(t, no)
		requireCarries(t, s, <-answering, "not blamed")
		require.NotContains(t, w.logs.String(), `"remote":"198.51.100.7:0`)
		for _, e := range w.reported() {
			require.Equal(t, "198.51.100.7:1", e.Remote.String(), "events have the socket's address")
		}
	})
}
