package broker

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/durable"
	"github.com/reachback/reachback/internal/identity"
)

// maxIdentity bounds an identity file.
const maxIdentity = 64 << 10

// An Identity is the key of a host or gateway with its certificates, kept in one
// file: PEM, the private key (PKCS #8) and, once enrolled, the identity
// certificate. It may be used concurrently.
type Identity struct {
	path    string            // empty: in memory only
	key     *ecdsa.PrivateKey // immutable
	session *tls.Certificate  // immutable

	mu   sync.Mutex
	who  identity.Subject
	cert *tls.Certificate // replaced, never changed
}

// OpenIdentity reads the identity at path, and makes a key there if there is
// none. The file is for its owner only, and for one process at a time; who may
// run twice holds a lock beside it.
func OpenIdentity(path string) (*Identity, error) {
	data, err := readBounded(path, maxIdentity)
	if errors.Is(err, fs.ErrNotExist) {
		i, err := NewIdentity()
		if err != nil {
			return nil, err
		}
		i.path = path
		return i, i.write(nil)
	}
	if err != nil {
		return nil, fmt.Errorf("broker: identity: %w", err)
	}
	i, err := parseIdentity(data)
	if err != nil {
		return nil, fmt.Errorf("broker: identity %s: %w", path, err)
	}
	i.path = path
	return i, nil
}

// NewIdentity makes a key that is kept in memory only.
func NewIdentity() (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return newIdentity(key)
}

func newIdentity(key *ecdsa.PrivateKey) (*Identity, error) {
	session, err := selfSigned(key, time.Now())
	if err != nil {
		return nil, err
	}
	return &Identity{key: key, session: session}, nil
}

// selfSigned makes the certificate of the inner TLS. Who accepts it looks at its
// key alone, and not at its end either.
func selfSigned(key *ecdsa.PrivateKey, now time.Time) (*tls.Certificate, error) {
	tmpl, err := template("reachback session", now, authorityLife)
	if err != nil {
		return nil, err
	}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

func parseIdentity(data []byte) (*Identity, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("it does not begin with a private key; is it another file?")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the private key is damaged: %w", err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the private key is not on P-256")
	}
	i, err := newIdentity(key)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(rest)) == 0 {
		return i, nil
	}
	block, rest = pem.Decode(rest)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("what follows the private key is not one certificate")
	}
	if err := i.use(block.Bytes); err != nil {
		return nil, err
	}
	return i, nil
}

// check parses a certificate and makes sure that it is for this key, and for a
// host or gateway.
func (i *Identity) check(der []byte) (identity.Subject, *tls.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return identity.Subject{}, nil, fmt.Errorf("the certificate is damaged: %w", err)
	}
	if !i.key.PublicKey.Equal(cert.PublicKey) {
		return identity.Subject{}, nil, errors.New("the certificate is for another key")
	}
	who, err := identity.Of(cert)
	if err != nil {
		return identity.Subject{}, nil, fmt.Errorf("the certificate is neither a host's nor a gateway's: %w", err)
	}
	return who, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: i.key, Leaf: cert}, nil
}

func (i *Identity) use(der []byte) error {
	who, cert, err := i.check(der)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.who, i.cert = who, cert
	return nil
}

// store keeps a new certificate of that role, in the file first.
func (i *Identity) store(der []byte, role Role) error {
	who, _, err := i.check(der)
	if err == nil && roleOf(who) != role {
		err = fmt.Errorf("the certificate is a %s's: %w", roleOf(who), reachback.Refuse(reachback.CodeWrongRole))
	}
	if err != nil {
		return fmt.Errorf("broker: identity: %w", err)
	}
	if err := i.write(der); err != nil {
		return err
	}
	return i.use(der)
}

func roleOf(who identity.Subject) Role {
	if who.Gateway {
		return RoleGateway
	}
	return RoleHost
}

func (i *Identity) write(cert []byte) error {
	if i.path == "" {
		return nil
	}
	if err := durable.WriteFile(i.path, i.pem(cert)); err != nil {
		return fmt.Errorf("broker: identity: %w", err)
	}
	return nil
}

// pem is the content of the identity's file with that certificate, nil for none.
func (i *Identity) pem(cert []byte) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		panic(err) // a P-256 key can be marshalled
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if cert != nil {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...)
	}
	return data
}

// Host returns the id of the host, "" before enrolment and of a gateway.
func (i *Identity) Host() string { return i.id(RoleHost) }

// Gateway returns the id of the gateway, "" before enrolment and of a host.
func (i *Identity) Gateway() string { return i.id(RoleGateway) }

func (i *Identity) id(role Role) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if roleOf(i.who) != role {
		return ""
	}
	return i.who.ID
}

// Certificate is the identity certificate as of now, nil before enrolment. It is
// not to be changed.
func (i *Identity) Certificate() *tls.Certificate {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.cert
}

// SessionCertificate is the self-signed certificate of the inner TLS, for the
// same key. It is not to be changed.
func (i *Identity) SessionCertificate() *tls.Certificate { return i.session }

// csr is a request for a certificate for the key.
func (i *Identity) csr() ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, i.key)
}

// readBounded reads a file that is at most that long.
func readBounded(path string, most int64) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if fi.Size() > most {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, most)
	}
	return os.ReadFile(path)
}
