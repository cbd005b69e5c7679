package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
)

// oldKeyPrefix is what an old key signs before the request for the new one, so
// that nothing else it ever signs, a TLS handshake or a certificate, can be taken
// for its consent.
const oldKeyPrefix = "reachback old key 1\x00"

// A keyProof shows that whoever asks for a certificate holds another key as well,
// one that was enrolled before (SPEC.md, section 7).
type keyProof struct {
	Key       []byte `json:"key"`       // SubjectPublicKeyInfo, DER
	Signature []byte `json:"signature"` // ECDSA with SHA-256, DER
}

// prove signs the request for another key's certificate with the Identity's key.
func (i *Identity) prove(csr []byte) (*keyProof, error) {
	spki, err := x509.MarshalPKIXPublicKey(i.key.Public())
	if err != nil {
		return nil, err
	}
	sum := oldKeyHash(csr)
	sig, err := ecdsa.SignASN1(rand.Reader, i.key, sum[:])
	if err != nil {
		return nil, err
	}
	return &keyProof{spki, sig}, nil
}

// check returns the thumbprint of the old key if it signed this request.
func (p *keyProof) check(csr []byte) (Thumbprint, error) {
	parsed, err := x509.ParsePKIXPublicKey(p.Key)
	if err != nil {
		return Thumbprint{}, err
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return Thumbprint{}, errNotP256
	}
	if sum := oldKeyHash(csr); !ecdsa.VerifyASN1(key, sum[:], p.Signature) {
		return Thumbprint{}, errors.New("the old key has not signed this request")
	}
	// Not of the bytes that came: a key could be written in more than one way.
	return thumbprint(key)
}

func oldKeyHash(csr []byte) [32]byte {
	return sha256.Sum256(append([]byte(oldKeyPrefix), csr...))
}
