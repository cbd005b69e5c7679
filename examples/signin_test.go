//go:build unix

package examples_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
)

// An issuer of users' tokens that is not ours.
type issuer struct {
	t    *testing.T
	addr string
	url  string
	key  *ecdsa.PrivateKey

	rubbish atomic.Pointer[string] // what it answers instead
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	addr := freeAddr(t)
	return &issuer{t: t, addr: addr, url: "http://" + addr, key: key}
}

// serve answers until the end of the test.
func (i *issuer) serve() {
	i.t.Helper()
	l, err := net.Listen("tcp", i.addr)
	require.NoError(i.t, err)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer any
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			answer = map[string]any{
				"issuer": i.url, "jwks_uri": i.url + "/keys", "authorization_endpoint": i.url + "/authorize", "token_endpoint": i.url + "/token",
				"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
				"id_token_signing_alg_values_supported": []string{"ES256"},
			}
		case "/keys":
			answer = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}}
		}
		w.Header().Set("Content-Type", "application/json")
		if rubbish := i.rubbish.Load(); rubbish != nil {
			io.WriteString(w, *rubbish)
			return
		}
		json.NewEncoder(w).Encode(answer)
	}))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	i.t.Cleanup(s.Close)
}

// token signs a user in.
func (i *issuer) token(user, audience string, groups ...string) string {
	i.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "1"}}, nil)
	require.NoError(i.t, err)
	now := time.Now()
	t, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: i.url, Subject: user, Audience: jwt.Audience{audience}, IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Hour)),
	}).Claims(map[string]any{"groups": groups}).Serialize()
	require.NoError(i.t, err)
	return t
}

const oneDesktop = `{
 "workspace": "Example Inc",
 "pools": [{"name": "desktops"}],
 "resources": [{"id": "desktop", "title": "Desktop", "pool": "desktops", "assign": ["group:staff"]}]
}`

// installSignIn starts a server whose users sign in at the issuer.
func installSignIn(t *testing.T, i *issuer) *installation {
	t.Helper()
	in := &installation{t: t, dir: t.TempDir(), addr: freeAddr(t)}
	in.url, in.ca = "https://"+in.addr, in.path("srv", "ca.pem")
	in.server = start(t, "server", "-dir", in.path("srv"), "-listen", in.addr, "-public-url", in.url, "-v",
		"-oidc-issuer", i.url, "-oidc-audience", "remote desktops", "-seed", writeFile(t, in.path("seed.json"), oneDesktop))
	in.server.await("ready", patience)
	return in
}

// list lists the workspace of the token's user, and returns its resources or the
// last line of the client's complaint.
func (in *installation) list(token string) (ids []string, complaint string) {
	in.t.Helper()
	dir := in.t.TempDir()
	c := start(in.t, "client", "-server", in.url, "-token", writeFile(in.t, filepath.Join(dir, "token"), token), "-dir", filepath.Join(dir, "files"),
		"-ca", in.ca, "-list")
	if c.exit(patience) != 0 {
		l := lines(c.log())
		return nil, l[len(l)-1]
	}
	for _, e := range c.events {
		ids = append(ids, e.str("id"))
	}
	return ids, ""
}

// Each flag of the sign-in has its effect: tokens are those of that issuer for that
// audience, and what the user may see is by the groups that they name.
func TestA11_SignInByTheFlagsOfAnIssuer(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	i.serve()
	other.serve()
	in := installSignIn(t, i)

	ids, complaint := in.list(i.token("alice", "remote desktops", "staff"))
	require.Equal(t, []string{"desktop"}, ids, complaint)
	ids, complaint = in.list(i.token("bob", "remote desktops", "guests"))
	require.Empty(t, ids, complaint)
	require.Empty(t, complaint)
	_, complaint = in.list(i.token("alice", "payroll", "staff"))
	require.Contains(t, complaint, "wrong_audience")
	_, complaint = in.list(other.token("alice", "remote desktops", "staff"))
	require.Contains(t, complaint, "token_invalid")
}

// Without its issuer a server starts and serves its hosts, says so, and lets users
// in as soon as the issuer is there.
func TestIssuerIsDownOrAnswersRubbish(t *testing.T) {
	for _, tt := range []struct{ name, rubbish string }{
		{"down", ""},
		{"answers a page", "<html>Welcome to nginx!</html>"},
		{"answers JSON of another kind", `{"issuer": 7, "keys": "none"}`},
		{"says it is another", `{"issuer": "https://other.example.test"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			if tt.rubbish != "" {
				i.rubbish.Store(&tt.rubbish)
				i.serve()
			}
			in := installSignIn(t, i)
			in.host("host", echoServer(t))
			eventually(t, "the log says so", func() bool { return strings.Contains(in.server.log(), "nobody can sign in") })
			token := i.token("alice", "remote desktops", "staff")
			_, complaint := in.list(token)
			require.Contains(t, complaint, "unavailable")
			if i.rubbish.Swap(nil) == nil {
				i.serve()
			}
			eventually(t, "the user can sign in", func() bool {
				ids, _ := in.list(token)
				return len(ids) == 1
			})
		})
	}
}
