package token

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The signature is made here, so that the fuzzer reaches what lies behind it.
// What is accepted must say who, what and until when, and survive being issued
// again.
func FuzzConnectionClaims(f *testing.F) {
	for _, c := range []*Connection{framed(), {ID: "c-2", Resource: "desktop"}} {
		f.Add(payload(f, signConnection(f, c)))
	}
	f.Fuzz(func(t *testing.T, claims string) {
		c, err := VerifyConnection(keys, forge(connectionHeader, claims, private), issued)
		if err != nil {
			return
		}
		require.NotEmpty(t, c.ID)
		require.NotEmpty(t, c.User.Subject)
		require.NotEmpty(t, c.Resource)
		require.False(t, c.Expires.Before(issued.Add(-Leeway-time.Second)), "expired")
		again, err := VerifyConnection(keys, signConnection(t, c), issued)
		require.NoError(t, err)
		again.IssuedAt, again.Expires = c.IssuedAt, c.Expires
		require.Equal(t, fmt.Sprintf("%+v", c), fmt.Sprintf("%+v", again)) // an empty list is as good as none
	})
}

func FuzzGrantClaims(f *testing.F) {
	const header = `{"alg":"EdDSA","kid":"k1","typ":"reachback-grant+jwt"}`
	f.Add(payload(f, signGrant(f, grant(), "nonce")))
	f.Fuzz(func(t *testing.T, claims string) {
		g, err := VerifyGrant(keys, forge(header, claims, private), "nonce", issued)
		if err != nil {
			return
		}
		again, err := VerifyGrant(keys, signGrant(t, g, "nonce"), "nonce", issued)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%+v", g), fmt.Sprintf("%+v", again))
	})
}

// Nothing that the fuzzer makes of a genuine token is accepted as another one.
func FuzzToken(f *testing.F) {
	f.Add(signConnection(f, framed()))
	f.Add(signGrant(f, grant(), "nonce"))
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := VerifyConnection(keys, s, issued); err == nil {
			c.IssuedAt, c.Expires = c.IssuedAt.UTC(), c.Expires.UTC()
			require.Equal(t, framed(), c)
		}
		if g, err := VerifyGrant(keys, s, "nonce", issued); err == nil {
			require.Equal(t, grant(), g)
		}
	})
}
