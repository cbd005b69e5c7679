package feed

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// replaced returns the file as text with one thing replaced, which must be there.
func replaced(t testing.TB, f *RDPFile, old, new string) string {
	t.Helper()
	text := string(f.EncodeUTF8())
	require.Equal(t, 1, strings.Count(text, old), "%q", old)
	return strings.Replace(text, old, new, 1)
}

// verifyText parses and verifies a file as it would be read from a disk.
func verifyText(text string, o VerifyOptions) (*Signature, error) {
	f, err := ParseRDP([]byte(text))
	if err != nil {
		return nil, err
	}
	return f.Verify(o)
}

func TestVerifySaysWhatIsWrong(t *testing.T) {
	a, s := newTestSigner(t)
	f := signedFile(t, s)
	signature, _ := f.Get(nameSignature)
	base64 := strings.ReplaceAll(signature.Value, " ", "")
	der, err := unwrapSignature(signature.Value)
	require.NoError(t, err)
	signedBy := func(change func(*x509.Certificate)) string {
		s, err := NewSigner(a.publisher(t, publisherKey(), nil), signedAt)
		require.NoError(t, err)
		s.chain[0], err = x509.ParseCertificate(a.publisher(t, publisherKey(), change).Certificate[0])
		require.NoError(t, err)
		f := parsed(t, unsignedFile)
		require.NoError(t, f.Sign(s, s.chain[0].NotBefore))
		return string(f.EncodeUTF8())
	}
	scoped := func(scope string) string {
		line, _ := f.Get(nameScope)
		return replaced(t, f, line.Value, scope)
	}
	for _, tt := range []struct{ name, says, in string }{
		{"not signed", "is not signed", unsignedFile},
		{"no scope", "without a signscope", replaced(t, f, "signscope:s:", "x:s:")},
		{"no signature", "the other way round", replaced(t, f, "signature:s:", "x:s:")},
		{"a scope of another type", "without a signscope", replaced(t, f, "signscope:s:Full", "signscope:b:00\r\nx:s:Full")},
		{"a setting is gone", `"LoadBalanceInfo", which is not in the file`, replaced(t, f, "loadbalanceinfo:s:route-7d1f0c\r\n", "")},
		{"a name twice", `"server port" twice`, replaced(t, f, "Server Port,", "Server Port,server port,")},
		{"the scope in the scope", `"signscope", which is not to be signed`, scoped("Full Address,Alternate Full Address,SignScope")},
		{"the signature in the scope", `"signature", which is not to be signed`, scoped("Full Address,Alternate Full Address,Signature")},
		{"nothing in the scope", `"", which is not in the file`, scoped("")},
		{"a scope of many names", "too long", scoped(strings.Repeat("PCB,", MaxRDPSettings))},
		{"the address is not signed", "does not cover the full address", scoped("Alternate Full Address")},
		{"the alternate address is not signed", "does not cover the alternate full address", scoped("Full Address")},
		{"the alternate address is gone", `"Alternate Full Address", which is not in the file`, replaced(t, f, "alternate full address:s:gw.example.test\r\n", "")},
		{"no base64", "malformed", replaced(t, f, signature.Value, "!"+signature.Value)},
		{"base64 with a rest", "malformed", replaced(t, f, signature.Value, base64+"A")},
		{"short", "malformed", replaced(t, f, signature.Value, "AQABAAEAAAA=")},
		{"another version", "malformed", replaced(t, f, "AQABAAEAAA", "AgABAAEAAA")},
		{"another kind", "malformed", replaced(t, f, "AQABAAEAAA", "AQABAAIAAA")},
		{"cut", "malformed", replaced(t, f, signature.Value, wrapSignature(der[:len(der)-1]))},
		{"lengthened", "malformed", replaced(t, f, signature.Value, wrapSignature(append(der[:len(der):len(der)], 0)))},
		{"large", "malformed", replaced(t, f, signature.Value, wrapSignature(make([]byte, maxCMS+1)))},
		{"changed", "changed after it was signed", replaced(t, f, "route-7d1f0c", "route-7d1f0d")},
		{"a certificate for clients", "not one for servers", signedBy(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })},
		{"a key for something else", "not for signing", signedBy(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })},
		{"an expired certificate", "has expired", signedBy(func(c *x509.Certificate) { c.NotAfter = signedAt.Add(-time.Second) })},
		{"a certificate to come", "not yet valid", signedBy(func(c *x509.Certificate) { c.NotBefore = signedAt.Add(time.Second) })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := verifyText(tt.in, a.options())
			require.ErrorContains(t, err, tt.says)
			require.True(t, strings.HasPrefix(err.Error(), "feed: "), err.Error())
			require.Nil(t, got)
		})
	}
	_, err = verifyText(unsignedFile, a.options())
	require.ErrorIs(t, err, ErrUnsigned)
	_, err = verifyText(string(f.EncodeUTF8()), VerifyOptions{Roots: x509.NewCertPool(), CurrentTime: signedAt})
	require.ErrorContains(t, err, `publisher "Example publisher" (certificate of "CN=Example authority") is not trusted`)
	_, err = verifyText(string(f.EncodeUTF8()), VerifyOptions{Roots: a.roots(), CurrentTime: s.NotAfter().Add(time.Second)})
	require.ErrorContains(t, err, "has expired")
}

// An authority for something else cannot make publishers, whichever of the three
// uses their certificates are for.
func TestVerifyRefusesAnAuthorityForSomethingElse(t *testing.T) {
	rdpFiles := func(c *x509.Certificate) {
		c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{usages[2].other}
	}
	for _, tt := range []struct {
		name             string
		below, publisher func(*x509.Certificate)
		ok               bool
	}{
		{"for clients", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, nil, false},
		{"for servers, and the publisher's for code", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, nil, false},
		{"for servers, and the publisher's for .rdp files", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, rdpFiles, false},
		{"for code", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }, nil, true},
		{"for .rdp files", rdpFiles, rdpFiles, true},
		{"for anything", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }, rdpFiles, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuthority(t, tt.below)
			s, err := NewSigner(a.publisher(t, publisherKey(), tt.publisher), signedAt)
			require.NoError(t, err)
			_, err = signedFile(t, s).Verify(a.options())
			if tt.ok {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "may not issue such")
			}
		})
	}
}

func TestVerifyOnlyThesePublishers(t *testing.T) {
	a, s := newTestSigner(t)
	f := signedFile(t, s)
	o := a.options()
	got, err := f.Verify(o)
	require.NoError(t, err)
	short, long := Thumbprint(got.Chain[0]), fmt.Sprintf("%x", sha256.Sum256(got.Chain[0].Raw))
	require.Regexp(t, `^[0-9A-F]{40}$`, short)
	other := strings.Repeat("00", 20)
	spaced := "\u200e"
	for i := 0; i < len(short); i += 2 {
		spaced += strings.ToLower(short[i:i+2]) + " "
	}
	for _, tt := range []struct {
		name       string
		publishers []string
		says       string
	}{
		{"SHA-1", []string{short}, ""},
		{"SHA-256", []string{long}, ""},
		{"one of several", []string{other, long}, ""},
		{"as Windows' dialog has it", []string{spaced}, ""},
		{"another", []string{other}, "none of those"},
		{"the authority's", []string{fmt.Sprintf("%x", sha256.Sum256(a.below.Raw))}, "none of those"},
		{"no thumbprint", []string{"Example publisher"}, "is not the thumbprint"},
		{"of another length", []string{"00"}, "is not the thumbprint"},
		{"empty", []string{""}, "is not the thumbprint"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o.Publishers = tt.publishers
			_, err := f.Verify(o)
			if tt.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.says)
		})
	}
	// A thumbprint does not stand in for trust.
	o.Publishers, o.Roots = []string{long}, x509.NewCertPool()
	_, err = f.Verify(o)
	require.ErrorContains(t, err, "is not trusted")
}

// A publisher whose certificate is its own root can be trusted by that alone.
func TestVerifySelfSigned(t *testing.T) {
	a := newAuthority(t, nil)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: a.root.Subject, NotBefore: signedAt, NotAfter: signedAt.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	c := a.publisher(t, publisherKey(), nil)
	self := issue(t, template, template, publisherKey().Public(), publisherKey())
	c.Certificate = [][]byte{self.Raw}
	s, err := NewSigner(c, signedAt)
	require.NoError(t, err)
	f := signedFile(t, s)
	o := VerifyOptions{Roots: x509.NewCertPool(), CurrentTime: signedAt}
	_, err = f.Verify(o)
	require.ErrorContains(t, err, "is not trusted")
	o.Roots.AddCert(self)
	_, err = f.Verify(o)
	require.NoError(t, err)
}

// A signer of before a setting was invented leaves it open, and so does an
// attacker who adds one.
func TestVerifyUncoveredSettings(t *testing.T) {
	a, s := newTestSigner(t)
	f := parsed(t, "full address:s:a\r\nalternate full address:s:a\r\nredirectdrives:i:0\r\n")
	require.NoError(t, f.Sign(s, signedAt))
	require.NoError(t, f.Set("EnableRdsAadAuth", 'i', "1"))
	require.NoError(t, f.Set("drivestoredirect", 's', "*"))
	require.NoError(t, f.Set("screen mode id", 'i', "2"))
	o := a.options()
	_, err := f.Verify(o)
	var uncovered *UncoveredError
	require.ErrorAs(t, err, &uncovered)
	require.Equal(t, []string{"drivestoredirect", "enablerdsaadauth"}, uncovered.Settings)
	require.EqualError(t, err, `feed: the signature of the .rdp file does not cover what anybody may have put there: ["drivestoredirect" "enablerdsaadauth"]`)

	o.AllowUncovered = true
	got, err := f.Verify(o)
	require.NoError(t, err)
	require.Equal(t, uncovered.Settings, got.Uncovered)
	require.Equal(t, []string{"full address", "alternate full address", "redirectdrives"}, got.Covered)
	require.Empty(t, got.Unsignable)

	// What no signature covers is told where it opens something.
	require.NoError(t, f.Set("usbdevicestoredirect", 's', "*"))
	require.NoError(t, f.Set("camerastoredirect", 's', ""))
	require.NoError(t, f.Set("RedirectLocation", 'i', "1"))
	require.NoError(t, f.Set("audiocapturemode", 'i', "0"))
	got, err = f.Verify(o)
	require.NoError(t, err)
	require.Equal(t, []string{"usbdevicestoredirect", "redirectlocation"}, got.Unsignable)
}

// Any byte that changes in a line that is signed, or in the scope, is noticed; any in
// another's value is not.
func TestEveryByteThatIsSignedCounts(t *testing.T) {
	a, s := newTestSigner(t)
	f := signedFile(t, s)
	isSigned := map[string]bool{nameScope: true}
	settings, _ := f.scope()
	for _, s := range settings {
		isSigned[s.Name] = true
	}

	for _, encoding := range []struct {
		name   string
		file   []byte
		encode func(string) []byte
	}{
		{"UTF-8", f.EncodeUTF8(), func(s string) []byte { return []byte(s) }},
		{"UTF-16", f.EncodeUTF16(), func(s string) []byte { return appendUTF16(nil, s) }},
	} {
		t.Run(encoding.name, func(t *testing.T) {
			at := bytes.Index(encoding.file, encoding.encode(f.settings[0].String()))
			signed, free := 0, 0
			for _, s := range f.settings {
				line := encoding.encode(s.String() + "\r\n")
				require.True(t, bytes.HasPrefix(encoding.file[at:], line))
				if s.Name == nameSignature {
					at += len(line)
					continue
				}
				value := len(line) - len(encoding.encode(s.Value+"\r\n"))
				for i := range line {
					for _, mask := range []byte{0x01, 0x20, 0x80} {
						file := bytes.Clone(encoding.file)
						file[at+i] ^= mask
						changed, err := ParseRDP(file)
						if err == nil {
							_, err = changed.Verify(a.options())
						}
						switch {
						case isSigned[s.Name]:
							require.Error(t, err, "%s, byte %d, %#x", s.Name, i, mask)
							signed++
						case i >= value && i < len(line)-len(encoding.encode("\r\n")) && changed != nil:
							require.NoError(t, err, "%s, byte %d, %#x", s.Name, i, mask)
							free++
						}
					}
				}
				at += len(line)
			}
			require.Equal(t, len(encoding.file), at)
			require.Greater(t, signed, 1000)
			require.Greater(t, free, 20)
		})
	}
}

func BenchmarkSign(b *testing.B) {
	_, s := newTestSigner(b)
	f := signedFile(b, s)
	for b.Loop() {
		if err := f.Sign(s, signedAt); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	a, s := newTestSigner(b)
	f := signedFile(b, s)
	for b.Loop() {
		if _, err := f.Verify(a.options()); err != nil {
			b.Fatal(err)
		}
	}
}

// Whatever is done to a signed file: when it verifies, it has the settings that
// were signed.
func FuzzVerifyRDP(f *testing.F) {
	a, s := newTestSigner(f)
	file := signedFile(f, s)
	want, scope := file.scope()
	f.Add(file.EncodeUTF8())
	f.Add(file.EncodeUTF16())
	f.Add([]byte(replaced(f, file, "signscope:s:Full Address,Alternate Full Address,", "signscope:s:Full Address,")))
	signature, _ := file.Get(nameSignature)
	der, err := unwrapSignature(signature.Value)
	require.NoError(f, err)
	f.Add([]byte(replaced(f, file, signature.Value, wrapSignature(der[:len(der)/2]))))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ParseRDP(data)
		if err != nil {
			return
		}
		signature, err := got.Verify(a.options())
		if err != nil {
			require.Nil(t, signature)
			return
		}
		settings, gotScope := got.scope()
		require.Equal(t, want, settings)
		require.Equal(t, scope.Value, gotScope.Value)
	})
}

func FuzzParseCMS(f *testing.F) {
	_, s := newTestSigner(f)
	signature, _ := signedFile(f, s).Get(nameSignature)
	der, err := unwrapSignature(signature.Value)
	require.NoError(f, err)
	f.Add(der)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCMS(data)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(c.certificates), maxCertificates)
		require.NotNil(t, c.kind)
		c.verify([]byte("message"))
	})
}
