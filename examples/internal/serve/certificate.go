package serve

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/reachback/reachback/examples/internal/program"
)

// certificate is what the TLS port shows: that of the files, or one of an
// authority of our own.
type certificate struct {
	load    func() (tls.Certificate, error) // reads or issues one
	own     bool                            // load issues
	current atomic.Pointer[tls.Certificate]
}

func newCertificate(load func() (tls.Certificate, error), own bool) (*certificate, error) {
	c := &certificate{load: load, own: own}
	return c, c.reload()
}

// fromFiles is a certificate's load from -tls-cert and -tls-key.
func (c *CertificateConfig) fromFiles() (tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return cert, fmt.Errorf("flags -tls-cert and -tls-key: %w", err)
	}
	return cert, nil
}

// reload puts a new certificate in the place of the current one, which stays where
// that fails.
func (c *certificate) reload() error {
	cert, err := c.load()
	if err != nil {
		return err
	}
	if cert.Leaf == nil { // only with GODEBUG=x509keypairleaf=0
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return err
		}
	}
	c.current.Store(&cert)
	return nil
}

// get is tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// aged reports whether two thirds of the certificate's life are over.
func (c *certificate) aged(now time.Time) bool {
	leaf := c.current.Load().Leaf
	return now.After(leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 3 * 2))
}

// openCertificate makes what the port shows.
func (s *Server) openCertificate() (err error) {
	p := s.plan
	switch {
	case p.Certificate.CertFile != "":
		s.cert, err = newCertificate(p.Certificate.fromFiles, false)
	case s.store == nil:
		var own *ownAuthority
		if own, err = openOwnAuthority(p.Dir, p.instance.Hostname(), p.public.Hostname()); err == nil {
			s.CAFile = own.file
			s.cert, err = newCertificate(own.issue, true)
		}
	default:
		names := []string{p.public.Hostname(), p.instance.Hostname(), "localhost", "127.0.0.1", "::1"}
		if s.CAFile, err = program.WriteFile(p.Dir, caFile, s.store.keys.ServerCA()); err == nil {
			s.cert, err = newCertificate(func() (tls.Certificate, error) { return s.store.keys.ServerCertificate(names...) }, true)
		}
	}
	return err
}
