package serve

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOwnAuthority_IsForItsGatewayOnly(t *testing.T) {
	for _, names := range [][]string{
		{"gw.example.test"},
		{"127.0.0.1"},
		{"gw.example.test", "192.0.2.7", "2001:db8::7"},
	} {
		a, err := openOwnAuthority(t.TempDir(), names...)
		require.NoError(t, err)
		cert, err := a.issue()
		require.NoError(t, err)
		roots := x509.NewCertPool()
		roots.AddCert(a.cert)
		for _, n := range names {
			_, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: n})
			require.NoError(t, err, n)
		}
		// The same key, certifying what it is not for.
		for _, other := range []string{"feed.example.test", "192.0.2.8", "2001:db8::8"} {
			liar := *a
			liar.names = []string{other}
			cert, err := liar.issue()
			require.NoError(t, err)
			_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: other})
			require.Error(t, err, "%v certifies %s", names, other)
		}
	}
}

func TestOwnAuthority_StaysUntilItMustNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		open := func(names ...string) *ownAuthority {
			a, err := openOwnAuthority(dir, names...)
			require.NoError(t, err)
			return a
		}
		first := open("gw.example.test")
		require.True(t, first.cert.Equal(open("gw.example.test", "gw.example.test").cert), "a restart makes another authority")
		require.False(t, first.cert.Equal(open("other.example.test").cert), "the old one cannot certify this name")

		second := open("gw.example.test")
		time.Sleep(authorityLife - ownCertLife + time.Hour)
		require.False(t, second.cert.Equal(open("gw.example.test").cert), "certificates would outlive the old one")

		require.NoError(t, os.WriteFile(filepath.Join(dir, authorityFile), []byte("damaged"), 0o600))
		_, err := openOwnAuthority(dir, "gw.example.test")
		require.ErrorContains(t, err, authorityFile)
	})
}
