package feed

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/peertest"
)

// An openssl is the command, with the authority's root in a folder of its own.
type openssl struct {
	t    testing.TB
	path string
	dir  string
}

func newOpenSSL(t testing.TB, a *authority) *openssl {
	t.Helper()
	o := &openssl{t: t, path: peertest.Path(t, "openssl", "openssl"), dir: t.TempDir()}
	o.file("root.pem", pemOf(a.root.Raw))
	o.file("below.pem", pemOf(a.below.Raw))
	return o
}

func (o *openssl) file(name string, data []byte) string {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	require.NoError(o.t, os.WriteFile(path, data, 0o600))
	return path
}

func (o *openssl) run(args ...string) (string, error) {
	out, err := exec.Command(o.path, args...).CombinedOutput()
	return string(out), err
}

// verify reports whether openssl takes the signature for one of the message by a
// publisher of the root's. The certificate's use is left out: it knows no name for it.
func (o *openssl) verify(der, message []byte) bool {
	o.t.Helper()
	out, err := o.run("cms", "-verify", "-binary", "-inform", "DER", "-in", o.file("signature.der", der), "-content", o.file("message.bin", message),
		"-CAfile", filepath.Join(o.dir, "root.pem"), "-no-CApath", "-purpose", "any", "-attime", fmt.Sprint(signedAt.Unix()), "-out", os.DevNull)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		require.Contains(o.t, []int{2, 4}, exit.ExitCode(), out) // of what is no signature, or a wrong one
		return false
	}
	require.NoError(o.t, err, out)
	return true
}

// extract reads a signed file by nothing of ours: it returns the signature and
// what the signature should be of.
func extract(file []byte) (der, message []byte, err error) {
	text := string(file)
	if bytes.HasPrefix(file, []byte{0xff, 0xfe}) {
		var units []uint16
		for i := 2; i+1 < len(file); i += 2 {
			units = append(units, uint16(file[i])|uint16(file[i+1])<<8)
		}
		text = string(utf16.Decode(units))
	}
	lines := map[string][]string{}
	for _, line := range strings.Split(text, "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		lines[strings.ToLower(name)] = append(lines[strings.ToLower(name)], line)
	}
	one := func(name string) string {
		found := lines[strings.ToLower(name)]
		if len(found) != 1 {
			err = fmt.Errorf("%d lines of %s", len(found), name)
			return "::"
		}
		return found[0]
	}
	scope, signature := one("signscope"), one("signature")
	var signed []string
	for _, name := range strings.Split(strings.SplitN(scope, ":", 3)[2], ",") {
		signed = append(signed, one(name))
	}
	if err != nil {
		return nil, nil, err
	}
	for _, u := range utf16.Encode([]rune(strings.Join(append(signed, scope), "\r\n") + "\r\n\x00")) {
		message = append(message, byte(u), byte(u>>8))
	}
	der, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(strings.SplitN(signature, ":", 3)[2], " ", ""))
	if err != nil || len(der) < 12 {
		return nil, nil, fmt.Errorf("no signature: %v", err)
	}
	return der[12:], message, nil
}

// verifyFile reports whether openssl takes the file for well signed.
func (o *openssl) verifyFile(file []byte) bool {
	o.t.Helper()
	der, message, err := extract(file)
	return err == nil && o.verify(der, message)
}

func TestOpenSSLVerifiesOurFiles(t *testing.T) {
	a, s := newTestSigner(t)
	o := newOpenSSL(t, a)
	f := signedFile(t, s)
	require.True(t, o.verifyFile(f.Encode()))
	require.True(t, o.verifyFile(f.EncodeUTF8()))
	der, message, err := extract(f.Encode())
	require.NoError(t, err)

	// It makes the same bytes itself.
	publisher := o.publisher(a, s.key)
	out, err := o.run("smime", "-sign", "-binary", "-noattr", "-md", "sha256", "-outform", "DER", "-in", o.file("message.bin", message),
		"-signer", publisher, "-inkey", publisher, "-certfile", filepath.Join(o.dir, "below.pem"), "-out", filepath.Join(o.dir, "theirs.der"))
	require.NoError(t, err, out)
	theirs, err := os.ReadFile(filepath.Join(o.dir, "theirs.der"))
	require.NoError(t, err)
	require.Equal(t, theirs, der)
}

// publisher writes the publisher's key and certificate to a file.
func (o *openssl) publisher(a *authority, key crypto.Signer) string {
	o.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(o.t, err)
	c := a.publisher(o.t, key, nil)
	return o.file("publisher.pem", append(pemOf(c.Certificate[0]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...))
}

// The message has one form. Whoever signs another has signed nothing, and a
// signature of the right one is of no other.
func TestOpenSSLAndVerifyAgreeOnTheMessage(t *testing.T) {
	a, s := newTestSigner(t)
	o := newOpenSSL(t, a)
	f := signedFile(t, s)
	der, message, err := extract(f.EncodeUTF8())
	require.NoError(t, err)
	units := make([]uint16, len(message)/2)
	for i := range units {
		units[i] = uint16(message[2*i]) | uint16(message[2*i+1])<<8
	}
	text := string(utf16.Decode(units))
	lines := strings.SplitAfter(text, "\r\n")
	replace := func(old, new string) []byte {
		require.Contains(t, text, old)
		return appendUTF16(nil, strings.Replace(text, old, new, -1))
	}
	swapped := bytes.Clone(message)
	for i := 0; i < len(swapped); i += 2 {
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
	}
	signature, _ := f.Get(nameSignature)
	for _, tt := range []struct {
		name    string
		message []byte
	}{
		{"no NUL", message[:len(message)-2]},
		{"two NULs", append(bytes.Clone(message), 0, 0)},
		{"line feeds alone", replace("\r\n", "\n")},
		{"no line end before the NUL", replace("\r\n\x00", "\x00")},
		{"case of a name", replace("server port:", "Server Port:")},
		{"a value", replace("gw.example.test:443", "gw.example.test:444")},
		{"a line dropped", replace("audiomode:i:0\r\n", "")},
		{"scope in another order", replace("Full Address,Alternate Full Address,", "Alternate Full Address,Full Address,")},
		{"lines in another order", appendUTF16(nil, lines[1]+lines[0]+strings.Join(lines[2:], ""))},
		{"byte order mark", append([]byte{0xff, 0xfe}, message...)},
		{"UTF-8", []byte(text)},
		{"UTF-16BE", swapped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.NotEqual(t, message, tt.message)
			require.False(t, o.verify(der, tt.message))
			value, err := s.sign(tt.message)
			require.NoError(t, err)
			file := replaced(t, f, signature.Value, value)
			require.False(t, o.verifyFile([]byte(file)))
			_, err = verifyText(file, a.options())
			require.ErrorIs(t, err, errWrongSignature)
		})
	}
}

func TestOpenSSLAgreesOnChangedFiles(t *testing.T) {
	a, s := newTestSigner(t)
	o := newOpenSSL(t, a)
	for _, tt := range changedFiles(t, s) {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.good || tt.ours, o.verifyFile([]byte(tt.file)))
			require.Equal(t, tt.good || tt.ours, o.verifyFile(encodeUTF16(tt.file)))
		})
	}
}

// Other signers of .rdp files write other forms of the same. Those that hold are
// accepted, with any number of blanks between the groups.
func TestVerifyOtherSigners(t *testing.T) {
	a, s := newTestSigner(t)
	o := newOpenSSL(t, a)
	f := signedFile(t, s)
	_, message, err := extract(f.EncodeUTF8())
	require.NoError(t, err)
	content := o.file("message.bin", message)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signature, _ := f.Get(nameSignature)
	for _, tt := range []struct {
		name string
		args []string
		key  crypto.Signer
		says string // "": accepted
	}{
		{"as ours", []string{"smime", "-noattr", "-md", "sha256"}, s.key, ""},
		{"without parameters of the digest", []string{"cms", "-noattr", "-md", "sha256"}, s.key, ""},
		{"attributes", []string{"cms", "-md", "sha256"}, s.key, ""},
		{"attributes, without the list of ciphers", []string{"smime", "-md", "sha256", "-nosmimecap"}, s.key, ""},
		{"SHA-384", []string{"cms", "-noattr", "-md", "sha384"}, s.key, ""},
		{"SHA-512 and attributes", []string{"cms", "-md", "sha512"}, s.key, ""},
		{"SHA-1", []string{"cms", "-noattr", "-md", "sha1"}, s.key, "SHA-256 is needed"},
		{"SHA-1 and attributes", []string{"cms", "-md", "sha1"}, s.key, "SHA-256 is needed"},
		{"SHA3", []string{"cms", "-noattr", "-md", "sha3-256"}, s.key, "SHA-256 is needed"},
		{"PSS", []string{"cms", "-noattr", "-md", "sha256", "-keyopt", "rsa_padding_mode:pss"}, s.key, "PKCS #1 v1.5"},
		{"ECDSA", []string{"cms", "-noattr", "-md", "sha256"}, curve, "PKCS #1 v1.5"},
		{"a short key", []string{"cms", "-noattr", "-md", "sha256"}, derivedKey("short", 1024), "1024 bits"},
		{"the signer by its key", []string{"cms", "-noattr", "-md", "sha256", "-keyid"}, s.key, "malformed"},
		{"the message inside", []string{"cms", "-noattr", "-md", "sha256", "-nodetach"}, s.key, "malformed"},
		{"no certificates", []string{"cms", "-noattr", "-md", "sha256", "-nocerts"}, s.key, "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			publisher := o.publisher(a, tt.key)
			out := filepath.Join(o.dir, "theirs.der")
			args := append([]string{tt.args[0], "-sign", "-binary", "-outform", "DER", "-in", content, "-out", out, "-signer", publisher, "-inkey", publisher}, tt.args[1:]...)
			if tt.name != "no certificates" {
				args = append(args, "-certfile", filepath.Join(o.dir, "below.pem"))
			}
			said, err := o.run(args...)
			require.NoError(t, err, said)
			der, err := os.ReadFile(out)
			require.NoError(t, err)
			wrapped := wrapSignature(der)
			for _, blanks := range []string{"  ", " ", ""} {
				file := replaced(t, f, signature.Value, strings.ReplaceAll(wrapped, "  ", blanks))
				_, err = verifyText(file, a.options())
				if tt.says == "" {
					require.NoError(t, err)
					_, err = verifyText(strings.Replace(file, "server port:i:443", "server port:i:444", 1), a.options())
					require.ErrorIs(t, err, errWrongSignature)
				} else {
					require.ErrorContains(t, err, tt.says)
				}
			}
		})
	}
}
