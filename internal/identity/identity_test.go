package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

var now = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func p256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return k
}

// issue signs a certificate for key, as an end entity's unless edit says otherwise.
func (a *authority) issue(t testing.TB, key crypto.Signer, edit func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: rand.Text()},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	edit(c)
	parent, signer := c, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	require.NoError(t, err)
	c, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return c
}

func asCA(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.ExtKeyUsage = true, true, nil
}

func TestVerify(t *testing.T) {
	rootKey, foreignKey, interKey := p256(t), p256(t), p256(t)
	root := &authority{(*authority)(nil).issue(t, rootKey, asCA), rootKey}
	foreign := &authority{(*authority)(nil).issue(t, foreignKey, asCA), foreignKey}
	inter := &authority{root.issue(t, interKey, asCA), interKey}
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)

	key := p256(t)
	uris := func(s ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			for _, s := range s {
				u, err := url.Parse(s)
				require.NoError(t, err)
				c.URIs = append(c.URIs, u)
			}
		}
	}
	host := uris("urn:reachback:host:h-1")
	and := func(f ...func(*x509.Certificate)) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			for _, f := range f {
				f(c)
			}
		}
	}
	lives := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(from), now.Add(to) }
	}
	leaf := func(f func(*x509.Certificate)) []*x509.Certificate {
		return []*x509.Certificate{root.issue(t, key, f)}
	}
	good := leaf(host)
	const invalid = reachback.CodeCertificateInvalid
	for _, tt := range []struct {
		name  string
		chain []*x509.Certificate
		want  reachback.Code // "" for a host
	}{
		{"host", good, ""},
		{"with the root behind it", append(good, root.cert), ""},
		{"with an intermediate", []*x509.Certificate{inter.issue(t, key, host), inter.cert}, ""},
		{"without its intermediate", []*x509.Certificate{inter.issue(t, key, host)}, invalid},
		{"none", nil, reachback.CodeCertificateMissing},
		{"of another authority", []*x509.Certificate{foreign.issue(t, key, host)}, invalid},
		{"of another authority that it brings", []*x509.Certificate{foreign.issue(t, key, host), foreign.cert}, invalid},
		{"gateway", leaf(uris("urn:reachback:gateway:g-1")), reachback.CodeWrongRole},
		{"two roles", leaf(uris("urn:reachback:host:h-1", "urn:reachback:gateway:g-1")), invalid},
		{"two hosts", leaf(uris("urn:reachback:host:h-1", "urn:reachback:host:h-2")), invalid},
		{"no role", leaf(func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = "h-1", []string{"h-1"} }), invalid},
		{"empty id", leaf(uris("urn:reachback:host:")), invalid},
		{"id too long", leaf(uris("urn:reachback:host:" + strings.Repeat("h", MaxID+1))), invalid},
		{"id with other characters", leaf(uris("urn:reachback:host:h/../1")), invalid},
		{"escaped id", leaf(uris("urn:reachback:host:h%2d1")), invalid},
		{"id with a query", leaf(uris("urn:reachback:host:h-1?x")), invalid},
		{"id with a fragment", leaf(uris("urn:reachback:host:h-1#x")), invalid},
		{"another scheme", leaf(uris("https:reachback:host:h-1")), invalid},
		{"for servers", leaf(and(host, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })), invalid},
		{"expired", leaf(and(host, lives(-time.Hour, -time.Second))), reachback.CodeCertificateExpired},
		{"expired and foreign", []*x509.Certificate{foreign.issue(t, key, and(host, lives(-time.Hour, -time.Second)))}, invalid},
		{"expired and a gateway's", leaf(and(uris("urn:reachback:gateway:g-1"), lives(-time.Hour, -time.Second))), reachback.CodeWrongRole},
		{"not valid yet", leaf(and(host, lives(time.Second, time.Hour))), invalid},
		{"Ed25519", []*x509.Certificate{root.issue(t, edKey, host)}, invalid},
		{"P-384", []*x509.Certificate{root.issue(t, p384, host)}, invalid},
		{"five certificates", append(good, root.cert, root.cert, root.cert, root.cert), invalid},
		{"over 16 KiB", leaf(and(host, func(c *x509.Certificate) { c.DNSNames = []string{strings.Repeat("x", MaxChain)} })), invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := Verify(&tls.ConnectionState{PeerCertificates: tt.chain}, pool, now)
			if tt.want != "" {
				require.Equal(t, tt.want, reachback.CodeOf(err))
				require.Empty(t, id)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "h-1", id)
		})
	}
	t.Run("resumed", func(t *testing.T) {
		_, err := Verify(&tls.ConnectionState{PeerCertificates: good, DidResume: true}, pool, now)
		require.Equal(t, invalid, reachback.CodeOf(err))
	})
	t.Run("no connection", func(t *testing.T) {
		_, err := Verify(nil, pool, now)
		require.Equal(t, reachback.CodeCertificateMissing, reachback.CodeOf(err))
	})
}

func TestURIsRoundTrip(t *testing.T) {
	id, err := HostID(&x509.Certificate{URIs: []*url.URL{HostURI("a_B-9")}})
	require.NoError(t, err)
	require.Equal(t, "a_B-9", id)
	require.Equal(t, "urn:reachback:host:a_B-9", HostURI("a_B-9").String())
	require.Equal(t, "urn:reachback:gateway:a_B-9", GatewayURI("a_B-9").String())
}

func TestCheckSize(t *testing.T) {
	require.NoError(t, CheckSize(nil, nil))
	require.NoError(t, CheckSize([][]byte{make([]byte, MaxChain-1), {0}}, nil))
	require.Error(t, CheckSize([][]byte{make([]byte, MaxChain), {0}}, nil))
	require.Error(t, CheckSize(make([][]byte, MaxCertificates+1), nil))
}

func TestVerifyAnyTellsHostsFromGateways(t *testing.T) {
	key := p256(t)
	root := &authority{(*authority)(nil).issue(t, key, asCA), key}
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	for _, tt := range []struct {
		name string
		uri  *url.URL
		old  bool
		want Subject
		code reachback.Code
	}{
		{"host", HostURI("1"), false, Subject{ID: "1"}, ""},
		{"gateway", GatewayURI("1"), false, Subject{ID: "1", Gateway: true}, ""},
		{"gateway, expired", GatewayURI("1"), true, Subject{ID: "1", Gateway: true}, reachback.CodeCertificateExpired},
		{"neither", &url.URL{Scheme: "urn", Opaque: "reachback:broker:1"}, false, Subject{}, reachback.CodeCertificateInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cert := root.issue(t, p256(t), func(c *x509.Certificate) {
				c.URIs = []*url.URL{tt.uri}
				if tt.old {
					c.NotAfter = now.Add(-time.Second)
				}
			})
			got, err := VerifyAny(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}, pool, now)
			require.Equal(t, tt.code, reachback.CodeOf(err))
			require.Equal(t, tt.want, got)
		})
	}
}

func FuzzOf(f *testing.F) {
	f.Add(HostURI("h-1").String())
	f.Add(GatewayURI("g-1").String())
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil {
			return
		}
		who, err := Of(&x509.Certificate{URIs: []*url.URL{u}})
		if err != nil {
			return
		}
		want := HostURI(who.ID)
		if who.Gateway {
			want = GatewayURI(who.ID)
		}
		if !strings.EqualFold(s, want.String()) {
			t.Fatalf("%q is not the URI of %+v", s, who)
		}
	})
}
