package devidp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

const issuerURL = "https://127.0.0.1:8443/dev-idp"

var alice = broker.SeedUser{Name: "alice", Groups: []string{"staff"}}

func TestTokenFiles(t *testing.T) {
	dir := t.TempDir()
	issuer, err := Open(dir, issuerURL)
	require.NoError(t, err)
	again, err := Open(dir, issuerURL)
	require.NoError(t, err)
	elsewhere, err := Open(dir, "https://localhost:8443/dev-idp")
	require.NoError(t, err)
	stranger, err := Open(t.TempDir(), issuerURL)
	require.NoError(t, err)

	for _, tt := range []struct {
		name   string
		issuer *Issuer
		later  time.Duration // than the token was written
		want   reachback.Code
	}{
		{"good", issuer, 0, ""},
		{"of an earlier run", again, 0, ""},
		{"at the end of its life and the leeway", issuer, fileLife + time.Minute, ""},
		{"a second later", issuer, fileLife + time.Minute + time.Second, reachback.CodeTokenExpired},
		{"of another issuer with the same key", elsewhere, 0, reachback.CodeTokenInvalid},
		{"of another key", stranger, 0, reachback.CodeTokenInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path, err := tt.issuer.WriteToken(t.TempDir(), "alice", []string{"staff"})
				require.NoError(t, err)
				require.Equal(t, "alice.token", filepath.Base(path))
				token, err := os.ReadFile(path)
				require.NoError(t, err)
				time.Sleep(tt.later)
				u, err := issuer.Verifier().Verify(t.Context(), strings.TrimSpace(string(token)))
				require.Equal(t, tt.want, reachback.CodeOf(err), "%v", err)
				if err == nil {
					require.Equal(t, &reachback.User{Issuer: issuerURL, Subject: "alice", Name: "alice", Groups: []string{"staff"}}, u)
				}
			})
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tt := range []struct{ name, url, key, want string }{
		{"a public name", "https://desktops.example.test/dev-idp", "", "loopback"},
		{"a public address", "https://192.0.2.1:8443/dev-idp", "", "loopback"},
		{"any address", "https://0.0.0.0:8443/dev-idp", "", "loopback"},
		{"a name that begins like one", "https://127.0.0.1.example.test/dev-idp", "", "loopback"},
		{"no TLS", "http://127.0.0.1:8443/dev-idp", "", "loopback"},
		{"the whole origin", "https://127.0.0.1:8443", "", "loopback"},
		{"a file that is no key", issuerURL, "nonsense", "holds no key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.key != "" {
				require.NoError(t, os.WriteFile(filepath.Join(dir, keyFile), []byte(tt.key), 0o600))
			}
			_, err := Open(dir, tt.url)
			require.ErrorContains(t, err, tt.want)
		})
	}
}
