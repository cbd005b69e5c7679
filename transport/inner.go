package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/session"
)

const (
	// sessionALPN is the protocol inside the inner TLS; SPEC.md, section 6.
	sessionALPN = "reachback-session/1"

	// setupTimeout is for inner TLS and HELLO together.
	setupTimeout = 10 * time.Second
)

var errSetup = fmt.Errorf("inner TLS: %w: no end within %v", reachback.Refuse(reachback.CodePathLost), setupTimeout)

// An innerPath is the inner TLS on a leg.
type innerPath struct {
	*tls.Conn
	leg session.Path
}

// CloseWrite implements [session.Path].
func (p *innerPath) CloseWrite() error {
	if err := p.Conn.CloseWrite(); err != nil {
		return err
	}
	return p.leg.CloseWrite()
}

// Abort implements [session.Path].
func (p *innerPath) Abort() error { return p.leg.Abort() }

// newKey makes a P-256 key with a self-signed certificate. Nobody reads the
// certificate but for its key.
func newKey() (tls.Certificate, [32]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, [32]byte{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, [32]byte{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, [32]byte{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, thumbprint(leaf), nil
}

// certificateKey is the thumbprint of a certificate's key.
func certificateKey(c *tls.Certificate) ([32]byte, error) {
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return [32]byte{}, err
	}
	return thumbprint(leaf), nil
}

// thumbprint is what pins a key.
func thumbprint(c *x509.Certificate) [32]byte { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// pinned reports whether the peer holds the key with that thumbprint. TLS has
// proved that it holds the key of its certificate.
func pinned(state *tls.ConnectionState, key [32]byte) bool {
	if len(state.PeerCertificates) == 0 || state.NegotiatedProtocol != sessionALPN {
		return false
	}
	got := thumbprint(state.PeerCertificates[0])
	return subtle.ConstantTimeCompare(got[:], key[:]) == 1
}

// innerConfig is what both ends share. Tickets would let a session be resumed
// without a new proof of the keys. Small records at the start gain nothing inside
// another TLS.
func innerConfig(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates:                []tls.Certificate{cert},
		MinVersion:                  tls.VersionTLS13,
		NextProtos:                  []string{sessionALPN},
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
	}
}

// openClient makes the client's end of a framed session on a leg, which it closes
// on an error. Whoever answers must hold hostKey.
func openClient(ctx context.Context, leg session.Path, cert tls.Certificate, hostKey [32]byte, cfg session.Config) (*session.Session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, setupTimeout, errSetup)
	defer cancel()
	tc := innerConfig(cert)
	tc.InsecureSkipVerify = true // of names and authorities; the key is what counts
	tc.VerifyConnection = func(state tls.ConnectionState) error {
		if !pinned(&state, hostKey) {
			return reachback.Refuse(reachback.CodeHostKeyMismatch)
		}
		return nil
	}
	p := &innerPath{tls.Client(leg, tc), leg}
	if err := handshake(ctx, p); err != nil {
		return nil, err
	}
	return session.Open(ctx, p, cfg)
}

// openHost makes the host's end. Whoever calls must hold clientKey.
func openHost(ctx context.Context, leg session.Path, cert tls.Certificate, clientKey [32]byte, cfg session.Config) (*session.Session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, setupTimeout, errSetup)
	defer cancel()
	p := &innerPath{tls.Server(leg, hostConfig(cert)), leg}
	if err := handshake(ctx, p); err != nil {
		return nil, err
	}
	return greet(ctx, p, clientKey, cfg)
}

func hostConfig(cert tls.Certificate) *tls.Config {
	tc := innerConfig(cert)
	tc.ClientAuth = tls.RequireAnyClientCert
	return tc
}

// greet opens the session, or refuses by the first frame: TLS has let the client
// finish the handshake before the host knows who it is. A host that is closing says
// so in the same way.
func greet(ctx context.Context, p *innerPath, clientKey [32]byte, cfg session.Config) (*session.Session, error) {
	state := p.ConnectionState()
	var refused error
	switch {
	case !pinned(&state, clientKey):
		refused = reachback.Refuse(reachback.CodeClientKeyMismatch)
	case ctx.Err() != nil:
		refused = context.Cause(ctx)
	default:
		return session.Open(ctx, p, cfg)
	}
	session.Refuse(p, reachback.AsError(refused).Code)
	return nil, refused
}

// handshake completes the inner TLS or gives the leg up.
func handshake(ctx context.Context, p *innerPath) error {
	err := p.HandshakeContext(ctx)
	if err == nil {
		return nil
	}
	p.Abort()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	code := reachback.CodeProtocolError
	_, coded := errors.AsType[*reachback.Error](err)
	_, network := errors.AsType[net.Error](err)
	_, alert := errors.AsType[tls.AlertError](err)
	switch {
	case coded:
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), network && !alert:
		code = reachback.CodePathLost
	}
	return fmt.Errorf("inner TLS: %w: %w", reachback.Refuse(code), err)
}
