package feed

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	encoding "encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// usages are what the certificate of an .rdp file's publisher may be for, each
// of which Windows takes: a server's, a signer's of code, or one for just this.
var usages = []usage{
	{known: x509.ExtKeyUsageServerAuth},
	{known: x509.ExtKeyUsageCodeSigning},
	{other: encoding.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 54, 1, 1}},
}

// A usage is an extended key usage, by its number where crypto/x509 has no name
// for it.
type usage struct {
	known x509.ExtKeyUsage
	other encoding.ObjectIdentifier // nil: known
}

// names reports whether a certificate is for this in so many words.
func (u usage) names(c *x509.Certificate) bool {
	if u.other == nil {
		return slices.Contains(c.ExtKeyUsage, u.known)
	}
	return slices.ContainsFunc(c.UnknownExtKeyUsage, u.other.Equal)
}

// permits reports whether an authority may issue certificates for this.
func (u usage) permits(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) || u.names(c)
}

// A Signer signs .rdp files with a publisher's key and certificate. It may be
// used concurrently where its key may.
type Signer struct {
	key   crypto.Signer
	chain []*x509.Certificate // the publisher's, then authorities, without a root
}

// NewSigner returns a signer that goes by c, as [tls.LoadX509KeyPair] returns it:
// the publisher's certificate, those of the authorities between it and a root,
// and the key, which may be any crypto.Signer. It must be an RSA key of 2048 bits
// or more, which signs a file in the form that every reader knows. The
// certificate must be for signing, for servers or for code or for .rdp files,
// and be in force now.
func NewSigner(c tls.Certificate, now time.Time) (*Signer, error) {
	s := new(Signer)
	for i, der := range c.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("feed: signing certificate: %w", err)
		}
		if i > 0 {
			issued := s.chain[i-1]
			if !bytes.Equal(issued.RawIssuer, cert.RawSubject) || issued.CheckSignatureFrom(cert) != nil {
				return nil, fmt.Errorf("feed: the chain of the signing certificate is not in its order: %q did not issue %q", nameOf(cert), nameOf(issued))
			}
		}
		s.chain = append(s.chain, cert)
	}
	if len(s.chain) == 0 || len(s.chain) > maxCertificates {
		return nil, fmt.Errorf("feed: signing certificate: %d certificates, and 1 to %d are needed", len(s.chain), maxCertificates)
	}
	// Readers have the roots that they trust.
	if last := len(s.chain) - 1; last > 0 && bytes.Equal(s.chain[last].RawSubject, s.chain[last].RawIssuer) {
		s.chain = s.chain[:last]
	}
	var ok bool
	if s.key, ok = c.PrivateKey.(crypto.Signer); !ok {
		return nil, errors.New("feed: signing certificate: the key cannot sign")
	}
	key, err := rsaKey(s.chain[0])
	if err != nil {
		return nil, err
	}
	if !key.Equal(s.key.Public()) {
		return nil, fmt.Errorf("feed: the key is not that of the signing certificate, %q", nameOf(s.chain[0]))
	}
	if err := checkUsage(s.chain[0]); err != nil {
		return nil, err
	}
	if s.chain[0].KeyUsage == 0 { // readers differ in what this means
		return nil, fmt.Errorf("feed: the signing certificate, %q, does not say that its key is for digital signatures", nameOf(s.chain[0]))
	}
	if err := s.check(now); err != nil {
		return nil, err
	}
	return s, nil
}

// Publisher is the name that users see, by the certificate.
func (s *Signer) Publisher() string { return nameOf(s.chain[0]) }

// Certificate returns the publisher's certificate.
func (s *Signer) Certificate() *x509.Certificate { return s.chain[0] }

// NotAfter is when the first of the certificates expires. Nothing that was signed
// verifies after that, since signatures hold no time: files are to be signed
// again before it, with another certificate.
func (s *Signer) NotAfter() time.Time { return firstExpiry(s.chain) }

// check refuses to sign what nobody would accept.
func (s *Signer) check(now time.Time) error {
	for _, c := range s.chain {
		switch {
		case now.Before(c.NotBefore):
			return fmt.Errorf("feed: the signing certificate's %q is not valid before %s", nameOf(c), dateTime(c.NotBefore))
		case now.After(c.NotAfter):
			return fmt.Errorf("feed: the signing certificate's %q expired at %s", nameOf(c), dateTime(c.NotAfter))
		}
	}
	return nil
}

// Sign signs the file as rdpsign.exe does, in place of a signature that it may
// have. It writes the names of the settings that are covered in lower case, since
// signers differ in what they sign of others, and adds the alternate address
// where there is none, which anybody could add else. Every setting that can be
// signed is: change the file first. The same file has the same signature. It
// fails without effect, also when the signer's certificate has expired by now.
func (f *RDPFile) Sign(s *Signer, now time.Time) error {
	if err := s.check(now); err != nil {
		return err
	}
	signed := f.unsigned()
	address, _ := signed.Get(nameAddress)
	if address.Value == "" {
		return errors.New("feed: the .rdp file has no full address, and is not to be signed without")
	}
	for _, name := range signable {
		if i := signed.index(name); i >= 0 {
			signed.settings[i].Name = strings.ToLower(name)
		}
	}
	alternate := Setting{nameAlternate, 's', address.Value}
	if i := signed.index(nameAlternate); i < 0 {
		signed.settings = slices.Insert(signed.settings, signed.index(nameAddress)+1, alternate)
	} else if signed.settings[i].Value == "" {
		signed.settings[i] = alternate
	}
	settings, scope := signed.scope()
	value, err := s.sign(signedMessage(settings, scope))
	if err != nil {
		return err
	}
	signed.settings = append(signed.settings, scope, Setting{nameSignature, 's', value})
	if len(signed.settings) > MaxRDPSettings || len(signed.EncodeUTF16()) > MaxRDPFile {
		return errRDPSize
	}
	*f = *signed
	return nil
}

// sign returns the value of the signature setting for a message.
func (s *Signer) sign(message []byte) (string, error) {
	digest := sha256.Sum256(message)
	signature, err := s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("feed: sign the .rdp file: %w", err)
	}
	// A key that is kept elsewhere may do something else than it was asked for.
	key, err := rsaKey(s.chain[0])
	if err == nil {
		err = rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature)
	}
	if err != nil {
		return "", fmt.Errorf("feed: the signature that the key made of the .rdp file: %w", err)
	}
	der, err := appendCMS(nil, s.chain, signature)
	if err != nil {
		return "", fmt.Errorf("feed: sign the .rdp file: %w", err)
	}
	if len(der) > maxCMS {
		return "", fmt.Errorf("feed: the signature of the .rdp file would have %d bytes with its certificates; at most %d are read", len(der), maxCMS)
	}
	return wrapSignature(der), nil
}

// Signed reports whether the file has a signature, right or wrong.
func (f *RDPFile) Signed() bool { return f.index(nameSignature) >= 0 }

// unsigned is a copy without the signature.
func (f *RDPFile) unsigned() *RDPFile {
	return &RDPFile{settings: slices.DeleteFunc(f.Settings(), func(s Setting) bool {
		return strings.EqualFold(s.Name, nameScope) || strings.EqualFold(s.Name, nameSignature)
	})}
}

// checkUsage refuses a publisher's certificate that is for something else.
func checkUsage(c *x509.Certificate) error {
	if !slices.ContainsFunc(usages, func(u usage) bool { return u.names(c) }) {
		return fmt.Errorf("feed: the certificate of %q is not one for servers, for signing code or for signing .rdp files", nameOf(c))
	}
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return fmt.Errorf("feed: the key of %q is not for signing, by its certificate", nameOf(c))
	}
	return nil
}

func firstExpiry(chain []*x509.Certificate) time.Time {
	return slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
}

// nameOf is what people know the holder of a certificate by.
func nameOf(c *x509.Certificate) string { return cmp.Or(c.Subject.CommonName, c.Subject.String()) }
