// Package devidp is an OpenID Connect issuer for demonstrations: whoever reaches
// it may sign in as any of the users that the operator names, without a password.
// Therefore it serves loopback only: it has no URL elsewhere, answers no request
// that comes from elsewhere, and none for another host name, as a page of a
// stranger could bring about by pointing a name of his at this machine.
//
// It has discovery, keys, the authorization code with PKCE, refresh tokens that
// are good once, device codes, and userinfo. What it remembers is in memory,
// bounded in number and time; only its key is kept.
package devidp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-jose/go-jose/v4"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/oidc"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
	"github.com/reachback/reachback/internal/limit"
)

const (
	// ClientID is the one client: public, so it proves itself by PKCE or by
	// holding its device code.
	ClientID = "reachback"

	audience = "reachback:feed"
	keyFile  = "dev-idp-key.pem"
	keyID    = "dev"
)

// An Issuer is the issuer at one URL, with one key that is kept in its folder.
type Issuer struct {
	url      *url.URL
	key      *ecdsa.PrivateKey
	verifier *oidc.Verifier
	guesses  limit.Failures // of user codes, by address

	mu      sync.Mutex // guards the rest
	users   []broker.SeedUser
	logins  table[*login]  // by id: authorization requests whose user is being asked
	codes   table[*code]   // by authorization code
	devices table[*device] // by device code
	grants  table[*grant]  // by id: what refresh tokens are of
}

// Open reads the issuer's key in dir, or makes it. The URL must be of a loopback
// address or of localhost, and have a path.
func Open(dir, issuer string) (*Issuer, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || !loopbackHost(u.Hostname()) || len(u.Path) < 2 || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the demonstration issuer is for a loopback address, and %q is not one", issuer)
	}
	key, err := openKey(dir)
	if err != nil {
		return nil, err
	}
	i := &Issuer{
		url: u, key: key,
		logins: newTable[*login](loginLife), codes: newTable[*code](codeLife),
		devices: newTable[*device](deviceLife), grants: newTable[*grant](refreshLife),
	}
	i.verifier = &oidc.Verifier{Issuer: issuer, Audience: audience, Keys: i.jwks()}
	return i, nil
}

// SetUsers names the users who can sign in.
func (i *Issuer) SetUsers(users []broker.SeedUser) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.users = users
}

// user returns the user of that name. The caller has i.mu.
func (i *Issuer) user(name string) (broker.SeedUser, bool) {
	for _, u := range i.users {
		if u.Name == name {
			return u, true
		}
	}
	return broker.SeedUser{}, false
}

// Verifier verifies the issuer's tokens with its own key, and asks nobody.
func (i *Issuer) Verifier() broker.Verifier { return i.verifier }

// SignIn is what a feed tells its clients of the issuer.
func (i *Issuer) SignIn() *feed.SignIn {
	return &feed.SignIn{Issuer: i.url.String(), ClientID: ClientID, Scopes: []string{"openid", "profile", "groups", "offline_access"}}
}

func (i *Issuer) jwks() *jose.JSONWebKeySet {
	return &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: keyID, Key: i.key.Public(), Algorithm: string(jose.ES256), Use: "sig"}}}
}

func openKey(dir string) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(dir, keyFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createKey(dir)
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
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%s holds a key of another kind", path)
	}
	return key, nil
}

func createKey(dir string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	_, err = program.WriteFile(dir, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return key, err
}

func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// local reports whether a request's peer is on this machine.
func local(remote string) bool {
	a, err := netip.ParseAddrPort(remote)
	return err == nil && a.Addr().Unmap().IsLoopback()
}
