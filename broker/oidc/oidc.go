// Package oidc checks users' tokens against an OpenID Connect issuer.
//
// A [Verifier] finds the issuer's keys by discovery, verifies signature, issuer,
// audience and times of each token, and says which user, of which tenant and
// groups, it speaks for. It is a broker.Verifier. The user is issuer and subject
// together; names and e-mail addresses are for display and decide nothing.
//
// # Keys
//
// Keys are cached. A token whose key is not among them, or whose signature none of
// them verifies, makes the verifier ask the issuer again, so keys rotate without a
// restart. It asks once in 10 seconds and twice at once at most, however many such
// tokens come, and callers share the answer. After an hour it asks before it goes on, so a key that
// the issuer withdrew is not taken for longer than that.
//
// While the issuer cannot be reached, or answers what makes no sense, tokens of
// known keys are verified with the keys of its last good answer, for 24 hours at
// most. Others are refused as "unavailable", which says nothing of the token.
//
// # Bounds
//
// A token has at most 12 KiB and 256 groups of 256 bytes. An issuer's answer has at
// most 512 KiB and takes at most 8 seconds; of a key set 64 keys are used. Clocks
// may differ by 60 seconds.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/token"
)

// algorithms are those of public keys that a token may be signed with. A shared
// secret has no place here: a verifier that takes HS256 can be made to take a
// public key for the secret.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// compact are the characters of a JWS in its compact form.
const compact = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

// A Verifier checks tokens of one issuer. Its fields are not changed after first
// use, and its methods may be called concurrently.
type Verifier struct {
	// Issuer is the issuer's URL, exactly as its tokens have it: https, or http
	// at a loopback address. Required.
	Issuer string
	// Audience is what the tokens must be meant for. Required.
	Audience string
	// Clients are the ids of the clients whose tokens are taken, by the claim
	// azp or client_id. Nil takes those of any client, but a token for several
	// audiences must still name its client.
	Clients []string
	// Algorithms are the names of the signature algorithms to be taken. Nil
	// takes all of RS, PS and ES with 256, 384 and 512, and EdDSA.
	Algorithms []string
	// Claims says which claims have groups, tenant and name.
	Claims Claims
	// Keys, if not nil, are the issuer's public keys. Nothing is fetched then.
	Keys *jose.JSONWebKeySet
	// HTTP has the transport for requests to the issuer. Nil trusts the system's
	// certificate authorities and honours HTTPS_PROXY.
	HTTP   *http.Client
	Logger *slog.Logger // nil is silent

	once   sync.Once
	broken error // a mistake in the fields
	algs   []jose.SignatureAlgorithm
	keys   *keys
}

// Check asks the issuer for its keys, so that a mistake in the configuration shows
// at start-up. The error is for the operator.
func (v *Verifier) Check(ctx context.Context) error {
	if err := v.init(); err != nil {
		return err
	}
	_, err := v.keys.current(ctx)
	return err
}

// Close ends a request to the issuer that is on its way, and waits for it. No
// other method may be called after it.
func (v *Verifier) Close() {
	if v.init() == nil {
		v.keys.close()
	}
}

// Verify returns the user that the token speaks for. Refusals have the codes
// token_missing, token_invalid, token_expired, token_not_yet_valid,
// wrong_audience and, where the issuer's keys are needed and not to be had,
// unavailable. What more the error says is for the log.
func (v *Verifier) Verify(ctx context.Context, raw string) (*reachback.User, error) {
	if err := v.init(); err != nil {
		return nil, err
	}
	t, err := v.parse(raw)
	if err != nil {
		return nil, err
	}
	claims, err := v.authentic(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := validate(claims); err != nil {
		return nil, err
	}
	return v.Claims.user(v.Issuer, claims)
}

// A parsed token is well-formed and claims to be of our issuer for our audience.
// Nothing it says is proved.
type parsed struct {
	*jwt.JSONWebToken
	kid, alg string
}

// parse takes the token apart. A token of another issuer or audience is named as
// such before its key is looked for: that key is another issuer's too, and asking
// for it would let strangers' tokens cost us requests.
func (v *Verifier) parse(raw string) (*parsed, error) {
	if raw == "" {
		return nil, reachback.Refuse(reachback.CodeTokenMissing)
	}
	if len(raw) > token.MaxLen {
		return nil, invalid("longer than %d bytes", token.MaxLen)
	}
	// What other readers would not skip, as go-jose does with spaces, is refused.
	if strings.ContainsFunc(raw, func(r rune) bool { return !strings.ContainsRune(compact, r) }) {
		return nil, invalid("not of the characters of a JWS")
	}
	t, err := jwt.ParseSigned(raw, v.algs)
	if err != nil || len(t.Headers) != 1 {
		return nil, invalid("not a compact JWS of an admitted algorithm")
	}
	var claimed jwt.Claims
	if err := t.UnsafeClaimsWithoutVerification(&claimed); err != nil {
		return nil, invalid("claims that cannot be read")
	}
	if !claimed.Audience.Contains(v.Audience) {
		return nil, refuse(reachback.CodeWrongAudience, "not for the audience %q", v.Audience)
	}
	if claimed.Issuer != v.Issuer {
		return nil, invalid("of another issuer")
	}
	h := t.Headers[0]
	if !isAccessOrIDToken(h) {
		return nil, invalid("a JWT of another kind")
	}
	return &parsed{t, h.KeyID, h.Algorithm}, nil
}

// isAccessOrIDToken tells by the header field typ, which other kinds of JWT, such
// as logout tokens, must have (RFC 8725, section 3.11).
func isAccessOrIDToken(h jose.Header) bool {
	typ, ok := h.ExtraHeaders[jose.HeaderType]
	if !ok {
		return true
	}
	s, _ := typ.(string)
	s = strings.TrimPrefix(strings.ToLower(s), "application/")
	return s == "jwt" || s == "at+jwt"
}

// authentic returns the claims of a token that one of the issuer's keys has
// signed, asking the issuer for new keys where it may have some.
func (v *Verifier) authentic(ctx context.Context, t *parsed) (claims, error) {
	set, err := v.keys.current(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	c, known := t.verify(set)
	if c != nil {
		return v.party(c)
	}
	newer, err := v.keys.newer(ctx, set)
	switch {
	case err != nil && !known:
		return nil, unavailable(err)
	case err == nil && newer != set:
		if c, _ = t.verify(newer); c != nil {
			return v.party(c)
		}
	}
	return nil, invalid("no key of the issuer verifies the signature")
}

// verify returns the token's claims if a key of the set verifies it, and whether
// the set has a key that it could be of.
func (t *parsed) verify(set *keySet) (c claims, known bool) {
	for _, k := range set.keys {
		if t.kid != "" && k.KeyID != t.kid || k.Algorithm != "" && k.Algorithm != t.alg {
			continue
		}
		known = true
		// The decoder is go-jose's: it refuses a key that stands twice, which
		// two readers would read as two values. Inside a claim it sees that
		// only where it decodes the claim, hence the second value.
		if t.JSONWebToken.Claims(k.Key, &c, new(any)) == nil && c != nil {
			return c, true
		}
	}
	return nil, known
}

// party checks to which client the token was issued.
func (v *Verifier) party(c claims) (claims, error) {
	var std jwt.Claims
	if err := c.standard(&std); err != nil {
		return nil, invalid("claims that cannot be read")
	}
	party := c.text("azp")
	if party == "" {
		party = c.text("client_id")
	}
	switch {
	case v.Clients != nil && !slices.Contains(v.Clients, party):
		return nil, refuse(reachback.CodeWrongAudience, "issued to a client that is not admitted")
	case len(std.Audience) > 1 && party == "":
		return nil, invalid("for several audiences, and does not name its client")
	}
	return c, nil
}

// validate checks the times. A token without an end is none of a user's.
func validate(c claims) error {
	var std jwt.Claims
	if err := c.standard(&std); err != nil || std.Expiry == nil {
		return invalid("no time of expiry")
	}
	err := std.ValidateWithLeeway(jwt.Expected{Time: time.Now()}, token.Leeway)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrExpired):
		return reachback.Refuse(reachback.CodeTokenExpired)
	}
	return reachback.Refuse(reachback.CodeTokenNotYetValid)
}

// init checks the fields once. It asks nobody.
func (v *Verifier) init() error {
	v.once.Do(func() { v.broken = v.setUp() })
	return v.broken
}

func (v *Verifier) setUp() error {
	if _, err := issuerURL(v.Issuer); err != nil {
		return err
	}
	if v.Audience == "" {
		return errors.New("oidc: no audience, and tokens for any service would be taken")
	}
	v.algs = algorithms
	if v.Algorithms != nil {
		v.algs = nil
		for _, a := range v.Algorithms {
			if !slices.Contains(algorithms, jose.SignatureAlgorithm(a)) {
				return fmt.Errorf("oidc: the algorithm %q is not one of %v", a, algorithms)
			}
			v.algs = append(v.algs, jose.SignatureAlgorithm(a))
		}
	}
	if len(v.algs) == 0 {
		return errors.New("oidc: no algorithm is admitted")
	}
	v.keys = newKeys(v.Issuer, v.HTTP, v.Logger)
	if v.Keys != nil {
		set, err := newKeySet(v.Keys.Keys)
		if err != nil {
			return fmt.Errorf("oidc: %w", err)
		}
		v.keys.fixed = set
	}
	return nil
}

// refuse is a refusal whose reason is for the log only.
func refuse(code reachback.Code, reason string, args ...any) error {
	return fmt.Errorf("oidc: token: "+reason+": %w", append(args, reachback.Refuse(code))...)
}

func invalid(reason string, args ...any) error {
	return refuse(reachback.CodeTokenInvalid, reason, args...)
}

func unavailable(cause error) error {
	return fmt.Errorf("%w: %w", reachback.Refuse(reachback.CodeUnavailable), cause)
}
