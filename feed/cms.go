package feed

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha256" // the digests of signatures, for crypto.Hash
	_ "crypto/sha512"
	"crypto/subtle"
	"crypto/x509"
	encoding "encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Limits of a signature that is read.
const (
	maxCMS          = 64 << 10 // bytes of DER
	maxCertificates = 16
	maxKeyBits      = 8192 // beyond them one check takes a noticeable time
	minKeyBits      = 2048
)

var (
	oidData           = encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData     = encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType    = encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest  = encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidRSAEncryption  = encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidSHA256         = encoding.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	cmsTagFirst       = asn1.Tag(0).ContextSpecific().Constructed()
	cmsTagSecond      = asn1.Tag(1).ContextSpecific().Constructed()
	cmsTagKeyID       = asn1.Tag(0).ContextSpecific()
	errCMS            = errors.New("feed: the signature of the .rdp file is malformed, or of a form that no signer of .rdp files has")
	errWeakDigest     = errors.New("feed: the signature of the .rdp file goes by a digest that is broken or unknown; SHA-256 is needed")
	errAlgorithm      = errors.New("feed: the signature of the .rdp file is not RSA PKCS #1 v1.5, which is what readers know")
	errWrongSignature = errors.New("feed: the signature of the .rdp file is not of these settings: they were changed after it was signed")
)

// A digestKind is a digest that a signature may go by, with the algorithm that
// some signers name in place of plain RSA.
type digestKind struct {
	hash         crypto.Hash
	oid, withRSA encoding.ObjectIdentifier
}

var digestKinds = []digestKind{
	{crypto.SHA256, oidSHA256, encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}},
	{crypto.SHA384, encoding.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}},
	{crypto.SHA512, encoding.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}},
}

// appendCMS appends the signature in the form that rdpsign.exe writes: CMS
// SignedData (RFC 5652) without its content and without signed attributes, so
// that it is over the SHA-256 of the message itself. The first certificate of
// chain is the signer's.
func appendCMS(to []byte, chain []*x509.Certificate, signature []byte) ([]byte, error) {
	b := cryptobyte.NewBuilder(to)
	algorithm := func(oid encoding.ObjectIdentifier) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddASN1NULL()
		}
	}
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSignedData)
		b.AddASN1(cmsTagFirst, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)
				b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { b.AddASN1(asn1.SEQUENCE, algorithm(oidSHA256)) })
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidData) })
				b.AddASN1(cmsTagFirst, func(b *cryptobyte.Builder) {
					// DER has the elements of a set in the order of their bytes.
					sorted := slices.SortedFunc(slices.Values(chain), func(a, b *x509.Certificate) int { return bytes.Compare(a.Raw, b.Raw) })
					for _, c := range sorted {
						b.AddBytes(c.Raw)
					}
				})
				b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1Int64(1)
						b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddBytes(chain[0].RawIssuer)
							b.AddASN1BigInt(chain[0].SerialNumber)
						})
						b.AddASN1(asn1.SEQUENCE, algorithm(oidSHA256))
						b.AddASN1(asn1.SEQUENCE, algorithm(oidRSAEncryption))
						b.AddASN1OctetString(signature)
					})
				})
			})
		})
	})
	return b.Bytes()
}

// A cmsSignature is the one signature of a detached CMS SignedData.
type cmsSignature struct {
	kind         *digestKind
	issuer       []byte // DER of its name
	serial       *big.Int
	attributes   []byte // what is signed in place of the message, as DER; nil without
	digest       []byte // of the message, with attributes
	value        []byte
	certificates []*x509.Certificate
}

// parseCMS reads a signature in the forms that are met: ours, and those with
// signed attributes or with the digest in the algorithm's name.
func parseCMS(der []byte) (*cmsSignature, error) {
	if len(der) > maxCMS {
		return nil, errCMS
	}
	s := cryptobyte.String(der)
	var info, content, data, digests, encapsulated, certificates, signers, signer cryptobyte.String
	var kind, inner encoding.ObjectIdentifier
	var version int64
	if !s.ReadASN1(&info, asn1.SEQUENCE) || !s.Empty() ||
		!info.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(oidSignedData) ||
		!info.ReadASN1(&content, cmsTagFirst) || !info.Empty() ||
		!content.ReadASN1(&data, asn1.SEQUENCE) || !content.Empty() ||
		!data.ReadASN1Integer(&version) || version < 1 || version > 5 ||
		!data.ReadASN1(&digests, asn1.SET) ||
		!data.ReadASN1(&encapsulated, asn1.SEQUENCE) ||
		!encapsulated.ReadASN1ObjectIdentifier(&inner) || !inner.Equal(oidData) || !encapsulated.Empty() ||
		!data.ReadASN1(&certificates, cmsTagFirst) ||
		!data.SkipOptionalASN1(cmsTagSecond) || // revocation lists
		!data.ReadASN1(&signers, asn1.SET) || !data.Empty() ||
		!signers.ReadASN1(&signer, asn1.SEQUENCE) || !signers.Empty() {
		return nil, errCMS
	}
	c := new(cmsSignature)
	if err := c.parseSigner(signer); err != nil {
		return nil, err
	}
	// Others refuse a signer whose digest was not announced.
	for announced := false; !announced; {
		oid, err := readAlgorithm(&digests)
		if err != nil {
			return nil, err
		}
		announced = oid.Equal(c.kind.oid)
	}
	return c, c.parseCertificates(certificates)
}

func (c *cmsSignature) parseSigner(s cryptobyte.String) error {
	var version int64
	var id, name, value cryptobyte.String
	c.serial = new(big.Int)
	if !s.ReadASN1Integer(&version) || version < 1 || version > 2 || s.PeekASN1Tag(cmsTagKeyID) ||
		!s.ReadASN1(&id, asn1.SEQUENCE) ||
		!id.ReadASN1Element(&name, asn1.SEQUENCE) || !id.ReadASN1Integer(c.serial) || !id.Empty() {
		return errCMS
	}
	c.issuer = name
	digest, err := readAlgorithm(&s)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(digestKinds, func(k digestKind) bool { return k.oid.Equal(digest) })
	if i < 0 {
		return errWeakDigest
	}
	c.kind = &digestKinds[i]
	if s.PeekASN1Tag(cmsTagFirst) {
		var element cryptobyte.String
		if !s.ReadASN1Element(&element, cmsTagFirst) {
			return errCMS
		}
		// They stand under another tag than is signed (RFC 5652, section 5.4).
		c.attributes = slices.Clone(element)
		c.attributes[0] = byte(asn1.SET)
		if err := c.parseAttributes(element); err != nil {
			return err
		}
	}
	algorithm, err := readAlgorithm(&s)
	if err != nil {
		return err
	}
	if !algorithm.Equal(oidRSAEncryption) && !algorithm.Equal(c.kind.withRSA) {
		return errAlgorithm
	}
	if !s.ReadASN1(&value, asn1.OCTET_STRING) || !s.SkipOptionalASN1(cmsTagSecond) || !s.Empty() {
		return errCMS
	}
	c.value = value
	return nil
}

// parseAttributes takes the digest of the message from the signed attributes.
// Others than the two that must be there say nothing about the settings.
func (c *cmsSignature) parseAttributes(element cryptobyte.String) error {
	var attributes cryptobyte.String
	if !element.ReadASN1(&attributes, cmsTagFirst) {
		return errCMS
	}
	typed := false
	for !attributes.Empty() {
		var attribute, values, digest cryptobyte.String
		var oid, kind encoding.ObjectIdentifier
		if !attributes.ReadASN1(&attribute, asn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&oid) ||
			!attribute.ReadASN1(&values, asn1.SET) || !attribute.Empty() {
			return errCMS
		}
		switch {
		case oid.Equal(oidContentType):
			if typed || !values.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(oidData) || !values.Empty() {
				return errCMS
			}
			typed = true
		case oid.Equal(oidMessageDigest):
			if c.digest != nil || !values.ReadASN1(&digest, asn1.OCTET_STRING) || digest.Empty() || !values.Empty() {
				return errCMS
			}
			c.digest = digest
		}
	}
	if !typed || c.digest == nil {
		return errCMS
	}
	return nil
}

func (c *cmsSignature) parseCertificates(s cryptobyte.String) error {
	for !s.Empty() {
		var der cryptobyte.String
		if len(c.certificates) == maxCertificates || !s.ReadASN1Element(&der, asn1.SEQUENCE) {
			return errCMS
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("feed: a certificate in the signature of the .rdp file: %w", err)
		}
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxKeyBits {
			return fmt.Errorf("feed: a certificate in the signature of the .rdp file has a key of %d bits; at most %d are read", key.N.BitLen(), maxKeyBits)
		}
		c.certificates = append(c.certificates, cert)
	}
	return nil
}

// verify checks that the signature is of the message, and returns the
// certificate of the one who made it. Whom that is to be trusted as is not
// looked at.
func (c *cmsSignature) verify(message []byte) (*x509.Certificate, error) {
	i := slices.IndexFunc(c.certificates, func(x *x509.Certificate) bool {
		return bytes.Equal(x.RawIssuer, c.issuer) && x.SerialNumber.Cmp(c.serial) == 0
	})
	if i < 0 {
		return nil, errors.New("feed: the signer's certificate is not in the signature of the .rdp file")
	}
	key, err := rsaKey(c.certificates[i])
	if err != nil {
		return nil, err
	}
	digest := sum(c.kind.hash, message)
	if c.attributes != nil {
		if subtle.ConstantTimeCompare(digest, c.digest) != 1 {
			return nil, errWrongSignature
		}
		digest = sum(c.kind.hash, c.attributes)
	}
	if rsa.VerifyPKCS1v15(key, c.kind.hash, digest, c.value) != nil {
		return nil, errWrongSignature
	}
	return c.certificates[i], nil
}

// rsaKey returns a certificate's key, if it is one that signs .rdp files.
func rsaKey(c *x509.Certificate) (*rsa.PublicKey, error) {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("feed: the certificate of %q has a key of the kind %v; .rdp files are signed with RSA", nameOf(c), c.PublicKeyAlgorithm)
	}
	if bits := key.N.BitLen(); bits < minKeyBits || bits > maxKeyBits {
		return nil, fmt.Errorf("feed: the certificate of %q has an RSA key of %d bits; %d to %d are needed", nameOf(c), bits, minKeyBits, maxKeyBits)
	}
	return key, nil
}

// readAlgorithm reads an AlgorithmIdentifier without parameters.
func readAlgorithm(s *cryptobyte.String) (encoding.ObjectIdentifier, error) {
	var algorithm, null cryptobyte.String
	var oid encoding.ObjectIdentifier
	if !s.ReadASN1(&algorithm, asn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) {
		return nil, errCMS
	}
	if algorithm.Empty() {
		return oid, nil
	}
	if !algorithm.ReadASN1(&null, asn1.NULL) || !null.Empty() || !algorithm.Empty() {
		return nil, errAlgorithm
	}
	return oid, nil
}

func sum(h crypto.Hash, data []byte) []byte {
	w := h.New()
	w.Write(data)
	return w.Sum(nil)
}
