//go:build unix

package examples_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
)

// writePublisher makes a self-signed certificate that may sign .rdp files.
func writePublisher(t *testing.T, certFile, keyFile, name string, end time.Time) *x509.CertPool {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	writeFile(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return roots
}

// What the server signs verifies, with the certificate that is in force now; one that
// has ended, or whose key is another, is none to start with.
func TestSignedFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := dir+"/sign.pem", dir+"/sign.key"
	roots := writePublisher(t, cert, key, "First Publisher", time.Now().Add(24*time.Hour))
	in := install(t, "-sign-cert", cert, "-sign-key", key)
	eventually(t, "the operator is told of the end", func() bool { return strings.Contains(in.server.log(), "ends soon") })
	trust, err := program.TrustFile(in.ca)
	require.NoError(t, err)
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
	t.Cleanup(hc.CloseIdleConnections)
	publisher := func(roots *x509.CertPool) string {
		c := &feed.Client{
			URL: in.url, Dir: t.TempDir(), HTTP: hc, Signatures: feed.SignaturesRequired, Trust: feed.VerifyOptions{Roots: roots},
			Token: func(context.Context) (string, error) {
				return strings.TrimSpace(readFile(t, in.path("srv", "alice.token"))), nil
			},
		}
		files, err := c.Refresh(t.Context())
		require.NoError(t, err)
		require.Len(t, files, 1)
		return files[0].Publisher
	}
	require.Equal(t, "First Publisher", publisher(roots))

	roots = writePublisher(t, cert, key, "Second Publisher", time.Now().Add(300*24*time.Hour))
	in.server.signal(syscall.SIGHUP)
	eventually(t, "the certificate is read again", func() bool { return strings.Contains(in.server.log(), "certificate of the .rdp files reloaded") })
	require.Equal(t, "Second Publisher", publisher(roots))

	refused := func(name, says string) {
		t.Helper()
		p := startServerWith(t, nil, "-sign-cert", cert, "-sign-key", key)
		require.Equal(t, 1, p.exit(patience), name)
		require.Len(t, lines(p.log()), 1)
		require.Contains(t, p.log(), "-sign-cert", name)
		require.Contains(t, p.log(), says, name)
	}
	writePublisher(t, dir+"/other.pem", key, "Another", time.Now().Add(24*time.Hour))
	refused("a certificate with the key of another", "match")
	writePublisher(t, cert, key, "Late", time.Now().Add(-time.Hour))
	refused("one that has ended", "expired")
}
