package devidp

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

const issuerURL = "https://127.0.0.1:8443/dev-idp"

func TestVerify(t *testing.T) {
	dir := t.TempDir()
	issuer, err := Open(dir, issuerURL)
	require.NoError(t, err)
	again, err := Open(dir, issuerURL)
	require.NoError(t, err)
	elsewhere, err := Open(dir, "https://other.example/dev-idp")
	require.NoError(t, err)
	stranger, err := Open(t.TempDir(), issuerURL)
	require.NoError(t, err)

	for _, tt := range []struct {
		name   string
		issuer *Issuer
		later  time.Duration // than the token was issued
		edit   func(token string) string
		want   reachback.Code
	}{
		{"good", issuer, 0, nil, ""},
		{"of an earlier run", again, 0, nil, ""},
		{"at the end of its life and the leeway", issuer, life + leeway, nil, ""},
		{"a second later", issuer, life + leeway + time.Second, nil, reachback.CodeTokenExpired},
		{"of a clock that runs a leeway ahead", issuer, -leeway, nil, ""},
		{"a second more", issuer, -leeway - time.Second, nil, reachback.CodeTokenNotYetValid},
		{"of another issuer with the same key", elsewhere, 0, nil, reachback.CodeTokenInvalid},
		{"of another key", stranger, 0, nil, reachback.CodeTokenInvalid},
		{"cut", issuer, 0, func(s string) string { return s[:len(s)-2] }, reachback.CodeTokenInvalid},
		{"too long", issuer, 0, func(s string) string { return s + string(make([]byte, maxToken)) }, reachback.CodeTokenInvalid},
		{"none", issuer, 0, func(string) string { return "" }, reachback.CodeTokenInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				token, err := tt.issuer.Issue("alice", []string{"staff"}, time.Now().Add(-tt.later))
				require.NoError(t, err)
				if tt.edit != nil {
					token = tt.edit(token)
				}
				u, err := issuer.Verify(t.Context(), token)
				require.Equal(t, tt.want, reachback.CodeOf(err), "%v", err)
				if err == nil {
					require.Equal(t, &reachback.User{Issuer: issuerURL, Subject: "alice", Name: "alice", Groups: []string{"staff"}}, u)
				}
			})
		})
	}
}
