package feed

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// signedAt is when the tests sign and verify.
var signedAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// derivedKey is an RSA key that is the same in every run, so that what it signs is
// too. Its primes are the first after the SHA-512 of the label, stretched.
func derivedKey(label string, bits int) *rsa.PrivateKey {
	e, one := big.NewInt(65537), big.NewInt(1)
	prime := func(which byte) *big.Int {
		var b []byte
		for block := uint32(0); len(b) < bits/16; block++ {
			h := sha512.Sum512(binary.BigEndian.AppendUint32([]byte{which}, block))
			h = sha512.Sum512(append(h[:], label...))
			b = append(b, h[:]...)
		}
		b = b[:bits/16]
		b[0] |= 0xc0 // so that the product has all its bits
		b[len(b)-1] |= 1
		for p := new(big.Int).SetBytes(b); ; p.Add(p, big.NewInt(2)) {
			if p.ProbablyPrime(1) && new(big.Int).GCD(nil, nil, new(big.Int).Sub(p, one), e).Cmp(one) == 0 {
				return p
			}
		}
	}
	p, q := prime('p'), prime('q')
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	k := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537},
		D:         new(big.Int).ModInverse(e, phi), Primes: []*big.Int{p, q},
	}
	k.Precompute()
	return k
}

var publisherKey = sync.OnceValue(func() *rsa.PrivateKey { return derivedKey("publisher", 2048) })

// An authority is a root and one below it that issues publishers' certificates.
type authority struct {
	root, below *x509.Certificate
	key         ed25519.PrivateKey // of both
}

func newAuthority(t testing.TB, change func(below *x509.Certificate)) *authority {
	t.Helper()
	seed := sha256.Sum256([]byte("authority"))
	a := &authority{key: ed25519.NewKeyFromSeed(seed[:])}
	template := func(name string, serial int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, SubjectKeyId: []byte(name),
			NotBefore: signedAt.AddDate(-1, 0, 0), NotAfter: signedAt.AddDate(9, 0, 0),
			BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
		}
	}
	root, below := template("Example root", 1), template("Example authority", 2)
	if change != nil {
		change(below)
	}
	a.root = issue(t, root, root, a.key.Public(), a.key)
	a.below = issue(t, below, a.root, a.key.Public(), a.key)
	return a
}

func issue(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(nil, template, parent, public, key)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return c
}

// publisher returns key with a certificate of the authority below the root, and
// that one's. Without a change it is one that is good for signing .rdp files.
func (a *authority) publisher(t testing.TB, key crypto.Signer, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0x1f00), Subject: pkix.Name{CommonName: "Example publisher", Organization: []string{"Büro & Söhne"}},
		SubjectKeyId: []byte("publisher"), NotBefore: signedAt.AddDate(0, -1, 0), NotAfter: signedAt.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	if change != nil {
		change(template)
	}
	leaf := issue(t, template, a.below, key.Public(), a.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, a.below.Raw}, PrivateKey: key}
}

func (a *authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

func (a *authority) options() VerifyOptions {
	return VerifyOptions{Roots: a.roots(), CurrentTime: signedAt}
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func newTestSigner(t testing.TB) (*authority, *Signer) {
	t.Helper()
	a := newAuthority(t, nil)
	s, err := NewSigner(a.publisher(t, publisherKey(), nil), signedAt)
	require.NoError(t, err)
	return a, s
}

// unsignedFile has settings of every kind, in an order of its own: those that are
// signed, a value that is not ASCII, an empty one, and those that cannot be signed.
const unsignedFile = "audiomode:i:0\r\n" +
	"desktopwidth:i:1024\r\n" +
	"full address:s:gw.example.test\r\n" +
	"server port:i:443\r\n" +
	"loadbalanceinfo:s:route-7d1f0c\r\n" +
	"gatewayhostname:s:gw.example.test:443\r\n" +
	"redirectclipboard:i:0\r\n" +
	"remoteapplicationname:s:Büro 😀\r\n" +
	"remoteapplicationcmdline:s:\r\n" +
	"redirectwebauthn:i:0\r\n" +
	"drivestoredirect:s:\r\n" +
	"usbdevicestoredirect:s:\r\n" +
	"workspace id:s:feed.example.test\r\n"

func parsed(t testing.TB, text string) *RDPFile {
	t.Helper()
	f, err := ParseRDP([]byte(text))
	require.NoError(t, err)
	return f
}

// signedFile is unsignedFile with a signature.
func signedFile(t testing.TB, s *Signer) *RDPFile {
	t.Helper()
	f := parsed(t, unsignedFile)
	require.NoError(t, f.Sign(s, signedAt))
	return f
}
