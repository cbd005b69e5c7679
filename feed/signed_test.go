package feed_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
)

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// countedKey counts its signatures.
type countedKey struct {
	*rsa.PrivateKey
	signatures atomic.Int64
}

func (k *countedKey) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	k.signatures.Add(1)
	return k.PrivateKey.Sign(r, digest, o)
}

// newSigner returns a signer with a certificate of its own, and who trusts it.
func newSigner(t testing.TB, name string, lives time.Duration) (*feed.Signer, *countedKey, *x509.CertPool) {
	t.Helper()
	key := &countedKey{PrivateKey: rsaKey()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lives),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key.PrivateKey)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	s, err := feed.NewSigner(tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, time.Now())
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return s, key, pool
}

// The handler signs what it serves, each file once while nothing changes.
func TestHandlerSignsItsFiles(t *testing.T) {
	synctest.Test(t, handlerSigns)
}

func handlerSigns(t *testing.T) {
	signer, key, roots := newSigner(t, "Example publisher", time.Hour)
	s := newSource()
	h := newHandler(s)
	unsigned := get(h, "alice-token", "/feed", radc).Header().Get("ETag")
	now := signer
	h.Signer = func() *feed.Signer { return now }
	tag := get(h, "alice-token", "/feed", radc).Header().Get("ETag")
	require.NotEqual(t, unsigned, tag, "the files have changed, so the client must ask for them")
	var first string
	for range 3 {
		w := get(h, "alice-token", "/feed/rdp/fin.rdp")
		require.Equal(t, http.StatusOK, w.Code)
		f, err := feed.ParseRDP(w.Body.Bytes())
		require.NoError(t, err)
		signature, err := f.Verify(feed.VerifyOptions{Roots: roots})
		require.NoError(t, err)
		require.Equal(t, "Example publisher", signature.Publisher)
		require.Empty(t, signature.Unsignable, "whatever cannot be signed is off")
		require.True(t, first == "" || first == w.Header().Get("ETag"))
		first = w.Header().Get("ETag")
	}
	require.Equal(t, int64(1), key.signatures.Load())

	// Another certificate is another signature.
	now, _, roots = newSigner(t, "Its successor", time.Hour)
	require.NotEqual(t, tag, get(h, "alice-token", "/feed", radc).Header().Get("ETag"))
	w := get(h, "alice-token", "/feed/rdp/fin.rdp", "If-None-Match: "+first)
	f, err := feed.ParseRDP(w.Body.Bytes())
	require.NoError(t, err)
	_, err = f.Verify(feed.VerifyOptions{Roots: roots})
	require.NoError(t, err)

	// With an expired one nothing goes out unsigned; the workspace is still there.
	time.Sleep(2 * time.Hour)
	require.Equal(t, reachback.CodeInternal, refusal(t, get(h, "alice-token", "/feed/rdp/fin.rdp")).Code)
	require.Equal(t, http.StatusOK, get(h, "alice-token", "/feed", radc).Code)
}

func TestClientVerifiesSignatures(t *testing.T) {
	signer, _, roots := newSigner(t, "Example publisher", time.Hour)
	stranger, _, _ := newSigner(t, "Stranger", time.Hour)
	s := newSite(t)
	now := signer
	s.handler.Signer = func() *feed.Signer { return now }
	dir := t.TempDir()
	client := func(how feed.Signatures) *feed.Client {
		c := s.client(dir)
		c.Signatures, c.Trust.Roots = how, roots
		return c
	}
	files, err := client(feed.SignaturesRequired).Refresh(t.Context())
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, f := range files {
		require.Equal(t, "Example publisher", f.Publisher)
		require.NoError(t, f.Unverified)
	}

	// Somebody writes into a file of the folder.
	data, err := os.ReadFile(files[0].Path)
	require.NoError(t, err)
	at := slices.Index(data, 'd')
	data[at]++
	require.NoError(t, os.WriteFile(files[0].Path, data, 0o600))
	seen, err := client(feed.SignaturesChecked).Files()
	require.NoError(t, err)
	require.Len(t, seen, 2)
	require.Error(t, seen[0].Unverified)
	require.NoError(t, seen[1].Unverified)
	seen, err = client(feed.SignaturesRequired).Files()
	require.NoError(t, err)
	require.Len(t, seen, 1)
	seen, err = client(feed.SignaturesIgnored).Files()
	require.NoError(t, err)
	require.Len(t, seen, 2)
	require.NoError(t, seen[0].Unverified)
	healed, err := client(feed.SignaturesRequired).Refresh(t.Context())
	require.NoError(t, err, "the file is asked for again, although the workspace has not changed")
	require.Equal(t, files, healed)

	// Files that a stranger signed, or nobody, do not take the place of good ones.
	for _, other := range []*feed.Signer{stranger, nil} {
		now = other
		kept, err := client(feed.SignaturesRequired).Refresh(t.Context())
		require.Equal(t, reachback.CodeProtocolError, reachback.CodeOf(err), "%v", err)
		require.Equal(t, files, kept)
	}
	require.ErrorIs(t, func() error { _, err := client(feed.SignaturesRequired).Refresh(t.Context()); return err }(), feed.ErrUnsigned)
	taken, err := client(feed.SignaturesChecked).Refresh(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, taken[0].Unverified, feed.ErrUnsigned)

	// What was stored without being looked at is not there for who looks.
	none, err := client(feed.SignaturesRequired).Files()
	require.NoError(t, err)
	require.Empty(t, none)
	require.FileExists(t, filepath.Join(dir, "desktop.rdp"))

	_, err = client("sometimes").Refresh(t.Context())
	require.ErrorContains(t, err, "sometimes")
}
