package feed

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrUnsigned is in the tree of the error for a file that has no signature.
var ErrUnsigned = errors.New("feed: the .rdp file is not signed")

// An UncoveredError is of a file whose signature is right and leaves out settings
// that it could cover: anybody may have added or changed these.
type UncoveredError struct{ Settings []string }

// Error names the settings.
func (e *UncoveredError) Error() string {
	return fmt.Sprintf("feed: the signature of the .rdp file does not cover what anybody may have put there: %q", e.Settings)
}

// VerifyOptions say whose signatures are accepted. The zero value is for files
// whose publisher the system trusts.
type VerifyOptions struct {
	// Roots are the authorities to trust. Nil: the system's.
	Roots *x509.CertPool
	// CurrentTime is when the certificates must be in force. Zero: now.
	CurrentTime time.Time
	// Publishers, unless empty, are the only publishers to accept among those
	// that Roots vouch for: the thumbprints of their certificates, SHA-1 or
	// SHA-256, in hexadecimal as Windows shows them.
	Publishers []string
	// AllowUncovered accepts a file with settings that its signature could
	// cover and does not, for want of a signer that knows of them. The caller
	// is to look at Signature.Uncovered.
	AllowUncovered bool
}

// A Signature is what the signature of a file says that was verified.
type Signature struct {
	// Publisher is the signer's name, by his certificate.
	Publisher string
	// Chain are the certificates, from the publisher's to a root's.
	Chain []*x509.Certificate
	// NotAfter is when the first of them expires, and the signature with it.
	NotAfter time.Time
	// Covered are the settings that are as the publisher signed them.
	Covered []string
	// Uncovered are the settings that signatures can cover and this one does
	// not; none unless VerifyOptions.AllowUncovered is set.
	Uncovered []string
	// Unsignable are the settings that give the host something of the user's
	// machine and that no signature can cover, where they are not off.
	Unsignable []string
}

// Verify checks the signature of the file: that it is of these settings, that
// its publisher has a certificate which is trusted, in force and for this, and
// that nothing which a signature can cover stands beside it. The encoding of the
// file does not matter, nor do settings that cannot be signed; the
// spelling of the others does.
func (f *RDPFile) Verify(o VerifyOptions) (*Signature, error) {
	scope, hasScope := f.Get(nameScope)
	signature, signed := f.Get(nameSignature)
	if !signed && !hasScope {
		return nil, ErrUnsigned
	}
	if scope.Type != 's' || signature.Type != 's' {
		return nil, errors.New("feed: the .rdp file has a signature without a signscope, or the other way round")
	}
	settings, err := f.inScope(scope)
	if err != nil {
		return nil, err
	}
	out := new(Signature)
	for _, s := range settings {
		out.Covered = append(out.Covered, strings.ToLower(s.Name))
	}
	// Which of the two a client goes to is its own affair.
	for _, name := range []string{nameAddress, nameAlternate} {
		if !slices.Contains(out.Covered, name) {
			return nil, fmt.Errorf("feed: the signature of the .rdp file does not cover the %s, so that it can lead anywhere", name)
		}
	}
	der, err := unwrapSignature(signature.Value)
	if err != nil {
		return nil, err
	}
	c, err := parseCMS(der)
	if err != nil {
		return nil, err
	}
	publisher, err := c.verify(signedMessage(settings, scope))
	if err != nil {
		return nil, err
	}
	if out.Chain, err = o.trust(publisher, c.certificates); err != nil {
		return nil, err
	}
	out.Publisher, out.NotAfter = nameOf(publisher), firstExpiry(out.Chain)
	out.Uncovered, out.Unsignable = f.exposed(out.Covered)
	if len(out.Uncovered) > 0 && !o.AllowUncovered {
		return nil, &UncoveredError{out.Uncovered}
	}
	return out, nil
}

// exposed returns the settings of f that matter and that its signature leaves
// open, by its fault or by nature.
func (f *RDPFile) exposed(covered []string) (uncovered, open []string) {
	for _, name := range signable {
		name = strings.ToLower(name)
		if f.index(name) >= 0 && !slices.Contains(covered, name) {
			uncovered = append(uncovered, name)
		}
	}
	for _, name := range unsignable {
		s, _ := f.Get(name)
		if s.Value != "" && s.Value != "0" && !slices.Contains(covered, name) {
			open = append(open, name)
		}
	}
	return uncovered, open
}

// trust returns the chain from the publisher's certificate to a root; of several
// the one that is in force longest.
func (o *VerifyOptions) trust(publisher *x509.Certificate, others []*x509.Certificate) ([]*x509.Certificate, error) {
	if err := checkUsage(publisher); err != nil {
		return nil, err
	}
	between := x509.NewCertPool()
	for _, c := range others {
		between.AddCert(c)
	}
	// The use is looked at below: crypto/x509 does not know all of them.
	chains, err := publisher.Verify(x509.VerifyOptions{
		Roots: o.Roots, Intermediates: between, CurrentTime: o.CurrentTime, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, fmt.Errorf("feed: the .rdp file's publisher %q (certificate of %q) is not trusted: %w", nameOf(publisher), publisher.Issuer.String(), err)
	}
	chains = slices.DeleteFunc(chains, func(chain []*x509.Certificate) bool { return !usable(chain) })
	if len(chains) == 0 {
		return nil, fmt.Errorf("feed: the .rdp file's publisher %q has a certificate whose authorities may not issue such", nameOf(publisher))
	}
	if err := o.accepts(publisher); err != nil {
		return nil, err
	}
	return slices.MaxFunc(chains, func(a, b []*x509.Certificate) int { return firstExpiry(a).Compare(firstExpiry(b)) }), nil
}

// usable reports whether there is a use that a publisher's certificate is for and
// that each certificate above it permits.
func usable(chain []*x509.Certificate) bool {
	return slices.ContainsFunc(usages, func(u usage) bool {
		return u.names(chain[0]) && !slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return !u.permits(c) })
	})
}

// accepts refuses a publisher that is not among those that were named.
func (o *VerifyOptions) accepts(publisher *x509.Certificate) error {
	short, long := sha1.Sum(publisher.Raw), sha256.Sum256(publisher.Raw)
	for _, p := range o.Publishers {
		sum, err := parseThumbprint(p)
		if err != nil {
			return err
		}
		if sum == string(short[:]) || sum == string(long[:]) {
			return nil
		}
	}
	if len(o.Publishers) == 0 {
		return nil
	}
	return fmt.Errorf("feed: the .rdp file's publisher %q, with the thumbprint %X, is none of those that are accepted", nameOf(publisher), short)
}

// Thumbprint is the SHA-1 of a certificate in the form of Windows' policy for
// trusted publishers.
func Thumbprint(c *x509.Certificate) string { return fmt.Sprintf("%X", sha1.Sum(c.Raw)) }

// CheckThumbprint refuses what cannot stand in [VerifyOptions].Publishers.
func CheckThumbprint(s string) error {
	_, err := parseThumbprint(s)
	return err
}

// parseThumbprint reads a thumbprint with or without blanks and colons. The
// mark that Windows' dialog copies along before the first digit is dropped.
func parseThumbprint(s string) (string, error) {
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", ":", "", "\u200e", "").Replace(s))
	if err != nil || len(b) != sha1.Size && len(b) != sha256.Size {
		return "", fmt.Errorf("feed: %q is not the thumbprint of a certificate, SHA-1 or SHA-256 in hexadecimal", s)
	}
	return string(b), nil
}
