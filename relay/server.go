package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/identity"
)

const (
	// headSlack is what net/http reads beyond MaxHeaderBytes.
	headSlack = 4 << 10
	// bodyTimeout bounds head and body of a request together. It does not run
	// while a call waits: net/http clears it when the request has been read.
	bodyTimeout = 2 * carrier.HeadTimeout
	// idleTimeout bounds the wait for another request on one connection.
	idleTimeout = 60 * time.Second
)

// ConfigureServer makes s ready for a Relay and a Broker: the ALPN offer of our
// peers, the request for their certificates, absolute deadlines for handshake
// and head, bounds. s.TLSConfig must hold the server's certificate, and s.Handler
// be set: net/http's default one shows what any package has registered there.
// Timeouts that are set and shorter stay. Call it before the server is used; the
// configuration that s.TLSConfig pointed at is not changed.
//
// Whoever wraps the GetConfigForClient that s.TLSConfig has then should not turn on
// session tickets in what it returns, and must not set WrapSession: the relay takes
// the keys of such connections over from crypto/tls, except where it sees a ticket,
// which is a record that it could not count.
//
// The server is to be started with ServeTLS(l, "", "") or ListenAndServeTLS("", "").
func ConfigureServer(s *http.Server) error {
	if s.Handler == nil {
		return errors.New("relay: configure server: Handler is not set")
	}
	t := s.TLSConfig
	if t == nil || len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil {
		return errors.New("relay: configure server: TLSConfig holds no certificate")
	}
	t = t.Clone()
	t.MinVersion = max(t.MinVersion, tls.VersionTLS12)
	t.DynamicRecordSizingDisabled = true // a leg carries much, and every small record of it costs
	forOthers := t.GetConfigForClient
	ours := forPeer(t)
	// A session ticket would go out in the handshake's last flight, which the handover
	// does not count, under keys that the relay takes over.
	bare := t.Clone()
	bare.SessionTicketsDisabled = true
	t.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		offered := slices.Contains(hello.SupportedProtos, carrier.ALPN)
		if forOthers == nil {
			switch {
			case offered:
				return offerHandover(hello, ours), nil
			case len(hello.SupportedProtos) == 0: // as stock RDP clients are, and no browser
				return offerHandover(hello, bare), nil
			}
			return nil, nil // t itself
		}
		c, err := forOthers(hello)
		if err != nil || !offered {
			return c, err
		}
		if c == nil {
			return offerHandover(hello, ours), nil
		}
		return offerHandover(hello, forPeer(c)), nil
	}
	s.TLSConfig = t
	s.ReadHeaderTimeout = shorter(s.ReadHeaderTimeout, carrier.HeadTimeout) // net/http uses it for the handshake too
	s.ReadTimeout = shorter(s.ReadTimeout, bodyTimeout)
	s.IdleTimeout = shorter(s.IdleTimeout, idleTimeout)
	s.MaxHeaderBytes = carrier.MaxHead - headSlack
	return nil
}

func shorter(set, bound time.Duration) time.Duration {
	if set > 0 {
		return min(set, bound)
	}
	return bound
}

// forPeer is base for who offers our ALPN: asked for a certificate, which the
// handlers check, given no session ticket, because a resumed session would show a
// certificate that may have been revoked since, and kept to HTTP/1.1.
func forPeer(base *tls.Config) *tls.Config {
	c := base.Clone()
	c.GetConfigForClient = nil
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	c.NextProtos = []string{"http/1.1"}
	c.ClientAuth = tls.RequestClientCert
	c.ClientCAs = nil // the authorities' names are no one's business
	c.SessionTicketsDisabled = true
	also := c.VerifyPeerCertificate
	c.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
		if err := identity.CheckSize(raw, chains); err != nil || also == nil {
			return err
		}
		return also(raw, chains)
	}
	return c
}
