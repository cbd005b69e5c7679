package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/reachback/reachback/internal/identity"
	"github.com/reachback/reachback/internal/token"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	serverLife    = 365 * 24 * time.Hour

	// IdentityLife is how long the identity certificate of a host or gateway
	// is good. It is renewed when two thirds of that are over.
	IdentityLife = 30 * 24 * time.Hour
)

// An authority is a CA on P-256 that issues leaf certificates for one use only.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool // cert alone; not changed
}

func (a *authority) set(cert *x509.Certificate, key *ecdsa.PrivateKey) {
	a.cert, a.key, a.pool = cert, key, x509.NewCertPool()
	a.pool.AddCert(cert)
}

func newAuthority(name string, use x509.ExtKeyUsage, now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl, err := template(name, now, authorityLife)
	if err != nil {
		return nil, err
	}
	tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.MaxPathLenZero = true, true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{use}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &authority{}
	a.set(cert, key)
	return a, nil
}

// template starts a certificate that is good from one leeway ago.
func template(name string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-token.Leeway),
		NotAfter:     now.Add(life),
	}, nil
}

// identityCertificate certifies the key of a host or gateway, in DER. Of its
// request nothing but the key has any part in it.
func (a *authority) identityCertificate(role Role, id string, key *ecdsa.PublicKey, now time.Time) ([]byte, error) {
	tmpl, err := template(id, now, IdentityLife)
	if err != nil {
		return nil, err
	}
	uri := identity.HostURI(id)
	if role == RoleGateway {
		uri = identity.GatewayURI(id)
	}
	tmpl.URIs = append(tmpl.URIs, uri)
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return x509.CreateCertificate(rand.Reader, tmpl, a.cert, key, a.key)
}

func (a *authority) serverCertificate(names []string, now time.Time) (tls.Certificate, error) {
	if len(names) == 0 {
		return tls.Certificate{}, errors.New("broker: a server certificate needs a name")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	tmpl, err := template(names[0], now, serverLife)
	if err != nil {
		return tls.Certificate{}, err
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("broker: server certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

type authorityJSON struct {
	Certificate []byte `json:"certificate"`
	PKCS8       []byte `json:"pkcs8"`
}

func (a *authority) MarshalJSON() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(authorityJSON{a.cert.Raw, der})
}

func (a *authority) UnmarshalJSON(b []byte) error {
	var j authorityJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(j.Certificate)
	if err != nil {
		return err
	}
	key, err := x509.ParsePKCS8PrivateKey(j.PKCS8)
	if err != nil {
		return err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || !ec.PublicKey.Equal(cert.PublicKey) || !cert.IsCA {
		return errors.New("a CA's key and certificate do not belong together")
	}
	a.set(cert, ec)
	return nil
}

// thumbprint is the SHA-256 of a key's SubjectPublicKeyInfo.
func thumbprint(key *ecdsa.PublicKey) ([32]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(der), nil
}

// parseCSR checks a certificate signing request and returns its key. The
// signature proves that the sender holds the private part.
func parseCSR(der []byte) (*ecdsa.PublicKey, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errNotP256
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, err
	}
	return key, nil
}

var errNotP256 = errors.New("the key is not on P-256")

// certificateKey is the thumbprint of a certificate's key.
func certificateKey(c *x509.Certificate) (Thumbprint, error) {
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return Thumbprint{}, errNotP256
	}
	return thumbprint(key)
}
