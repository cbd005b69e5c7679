package serve

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/reachback/reachback/feed"
)

// expiresSoon is how long before a signing certificate ends the operator is told,
// every day: when it has, users get no files.
const expiresSoon = 21 * 24 * time.Hour

// A SigningConfig says who signs the .rdp files. Without files nobody does.
type SigningConfig struct {
	CertFile, KeyFile string
}

// signing is the signer of the .rdp files, as of the last time its files were read.
type signing struct {
	config  SigningConfig
	current atomic.Pointer[feed.Signer]
}

// openSigning reads the signer. One that could not sign is no signer.
func (c SigningConfig) openSigning() (*signing, error) {
	g := &signing{config: c}
	return g, g.reload()
}

// reload puts a new signer in the place of the current one, which stays where that
// fails.
func (g *signing) reload() error {
	cert, err := tls.LoadX509KeyPair(g.config.CertFile, g.config.KeyFile)
	if err != nil {
		return fmt.Errorf("flags -sign-cert and -sign-key: %w", err)
	}
	s, err := feed.NewSigner(cert, time.Now())
	if err != nil {
		return fmt.Errorf("flags -sign-cert and -sign-key: %w", err)
	}
	g.current.Store(s)
	return nil
}

// warn tells the operator when the certificate ends soon.
func (g *signing) warn(s *Server) {
	if end := g.current.Load().NotAfter(); time.Until(end) < expiresSoon {
		s.logger.Warn("the certificate of -sign-cert ends soon, and with it the .rdp files; renew it and send SIGHUP", "not_after", end)
	}
}
