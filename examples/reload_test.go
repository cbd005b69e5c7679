//go:build unix

package examples_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// writeCertificate makes a self-signed certificate with that serial number for
// loopback, as an operator would put a new one in the place of the old.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	writeFile(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
}

// serial returns the serial number of the certificate that the server shows now.
func (in *installation) serial() int64 {
	in.t.Helper()
	c, err := tls.Dial("tcp", in.addr, &tls.Config{InsecureSkipVerify: true}) // whoever it is
	require.NoError(in.t, err)
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestHangup_ReadsCertificateAndSeedAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key, seed := dir+"/cert.pem", dir+"/key.pem", dir+"/seed.json"
	writeCertificate(t, cert, key, 1)
	writeFile(t, seed, twoUsers)
	in := install(t, "-tls-cert", cert, "-tls-key", key, "-seed", seed)
	in.ca = writeFile(t, dir+"/ca.pem", readFile(t, cert))
	in.host("host", echoServer(t))
	_, addr := in.client("alice", "desktop")
	live := dial(t, addr)
	require.NoError(t, exchange(live, "hello"))
	alice := readFile(t, in.path("srv", "alice.token"))
	hangup := func(says string) {
		before := strings.Count(in.server.log(), says)
		in.server.signal(syscall.SIGHUP)
		eventually(t, "the log says: "+says, func() bool { return strings.Count(in.server.log(), says) > before })
	}

	writeCertificate(t, cert, key, 2)
	in.ca = writeFile(t, dir+"/ca.pem", readFile(t, cert))
	writeFile(t, seed, strings.Replace(twoUsers, `"resources": [`,
		`"resources": [{"id": "second", "pool": "desktops", "assign": ["user:alice"]}, `, 1))
	hangup("seed reloaded")
	require.EqualValues(t, 2, in.serial())
	ids, complaint := in.list(alice)
	require.ElementsMatch(t, []string{"desktop", "second"}, ids, complaint)

	// What is broken stays as it was, part by part.
	writeFile(t, cert, "nonsense")
	writeFile(t, seed, "{\n\"pools\": [],\n\"polls\": []}")
	hangup("line 3")
	require.Contains(t, in.server.log(), "-tls-cert")
	require.EqualValues(t, 2, in.serial())
	ids, complaint = in.list(alice)
	require.ElementsMatch(t, []string{"desktop", "second"}, ids, complaint)

	require.NoError(t, exchange(live, "still here"))
}
