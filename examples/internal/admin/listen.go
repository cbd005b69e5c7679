package admin

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/reachback/reachback/examples/internal/program"
)

// tlsFiles are the files of mutual TLS, all of them or none.
type tlsFiles struct{ cert, key, clientCA string }

func (f tlsFiles) wanted() bool { return f != tlsFiles{} }

// check refuses to serve the API where anybody might reach it.
func (f tlsFiles) check(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		return program.UsageError(fmt.Sprintf("flag -admin: %q is not host:port", addr))
	case !f.wanted() && !isLoopback(host):
		return notLoopback(addr)
	case f.wanted() && (f.cert == "" || f.key == "" || f.clientCA == ""):
		return program.UsageError("flags -admin-cert, -admin-key and -admin-client-ca come together")
	}
	return nil
}

func notLoopback(addr string) error {
	return program.UsageError(fmt.Sprintf("flag -admin: %q is no loopback address, which needs -admin-cert, -admin-key and -admin-client-ca", addr))
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}

func (f tlsFiles) load() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("flags -admin-cert and -admin-key: %w", err)
	}
	pem, err := os.ReadFile(f.clientCA)
	if err != nil {
		return nil, fmt.Errorf("flag -admin-client-ca: %w", err)
	}
	// Never the system's authorities, which vouch for anybody.
	operators := x509.NewCertPool()
	if !operators.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("flag -admin-client-ca: %s holds no certificate", f.clientCA)
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{cert},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              operators,
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true, // every connection shows its certificate anew
	}, nil
}
