package feed

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"flag"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// microsoftFile are the settings of the RemoteApp file in [MS-RDWR], section 4.2,
// with the host's number that was signed; the document prints another.
const microsoftFile = `full address:s:RDVB9-101184.rdvteam.stbtest.microsoft.com
alternate full address:s:RDVB9-101184.rdvteam.stbtest.microsoft.com
use redirection server name:i:1
server port:i:3389
gatewayusagemethod:i:2
gatewayprofileusagemethod:i:0
gatewaycredentialssource:i:0
promptcredentialonce:i:1
alternate shell:s:||cmd
remoteapplicationprogram:s:||cmd
remoteapplicationmode:i:1
remoteapplicationname:s:cmd.exe
remoteapplicationcmdline:s:
authentication level:i:0
redirectdrives:i:1
redirectprinters:i:0
redirectcomports:i:1
redirectsmartcards:i:0
redirectclipboard:i:0
devicestoredirect:s:
drivestoredirect:s:*
loadbalanceinfo:s:tsv://MS Terminal Services Plugin.1.RDVB9-101184
`

const (
	microsoftModulus = "A0E39C8F6A3D656306F228B3DDEDF5E7132FA25812558FC9E9DCB8A49CF9665B065CE0F0E7A9EAE2BF449FCFC0C440EA32ED8360903599CD39C47633AA166E96" +
		"56C057592180DF84136272D2BD174EDE2C95B8842139AD323E704985B4A9BCABA4F3F4FA29D4E999BE159864B5EF84AF2FEB3BEFF4F5CD9E8B4D9545BA10684A" +
		"31E23636DA72C5EE6382B31754CDF07314113BA6CC2D4E5FEA8E2EA78937FBA32A1F285386672E04C08AC269DB4702F025051F06819EBFB272EEAC597C6D7D30" +
		"D1CE689BF6D0E75134B7AC0F823962B4FE35CE892459CF71B9B4E005BF358E9D3E2754A0B332680F5A9F46CB5E69FCBF30898B54D55FA121E7DF918EB3DC2665"
	microsoftSignature = "460e80a0d184fc5835ea88641c24fe022beb8db2d210bb5f07ada6301926c061a5e0ce86b0cef1fe99e132b135886317cbdd4e73fc1dbf48688d184ba38dc311" +
		"dbbfb10d0680893314e16e0b58262eef3cc14a7b2f8e68ee55adae1c0e596b23315b246e3fffe571ab43d7499c56f6b3470586d0931242ae5cc4407523e7d181" +
		"474b653393a86134c9a3435fa3944272e66140a1dd631c026b770690704ed3b70a798e1d339ed51b28513ad73dba5139ade15eb5f99fdeab0b4fbdc03289b814" +
		"c1597cd136b23526e651dedfa950cf55a3bd0fe3e7e24d691337d1e5d12f7476cb4821db07bcebd58521eca1ac0c27ed366ec42096565f3a019c6c04e910094a"
)

// What we sign is what Microsoft's signer signed, in whatever order the file has
// its settings.
func TestSignedMessageIsMicrosofts(t *testing.T) {
	lines := slices.Collect(strings.Lines(microsoftFile))
	slices.Reverse(lines)
	f := parsed(t, strings.Join(lines, "")+"desktopwidth:i:800\nredirectlocation:i:1\n")
	message := signedMessage(f.scope())
	require.Len(t, message, 2276)
	sum := sha256.Sum256(message)
	require.Equal(t, "14abe69edeaf6bd2b85bfa7e4769c7d6a78eee7b0746e4d90e16a27f461a510d", hex.EncodeToString(sum[:]))

	n, ok := new(big.Int).SetString(microsoftModulus, 16)
	require.True(t, ok)
	signature, err := hex.DecodeString(microsoftSignature)
	require.NoError(t, err)
	key := &rsa.PublicKey{N: n, E: 65537}
	old := sha1.Sum(message)
	require.NoError(t, rsa.VerifyPKCS1v15(key, crypto.SHA1, old[:], signature))
}

// The file that a key, a certificate and settings make is the same for ever, byte
// by byte.
func TestSignGolden(t *testing.T) {
	a, s := newTestSigner(t)
	f := signedFile(t, s)
	got := f.Encode()
	path := filepath.Join("testdata", "signed.rdp")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.NoError(t, f.Sign(s, signedAt))
	require.Equal(t, want, f.Encode(), "signed again")

	stored, err := ParseRDP(want)
	require.NoError(t, err)
	signature, err := stored.Verify(a.options())
	require.NoError(t, err)
	require.Equal(t, "Example publisher", signature.Publisher)
	require.Equal(t, s.NotAfter(), signature.NotAfter)
	require.Len(t, signature.Chain, 3)
	require.Equal(t, s.Certificate().Raw, signature.Chain[0].Raw)
	require.Equal(t, a.root.Raw, signature.Chain[2].Raw)
	require.Equal(t, []string{
		"full address", "alternate full address", "server port", "gatewayhostname", "remoteapplicationname", "remoteapplicationcmdline",
		"audiomode", "redirectclipboard", "drivestoredirect", "loadbalanceinfo", "redirectwebauthn",
	}, signature.Covered)
	require.Empty(t, signature.Uncovered)
	require.Empty(t, signature.Unsignable)
}

func TestSignPreparesTheFile(t *testing.T) {
	_, s := newTestSigner(t)
	scopeOf := func(f *RDPFile) string { s, _ := f.Get("signscope"); return s.Value }
	for _, tt := range []struct {
		name, in string
		want     []string // without the signature
		scope    string
	}{
		{"the alternate address is added", "audiomode:i:0\nfull address:s:a\nusername:s:u\n",
			[]string{"audiomode:i:0", "full address:s:a", "alternate full address:s:a", "username:s:u"}, "Full Address,Alternate Full Address,AudioMode"},
		{"an empty one is filled in", "full address:s:a\nusername:s:u\nAlternate Full Address:s:\n",
			[]string{"full address:s:a", "username:s:u", "alternate full address:s:a"}, "Full Address,Alternate Full Address"},
		{"another is kept", "full address:s:a\nalternate full address:s:b\n",
			[]string{"full address:s:a", "alternate full address:s:b"}, "Full Address,Alternate Full Address"},
		{"names that are signed are spelt in one way", "Full Address:s:A\nScreen Mode ID:i:2\nPCB:s:x\n",
			[]string{"full address:s:A", "alternate full address:s:A", "Screen Mode ID:i:2", "pcb:s:x"}, "Full Address,Alternate Full Address,PCB"},
		{"an old signature goes", "SignScope:s:X\nfull address:s:a\nSignature:s:y\n",
			[]string{"full address:s:a", "alternate full address:s:a"}, "Full Address,Alternate Full Address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := parsed(t, tt.in)
			require.False(t, f.unsigned().Signed())
			require.NoError(t, f.Sign(s, signedAt))
			require.True(t, f.Signed())
			require.Equal(t, tt.scope, scopeOf(f))
			var lines []string
			for _, s := range f.unsigned().Settings() {
				lines = append(lines, s.String())
			}
			require.Equal(t, tt.want, lines)
			all := f.Settings()
			require.Equal(t, "signscope", all[len(all)-2].Name)
			require.Equal(t, "signature", all[len(all)-1].Name)
			require.Regexp(t, `^AQABAAEAAA([A-Za-z0-9+/]{54}  )([A-Za-z0-9+/]{64}  )+[A-Za-z0-9+/=]{1,64}  $`, all[len(all)-1].Value)
		})
	}
}

// A file that cannot be signed stays as it was.
func TestSignRefuses(t *testing.T) {
	_, s := newTestSigner(t)
	tooMany := parsed(t, "full address:s:a\n")
	for len(tooMany.settings) < MaxRDPSettings-2 {
		tooMany.settings = append(tooMany.settings, Setting{"s" + string(rune('a'+len(tooMany.settings))), 'i', "1"})
	}
	for _, tt := range []struct {
		name, says string
		file       *RDPFile
		at         time.Time
	}{
		{"no address", "full address", parsed(t, "audiomode:i:0\n"), signedAt},
		{"an empty address", "full address", parsed(t, "full address:s:\nalternate full address:s:evil.example\n"), signedAt},
		{"settings enough without a signature", "too large", tooMany, signedAt},
		{"larger than readers take", "too large", parsed(t, "full address:s:a\nx:s:"+strings.Repeat("x", MaxRDPFile/2)+"\n"), signedAt},
		{"after the certificate has expired", "expired at 2027-11-22T12:00:00Z", parsed(t, "full address:s:a\n"), s.NotAfter().Add(time.Second)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.file.Settings()
			require.ErrorContains(t, tt.file.Sign(s, tt.at), tt.says)
			require.Equal(t, before, tt.file.Settings())
		})
	}
}

// opaqueKey is a key in a device.
type opaqueKey struct {
	crypto.Signer
	sign func(digest []byte, o crypto.SignerOpts) ([]byte, error)
}

func (k opaqueKey) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return k.sign(digest, o)
}

func TestSignWithAKeyElsewhere(t *testing.T) {
	a := newAuthority(t, nil)
	f := parsed(t, unsignedFile)
	key := opaqueKey{publisherKey(), func(digest []byte, o crypto.SignerOpts) ([]byte, error) {
		return publisherKey().Sign(rand.Reader, digest, o)
	}}
	s, err := NewSigner(a.publisher(t, key, nil), signedAt)
	require.NoError(t, err)
	require.NoError(t, f.Sign(s, signedAt))
	_, err = f.Verify(a.options())
	require.NoError(t, err)

	// One that goes wrong is found out here, not by users.
	key.sign = func(digest []byte, o crypto.SignerOpts) ([]byte, error) {
		return publisherKey().Sign(rand.Reader, digest, &rsa.PSSOptions{Hash: o.HashFunc()})
	}
	s, err = NewSigner(a.publisher(t, key, nil), signedAt)
	require.NoError(t, err)
	require.Error(t, f.Sign(s, signedAt))
	key.sign = func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, io.ErrUnexpectedEOF }
	s, err = NewSigner(a.publisher(t, key, nil), signedAt)
	require.NoError(t, err)
	require.ErrorIs(t, f.Sign(s, signedAt), io.ErrUnexpectedEOF)
}

// What nobody would accept is refused at the start, with a reason that its owner
// can do something about.
func TestNewSignerRefuses(t *testing.T) {
	a := newAuthority(t, nil)
	good := a.publisher(t, publisherKey(), nil)
	with := func(change func(*x509.Certificate)) tls.Certificate { return a.publisher(t, publisherKey(), change) }
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for _, tt := range []struct {
		name, says string
		in         tls.Certificate
	}{
		{"nothing", "0 certificates", tls.Certificate{PrivateKey: publisherKey()}},
		{"no certificate", "x509", tls.Certificate{Certificate: [][]byte{{1, 2, 3}}, PrivateKey: publisherKey()}},
		{"no key", "cannot sign", tls.Certificate{Certificate: good.Certificate}},
		{"another key", "is not that of", tls.Certificate{Certificate: good.Certificate, PrivateKey: derivedKey("another", 2048)}},
		{"a short key", "1024 bits", a.publisher(t, derivedKey("short", 1024), nil)},
		{"not RSA", "kind ECDSA", a.publisher(t, curve, nil)},
		{"expired", "expired at 2026-11-22T11:59:59Z", with(func(c *x509.Certificate) { c.NotAfter = signedAt.Add(-time.Second) })},
		{"not in force yet", "not valid before 2026-11-22T12:00:01Z", with(func(c *x509.Certificate) { c.NotBefore = signedAt.Add(time.Second) })},
		{"an authority that has expired", `"Example authority" expired`, newAuthority(t, func(c *x509.Certificate) { c.NotAfter = signedAt.Add(-time.Second) }).publisher(t, publisherKey(), nil)},
		{"for clients", "not one for servers", with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })},
		{"for nothing in particular", "not one for servers", with(func(c *x509.Certificate) { c.ExtKeyUsage = nil })},
		{"a key for something else", "not for signing", with(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })},
		{"a key for nothing in particular", "does not say", with(func(c *x509.Certificate) { c.KeyUsage = 0 })},
		{"a chain in disorder", "not in its order", tls.Certificate{Certificate: [][]byte{good.Certificate[0], a.root.Raw, a.below.Raw}, PrivateKey: publisherKey()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewSigner(tt.in, signedAt)
			require.ErrorContains(t, err, tt.says)
		})
	}
}

// Roots are not sent along, and each of the uses that Windows takes is good.
func TestNewSignerAccepts(t *testing.T) {
	a := newAuthority(t, nil)
	for name, change := range map[string]func(*x509.Certificate){
		"for servers": func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
		"for code":    func(c *x509.Certificate) {},
		"for .rdp files": func(c *x509.Certificate) {
			c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{usages[2].other}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := a.publisher(t, publisherKey(), change)
			c.Certificate = append(c.Certificate, a.root.Raw)
			s, err := NewSigner(c, signedAt)
			require.NoError(t, err)
			require.Len(t, s.chain, 2)
			f := signedFile(t, s)
			got, err := f.Verify(a.options())
			require.NoError(t, err)
			require.Equal(t, signedAt.AddDate(1, 0, 0), got.NotAfter)
		})
	}
	// The first to expire counts.
	below := newAuthority(t, func(c *x509.Certificate) { c.NotAfter = signedAt.Add(time.Hour) })
	s, err := NewSigner(below.publisher(t, publisherKey(), nil), signedAt)
	require.NoError(t, err)
	require.Equal(t, signedAt.Add(time.Hour), s.NotAfter())
	got, err := signedFile(t, s).Verify(below.options())
	require.NoError(t, err)
	require.Equal(t, signedAt.Add(time.Hour), got.NotAfter)
}
