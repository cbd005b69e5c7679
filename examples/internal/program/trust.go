package program

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TrustFile returns a client's TLS configuration that trusts the certificate
// authorities in the PEM file, or the system's where path is empty.
func TrustFile(path string) (*tls.Config, error) {
	if path == "" {
		return &tls.Config{}, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return &tls.Config{RootCAs: pool}, nil
}
