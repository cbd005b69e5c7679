package program

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
)

// TrustFile returns a client's TLS configuration that trusts the certificate
// authorities in the PEM file, or the system's where path is empty.
func TrustFile(path string) (*tls.Config, error) {
	if path == "" {
		return &tls.Config{}, nil
	}
	return trust(x509.NewCertPool(), path)
}

// TrustAlso is [TrustFile] for peers that may have certificates of the system's
// authorities too.
func TrustAlso(path string) (*tls.Config, error) {
	if path == "" {
		return &tls.Config{}, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	return trust(pool, path)
}

func trust(pool *x509.CertPool, path string) (*tls.Config, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// Origin returns the flag's value as base URL of an https origin.
func Origin(flag, value string) (*url.URL, error) {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/") {
		return nil, UsageError(fmt.Sprintf("flag %s: %q is not https://HOST[:PORT]", flag, value))
	}
	u.Path = ""
	return u, nil
}
