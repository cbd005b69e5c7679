// Package identity reads and checks the certificates by which hosts and gateways
// are known. The role and id stand in a URI of the certificate, exactly one, and
// nowhere else: names in it mean nothing.
package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"strings"
	"time"

	"github.com/reachback/reachback"
)

const (
	// MaxCertificates and MaxChain bound what a peer may show, in number and
	// in bytes of DER, before any signature of it is checked.
	MaxCertificates = 4
	MaxChain        = 16 << 10

	// MaxID is the longest id of a host or gateway.
	MaxID = 64

	hostPrefix    = "reachback:host:"
	gatewayPrefix = "reachback:gateway:"
)

// HostURI is the URI in the certificate of the host with that id.
func HostURI(id string) *url.URL { return &url.URL{Scheme: "urn", Opaque: hostPrefix + id} }

// GatewayURI is the same for a gateway.
func GatewayURI(id string) *url.URL { return &url.URL{Scheme: "urn", Opaque: gatewayPrefix + id} }

// A Subject is who a certificate is for.
type Subject struct {
	ID      string
	Gateway bool // a gateway, else a host
}

// Of returns who cert is for. A certificate that is for neither a host nor a
// gateway, or for more than one, is invalid.
func Of(cert *x509.Certificate) (Subject, error) {
	if len(cert.URIs) == 1 {
		uri := *cert.URIs[0]
		if id, ok := strings.CutPrefix(uri.Opaque, hostPrefix); ok && ValidID(id) && uri == *HostURI(id) {
			return Subject{ID: id}, nil
		}
		if id, ok := strings.CutPrefix(uri.Opaque, gatewayPrefix); ok && ValidID(id) && uri == *GatewayURI(id) {
			return Subject{ID: id, Gateway: true}, nil
		}
	}
	return Subject{}, reachback.Refuse(reachback.CodeCertificateInvalid)
}

// HostID returns the id of the host that cert is for. The certificate of a
// gateway is of the wrong role, any other is invalid.
func HostID(cert *x509.Certificate) (string, error) {
	who, err := Of(cert)
	return hostOnly(who, err)
}

func hostOnly(who Subject, err error) (string, error) {
	if who.Gateway { // whether or not it has expired
		err = reachback.Refuse(reachback.CodeWrongRole)
	}
	if err != nil {
		return "", err
	}
	return who.ID, nil
}

// ValidID reports whether id may name a host or gateway: 1 to [MaxID] letters,
// digits, "-" and "_", which every log, file name and bus subject can carry.
func ValidID(id string) bool {
	if id == "" || len(id) > MaxID {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// Verify checks the client certificate of a connection as [VerifyAny] does and
// returns the host's id. A gateway's is of the wrong role.
func Verify(state *tls.ConnectionState, pool *x509.CertPool, now time.Time) (string, error) {
	return hostOnly(VerifyAny(state, pool, now))
}

// VerifyAny checks the client certificate of a connection against the host CA,
// which issues those of gateways too, at now, and returns who it is for. Every
// error is a [*reachback.Error]; with certificate_expired the subject is told as
// well. Whether it has been revoked is for the caller to ask.
func VerifyAny(state *tls.ConnectionState, pool *x509.CertPool, now time.Time) (Subject, error) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return Subject{}, reachback.Refuse(reachback.CodeCertificateMissing)
	}
	invalid := reachback.Refuse(reachback.CodeCertificateInvalid)
	chain := state.PeerCertificates
	// A resumed connection would show a certificate that was proved long ago.
	if pool == nil || state.DidResume || !Bounded(chain) {
		return Subject{}, invalid
	}
	leaf := chain[0]
	opts := x509.VerifyOptions{
		Roots:         pool,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	// Only a certificate of ours is told that it has expired, so the chain of
	// an old one is checked as of its last second.
	expired := now.After(leaf.NotAfter)
	if expired {
		opts.CurrentTime = leaf.NotAfter
	}
	if _, err := leaf.Verify(opts); err != nil {
		return Subject{}, invalid
	}
	who, err := Of(leaf)
	if err == nil && expired {
		err = reachback.Refuse(reachback.CodeCertificateExpired)
	}
	return who, err
}

// Bounded reports whether a chain is short and all of its keys are on P-256, so
// that checking it costs four cheap signatures at most. Another kind of key may
// stand in the pool of roots, never in what a peer sends.
func Bounded(chain []*x509.Certificate) bool {
	if len(chain) > MaxCertificates {
		return false
	}
	size := 0
	for _, c := range chain {
		size += len(c.Raw)
		k, ok := c.PublicKey.(*ecdsa.PublicKey)
		if !ok || k.Curve != elliptic.P256() {
			return false
		}
	}
	return size <= MaxChain
}

// CheckSize refuses a chain in DER that is over the bounds. It fits
// [tls.Config.VerifyPeerCertificate] and runs before any signature is checked.
func CheckSize(raw [][]byte, _ [][]*x509.Certificate) error {
	size := 0
	for _, c := range raw {
		size += len(c)
	}
	if len(raw) > MaxCertificates || size > MaxChain {
		return reachback.Refuse(reachback.CodeCertificateInvalid)
	}
	return nil
}
