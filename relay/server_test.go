package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/simnet"
)

// handshake runs one against s's TLS configuration, as it would serve.
func handshake(t *testing.T, s *http.Server, client *tls.Config) (server, peer tls.ConnectionState, asked bool) {
	t.Helper()
	a, b := simnet.Pipe("client:1", "server:1")
	client.InsecureSkipVerify = true
	client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return new(tls.Certificate), nil
	}
	cfg := s.TLSConfig
	cfg.NextProtos = []string{"h2", "http/1.1"} // net/http's own doing
	ts, tc := tls.Server(b, cfg), tls.Client(a, client)
	done := make(chan error, 1)
	go func() { done <- ts.Handshake() }()
	require.NoError(t, tc.Handshake())
	require.NoError(t, <-done)
	ts.Write([]byte("x")) // and behind a ticket, if there is one
	tc.Read(make([]byte, 1))
	return ts.ConnectionState(), tc.ConnectionState(), asked
}

func TestConfigureServer(t *testing.T) {
	ca := newAuthority(t)
	name := func(n string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames = []string{n} }
	}
	cert, other := ca.issue(t, name("gw.example")), ca.issue(t, name("other.example"))
	mine := &tls.Config{Certificates: []tls.Certificate{*cert}}
	s := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: mine}
	require.NoError(t, ConfigureServer(s))
	require.Nil(t, mine.GetConfigForClient, "the caller's configuration may be shared")
	require.Equal(t, carrier.HandshakeTimeout, s.ReadHeaderTimeout)
	require.Zero(t, s.WriteTimeout, "a call waits longer than any")

	ours := func() *tls.Config { return &tls.Config{NextProtos: []string{carrier.ALPN, "http/1.1"}} }
	server, _, asked := handshake(t, s, ours())
	require.True(t, asked)
	require.Equal(t, "http/1.1", server.NegotiatedProtocol)

	server, _, asked = handshake(t, s, &tls.Config{NextProtos: []string{"h2", "http/1.1"}})
	require.False(t, asked, "a browser never shows its user a choice of certificates")
	require.Equal(t, "h2", server.NegotiatedProtocol)

	_, _, asked = handshake(t, s, &tls.Config{})
	require.False(t, asked, "a stock RDP client")

	t.Run("no tickets for peers", func(t *testing.T) {
		for _, offer := range []struct {
			config  *tls.Config
			resumes bool
		}{{ours(), false}, {&tls.Config{}, false}, {&tls.Config{NextProtos: []string{"http/1.1"}}, true}} {
			offer.config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			handshake(t, s, offer.config)
			_, peer, _ := handshake(t, s, offer.config)
			require.Equal(t, offer.resumes, peer.DidResume)
		}
	})
	t.Run("the caller's callback decides", func(t *testing.T) {
		s := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second, TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{*cert},
			GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				switch hello.ServerName {
				case "other.example":
					return &tls.Config{Certificates: []tls.Certificate{*other}}, nil
				case "bad.example":
					return nil, errors.New("no such name")
				}
				return nil, nil
			},
		}}
		require.NoError(t, ConfigureServer(s))
		require.Equal(t, time.Second, s.ReadHeaderTimeout)
		for n, want := range map[string]string{"gw.example": "gw.example", "other.example": "other.example"} {
			cfg := ours()
			cfg.ServerName = n
			_, peer, asked := handshake(t, s, cfg)
			require.True(t, asked)
			require.Equal(t, []string{want}, peer.PeerCertificates[0].DNSNames)
		}
		_, err := s.TLSConfig.GetConfigForClient(&tls.ClientHelloInfo{ServerName: "bad.example", SupportedProtos: []string{carrier.ALPN}})
		require.Error(t, err)
	})
	t.Run("no certificate", func(t *testing.T) {
		require.Error(t, ConfigureServer(&http.Server{Handler: http.NotFoundHandler()}))
		require.Error(t, ConfigureServer(&http.Server{Handler: http.NotFoundHandler(), TLSConfig: &tls.Config{}}))
	})
}
