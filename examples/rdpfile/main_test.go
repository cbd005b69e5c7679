package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
)

// publisherKey is made once: it takes a noticeable time.
var publisherKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// A desk is a folder with a publisher's key and certificates for the next 24 hours.
type desk struct {
	t                      *testing.T
	dir                    string
	root, chain, cert, key string
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, dir: t.TempDir()}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	now := time.Now()
	issue := func(serial int64, name string, change func(*x509.Certificate), parent *x509.Certificate, public any) *x509.Certificate {
		c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
		change(c)
		if parent == nil {
			parent = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, public, key)
		require.NoError(t, err)
		c, err = x509.ParseCertificate(der)
		require.NoError(t, err)
		return c
	}
	authority := func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.SubjectKeyId = true, true, x509.KeyUsageCertSign, []byte(c.Subject.CommonName)
	}
	root := issue(1, "Root", authority, nil, key.Public())
	below := issue(2, "Authority", authority, root, key.Public())
	leaf := issue(3, "Contoso", func(c *x509.Certificate) {
		c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	}, below, publisherKey().Public())
	keyDER, err := x509.MarshalPKCS8PrivateKey(publisherKey())
	require.NoError(t, err)
	d.root = d.pem("root.pem", "CERTIFICATE", root.Raw)
	d.chain = d.pem("chain.pem", "CERTIFICATE", below.Raw)
	d.cert = d.pem("cert.pem", "CERTIFICATE", leaf.Raw)
	d.key = d.pem("key.pem", "PRIVATE KEY", keyDER)
	return d
}

func (d *desk) pem(name, kind string, der []byte) string {
	return d.file(name, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

func (d *desk) file(name, text string) string {
	path := filepath.Join(d.dir, name)
	require.NoError(d.t, os.WriteFile(path, []byte(text), 0o640))
	return path
}

const desktop = "full address:s:pc.example\r\nserver port:i:3389\r\nscreen mode id:i:2\r\ngatewayaccesstoken:s:opens-it\r\nalternate shell:s:\r\n"

func execute(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = program.RunCommand(t.Context(), "rdpfile", summary+commandList(), args, &out, &errs, func(*flag.FlagSet) {}, run)
	return status, out.String(), errs.String()
}

// events runs a command and returns its events.
func events(t *testing.T, status int, args ...string) (events []map[string]any, stderr string) {
	t.Helper()
	got, stdout, stderr := execute(t, args...)
	require.Equal(t, status, got, "%s: %s", args, stderr)
	for line := range strings.Lines(stdout) {
		var e map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &e), "%s", line)
		events = append(events, e)
	}
	return events, stderr
}

func (d *desk) sign(args ...string) []map[string]any {
	d.t.Helper()
	e, stderr := events(d.t, 0, append([]string{"sign", "-cert", d.cert, "-key", d.key, "-chain", d.chain}, args...)...)
	require.Empty(d.t, stderr)
	return e
}

func TestSignAndVerify(t *testing.T) {
	d := newDesk(t)
	one, two := d.file("one.rdp", desktop), d.file("two.rdp", strings.ReplaceAll(desktop, "\r\n", "\n"))
	signed := d.sign(one, two)
	require.Len(t, signed, 2)
	require.Equal(t, "signed", signed[0]["event"])
	require.Equal(t, one, signed[0]["file"])
	require.Equal(t, "Contoso", signed[0]["publisher"])
	a, err := os.ReadFile(one)
	require.NoError(t, err)
	b, err := os.ReadFile(two)
	require.NoError(t, err)
	require.Equal(t, a, b)
	require.True(t, bytes.HasPrefix(a, []byte{0xff, 0xfe}), "as rdpsign.exe writes them")
	if runtime.GOOS != "windows" {
		info, err := os.Stat(one)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o640), info.Mode(), "who may read it has not changed")
	}

	verified, _ := events(t, 0, "verify", "-roots", d.root, "-publisher", signed[0]["thumbprint"].(string), "-valid-for", "23h", one, two)
	require.Len(t, verified, 2)
	expires, err := time.Parse(time.RFC3339, verified[0]["expires"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), expires, 10*time.Minute)
	require.Equal(t, map[string]any{
		"event": "verified", "file": one, "publisher": "Contoso", "subject": "CN=Contoso", "root": "CN=Root",
		"thumbprint": signed[0]["thumbprint"], "expires": signed[0]["expires"],
		"covered":   []any{"full address", "alternate full address", "server port", "alternate shell"},
		"uncovered": []any{}, "unsignable": []any{},
	}, verified[0])
}

func TestSignToAnotherFile(t *testing.T) {
	d := newDesk(t)
	in, out := d.file("in.rdp", desktop), filepath.Join(d.dir, "out.rdp")
	signed := d.sign("-o", out, in)
	require.Equal(t, out, signed[0]["file"])
	left, err := os.ReadFile(in)
	require.NoError(t, err)
	require.Equal(t, desktop, string(left))
	events(t, 0, "verify", "-roots", d.root, out)

	// The file behind a link is replaced, and the link stays.
	if runtime.GOOS != "windows" {
		link := filepath.Join(d.dir, "link.rdp")
		require.NoError(t, os.Symlink("in.rdp", link))
		d.sign(link)
		events(t, 0, "verify", "-roots", d.root, in)
		info, err := os.Lstat(link)
		require.NoError(t, err)
		require.NotZero(t, info.Mode()&os.ModeSymlink)
	}
	names, err := filepath.Glob(filepath.Join(d.dir, ".*"))
	require.NoError(t, err)
	require.Empty(t, names)
}

func TestVerifyRefuses(t *testing.T) {
	d := newDesk(t)
	good, unsigned := d.file("good.rdp", desktop), d.file("unsigned.rdp", desktop)
	d.sign(good)
	f, err := read(good)
	require.NoError(t, err)
	signed := string(f.EncodeUTF8())
	changed := d.file("changed.rdp", strings.Replace(signed, "pc.example", "evil.example", 1))
	added := d.file("added.rdp", signed+"redirectdrives:i:1\r\nredirectlocation:i:1\r\n")
	verify := []string{"verify", "-roots", d.root}
	for _, tt := range []struct {
		name, says string
		args       []string
	}{
		{"unsigned", unsigned + ": feed: the .rdp file is not signed", append(verify, unsigned)},
		{"changed", "changed after it was signed", append(verify, changed)},
		{"added", `["redirectdrives"]`, append(verify, added)},
		{"unknown authority", `publisher "Contoso"`, []string{"verify", good}},
		{"another publisher", "none of those", append(verify, "-publisher", strings.Repeat("0", 40), good)},
		{"about to expire", "is right, but expires at", append(verify, "-valid-for", "25h", good)},
		{"not there", "no such file", append(verify, filepath.Join(d.dir, "nothing.rdp"))},
		{"a folder", "directory", append(verify, d.dir)},
		{"no .rdp file", "not name:type:value", append(verify, d.root)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, stderr := events(t, 1, tt.args...)
			require.Len(t, e, 1)
			require.Equal(t, "refused", e[0]["event"])
			require.NotContains(t, e[0]["reason"], "feed: ")
			require.Contains(t, stderr, tt.says)
			require.Equal(t, 1, strings.Count(stderr, "\n"))
		})
	}

	// The others are looked at all the same.
	e, stderr := events(t, 1, append(verify, changed, good, unsigned)...)
	require.Len(t, e, 3)
	require.Equal(t, []any{"refused", "verified", "refused"}, []any{e[0]["event"], e[1]["event"], e[2]["event"]})
	require.Contains(t, stderr, "2 of 3 files; the first: "+changed)

	e, _ = events(t, 0, append(verify, "-allow-uncovered", added)...)
	require.Equal(t, []any{"redirectdrives"}, e[0]["uncovered"])
	require.Equal(t, []any{"redirectlocation"}, e[0]["unsignable"])
}

func TestSignRefuses(t *testing.T) {
	d := newDesk(t)
	file := d.file("one.rdp", desktop)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	otherKey := d.pem("other.pem", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(other))
	for _, tt := range []struct {
		name, says string
		status     int
		args       []string
	}{
		{"no key", "are required", 2, []string{"-cert", d.cert, file}},
		{"one output for two", "for one file", 2, []string{"-cert", d.cert, "-key", d.key, "-o", "x", file, file}},
		{"no file", "a file is missing", 2, []string{"-cert", d.cert, "-key", d.key}},
		{"another key", "does not match", 1, []string{"-cert", d.cert, "-key", otherKey, file}},
		{"certificate absent", "no such file", 1, []string{"-cert", "nowhere.pem", "-key", d.key, file}},
		{"chain absent", "no such file", 1, []string{"-cert", d.cert, "-key", d.key, "-chain", "nowhere.pem", file}},
		{"chain of another", "not in its order", 1, []string{"-cert", d.cert, "-key", d.key, "-chain", d.root, file}},
		{"no address", "no full address", 1, []string{"-cert", d.cert, "-key", d.key, d.file("empty.rdp", "audiomode:i:0\r\n")}},
		{"nowhere to write", "no such file", 1, []string{"-cert", d.cert, "-key", d.key, "-o", filepath.Join(d.dir, "nothing", "x"), file}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, stderr := events(t, tt.status, append([]string{"sign"}, tt.args...)...)
			require.Contains(t, stderr, tt.says)
			left, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, desktop, string(left))
		})
	}
}

func TestPrint(t *testing.T) {
	d := newDesk(t)
	file := d.file("one.rdp", desktop)
	d.sign(file)
	e, _ := events(t, 0, "print", file)
	require.Equal(t, map[string]any{"event": "file", "file": file, "settings": 8.0, "signed": true}, e[0])
	require.Equal(t, map[string]any{"event": "setting", "name": "full address", "type": "s", "value": "pc.example", "in_scope": true}, e[1])
	require.Equal(t, map[string]any{"event": "setting", "name": "screen mode id", "type": "i", "value": "2", "in_scope": false}, e[4])
	require.Equal(t, map[string]any{"event": "setting", "name": "alternate shell", "type": "s", "value": "", "in_scope": true}, e[6])

	status, text, _ := execute(t, "print", "-text", file)
	require.Zero(t, status)
	require.Contains(t, text, "\n* server port:i:3389\n  screen mode id:i:2\n  gatewayaccesstoken:s:(8 characters)\n* alternate shell:s:\n")
	require.NotContains(t, text, "opens-it")
	_, text, _ = execute(t, "print", "-text", "-whole", file)
	require.Contains(t, text, "opens-it")
	require.Contains(t, text, "signature:s:AQABAAEAAA")
}

func TestMistakesAreOneLine(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		args       []string
	}{
		{"no command", "a command is missing", nil},
		{"an unknown command", `"strip"`, []string{"strip", "x.rdp"}},
		{"an unknown flag", "-x", []string{"verify", "-x", "x.rdp"}},
		{"a flag behind a file", "flags come first", []string{"verify", "x.rdp", "-roots", "root.pem"}},
		{"no thumbprint", "is not the thumbprint", []string{"verify", "-publisher", "Contoso", "x.rdp"}},
		{"a time that has passed", "less than nothing", []string{"verify", "-valid-for", "-1h", "x.rdp"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, stderr := events(t, 2, tt.args...)
			require.Contains(t, stderr, tt.says)
			require.Equal(t, 1, strings.Count(stderr, "\n"))
		})
	}
	_, _, usage := execute(t, "-h")
	for _, c := range commands() {
		require.Contains(t, usage, c.does)
		status, stdout, explained := execute(t, c.name, "-h")
		require.Zero(t, status)
		require.Empty(t, stdout)
		require.Contains(t, explained, c.does)
	}
}

// A file may be no larger than what readers take, and one that never ends is not
// read to its end.
func TestReadIsBounded(t *testing.T) {
	d := newDesk(t)
	_, stderr := events(t, 1, "print", d.file("large.rdp", strings.Repeat("\r\n", feed.MaxRDPFile)))
	require.Contains(t, stderr, "too large")
}
