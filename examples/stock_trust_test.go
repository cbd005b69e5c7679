//go:build unix

package examples_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"image"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A client that takes no unknown certificate looks at two: the gateway's, and through it the
// RDP server's, which can be for the id of the resource. Without either it does not go on.
func TestStockClientChecksGatewayAndHost(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	dir := filepath.Join(home, ".config", "freerdp", "shadow")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	host := writeServerCertificate(t, dir+"/shadow.crt", dir+"/shadow.key", "shadow")
	d := startShadow(t, home, "/sec:tls")
	in := installStock(t)
	in.host("host", d.addr, "-pool", "shadow")
	client := func(trusts string) *viewer {
		t.Helper()
		v := &viewer{t: t, name: "checks", display: startX(t, "1024x768x24"), shot: filepath.Join(t.TempDir(), "checks.png")}
		cmd := exec.Command("xfreerdp", in.stockFile(t, "alice", "shadow"), "/cert:deny")
		cmd.Env = append(environment(t, v.display), "SSL_CERT_FILE="+trusts)
		v.client = startCommand(t, cmd)
		return v
	}
	gateway := readFile(t, in.ca)
	for name, trusts := range map[string]string{"gateway": gateway, "host": host} {
		v := client(writeFile(t, filepath.Join(t.TempDir(), "trusts.pem"), trusts))
		require.NotZero(t, v.client.exit(patience), "with trust in the %s alone", name)
		require.Contains(t, v.client.log(), "certificate not trusted")
	}
	v := client(writeFile(t, filepath.Join(t.TempDir(), "trusts.pem"), gateway+host))
	v.awaitDesktop(d, image.Point{})
	v.leave()
}

// writeServerCertificate makes a self-signed certificate for an RDP server of that name,
// with an RSA key, and returns it.
func writeServerCertificate(t *testing.T, certFile, keyFile, name string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	require.NoError(t, err)
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	writeFile(t, certFile, cert)
	writeFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	return cert
}
