package feed

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

func cmsOf(t testing.TB, f *RDPFile) (der, message []byte) {
	t.Helper()
	signature, ok := f.Get(nameSignature)
	require.True(t, ok)
	der, err := unwrapSignature(signature.Value)
	require.NoError(t, err)
	return der, signedMessage(f.scope())
}

// A signature that is cut is none, and one that has a byte of another value is
// refused or means the same.
func TestDamagedSignatures(t *testing.T) {
	a, s := newTestSigner(t)
	f := signedFile(t, s)
	der, _ := cmsOf(t, f)
	accepted := 0
	for n := range der {
		_, err := parseCMS(der[:n])
		require.Error(t, err, "cut at %d", n)

		damaged := bytes.Clone(der)
		damaged[n] ^= 0x01
		require.NoError(t, f.Set(nameSignature, 's', wrapSignature(damaged)))
		if got, err := f.Verify(a.options()); err == nil {
			require.Equal(t, s.chain[0].Raw, got.Chain[0].Raw, "byte %d", n)
			accepted++
		}
	}
	require.Less(t, accepted, 10) // versions, of which nothing depends
}

// Some signers write version 2 for what is version 1.
func TestParseCMSOfSignerInfoVersion2(t *testing.T) {
	_, s := newTestSigner(t)
	der, message := cmsOf(t, signedFile(t, s))
	name := bytes.LastIndex(der, s.chain[0].RawIssuer)
	at := bytes.LastIndex(der[:name], []byte{2, 1, 1})
	require.Less(t, name-at, 8)
	for version, ok := range map[byte]bool{1: true, 2: true, 0: false, 3: false} {
		der[at+2] = version
		c, err := parseCMS(der)
		require.Equal(t, ok, err == nil, "version %d", version)
		if ok {
			_, err = c.verify(message)
			require.NoError(t, err)
		}
	}
}

// What a stranger can make us compute has a bound: no key of a million bits.
func TestParseCMSRefusesLargeKeys(t *testing.T) {
	a := newAuthority(t, nil)
	large := modulusOf(maxKeyBits + 1)
	leaf := issue(t, a.below, a.below, large, a.key)
	der, err := appendCMS(nil, append(newChain(t, a), leaf), make([]byte, 256))
	require.NoError(t, err)
	_, err = parseCMS(der)
	require.ErrorContains(t, err, "8193 bits")
}

func TestParseCMSRefusesManyCertificates(t *testing.T) {
	a := newAuthority(t, nil)
	chain := newChain(t, a)
	for len(chain) <= maxCertificates {
		chain = append(chain, a.below)
	}
	for n, ok := range map[int]bool{maxCertificates: true, maxCertificates + 1: false} {
		der, err := appendCMS(nil, chain[:n], make([]byte, 256))
		require.NoError(t, err)
		_, err = parseCMS(der)
		require.Equal(t, ok, err == nil, "%d certificates", n)
	}
}

func newChain(t testing.TB, a *authority) []*x509.Certificate {
	t.Helper()
	leaf, err := x509.ParseCertificate(a.publisher(t, publisherKey(), nil).Certificate[0])
	require.NoError(t, err)
	return []*x509.Certificate{leaf, a.below}
}

// modulusOf is half a key: a modulus of which nobody knows the primes.
func modulusOf(bits uint) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
}
