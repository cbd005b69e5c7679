package feed

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The settings that a signature covers cannot be changed, nor others of their kind
// be added, in whichever encoding the file is saved; what it cannot cover can.
func TestA7_ChangedFileDoesNotVerify(t *testing.T) {
	a, s := newTestSigner(t)
	for _, tt := range changedFiles(t, s) {
		t.Run(tt.name, func(t *testing.T) {
			for _, file := range [][]byte{[]byte(tt.file), encodeUTF16(tt.file)} {
				_, err := verifyText(string(file), a.options())
				require.Equal(t, tt.good, err == nil, "%v", err)
			}
		})
	}
}

// A changedFile is a signed file that somebody else had in hand.
type changedFile struct {
	name, file string
	ours       bool // it is refused for a setting beside those that are signed, of which others know nothing
	good       bool // it is accepted
}

func changedFiles(t *testing.T, s *Signer) []changedFile {
	t.Helper()
	f := signedFile(t, s)
	other := parsed(t, strings.Replace(unsignedFile, "gw.example.test", "other.example.test", -1))
	require.NoError(t, other.Sign(s, signedAt))
	signature, _ := f.Get(nameSignature)
	otherSignature, _ := other.Get(nameSignature)
	scope, _ := f.Get(nameScope)
	change := func(old, new string) string { return replaced(t, f, old, new) }
	return []changedFile{
		{"as it was", string(f.EncodeUTF8()), false, true},
		{"an unsigned setting changed", change("desktopwidth:i:1024", "desktopwidth:i:1920"), false, true},
		{"an unsigned setting added", change("desktopwidth", "smart sizing:i:1\r\ndesktopwidth"), false, true},
		{"lines in another order", change("server port:i:443\r\nloadbalanceinfo:s:route-7d1f0c\r\n", "loadbalanceinfo:s:route-7d1f0c\r\nserver port:i:443\r\n"), false, true},
		{"blanks of the signature", change(signature.Value, strings.ReplaceAll(signature.Value, "  ", "")), false, true},

		{"gateway changed", change("gatewayhostname:s:gw.example.test", "gatewayhostname:s:gw.evil.example"), false, false},
		{"full address changed", change("\r\nfull address:s:gw.example.test", "\r\nfull address:s:gw.evil.example"), false, false},
		{"alternate address changed", change("alternate full address:s:gw.example.test", "alternate full address:s:evil.example"), false, false},
		{"full address emptied", change("\r\nfull address:s:gw.example.test", "\r\nfull address:s:"), false, false},
		{"a number written otherwise", change("server port:i:443", "server port:i:0443"), false, false},
		{"a type changed", change("redirectclipboard:i:0", "redirectclipboard:s:0"), false, false},
		{"case of a name changed", change("redirectclipboard", "RedirectClipboard"), false, false},
		{"a blank at the end", change("route-7d1f0c", "route-7d1f0c "), false, false},
		{"text of a name changed", change("Büro", "Buro"), false, false},
		{"a signed setting dropped", change("redirectclipboard:i:0\r\n", ""), false, false},
		{"a signed setting twice, the right one first", change("redirectclipboard:i:0\r\n", "redirectclipboard:i:0\r\nredirectclipboard:i:1\r\n"), false, false},
		{"a signed setting twice, the right one last", change("redirectclipboard:i:0\r\n", "RedirectClipboard:i:1\r\nredirectclipboard:i:0\r\n"), false, false},
		{"the address twice", change("\r\nfull address:s:", "\r\nfull address:s:evil.example\r\nFull Address:s:"), false, false},
		{"the scope twice", change("signscope:s:", "signscope:s:Full Address\r\nSignScope:s:"), false, false},
		{"the signature twice", change("signature:s:", "signature:s:"+otherSignature.Value+"\r\nSignature:s:"), false, false},
		{"the scope in another order", change("Full Address,Alternate Full Address,", "Alternate Full Address,Full Address,"), false, false},
		{"the scope in another case", change("Server Port,", "server port,"), false, false},
		{"a name out of the scope", change(",AudioMode", ""), false, false},
		{"a name into the scope", change(scope.Value, scope.Value+",workspace id"), false, false},
		{"another file's signature", change(signature.Value, otherSignature.Value), false, false},
		{"the signature cut", change(signature.Value, signature.Value[:len(signature.Value)-100]), false, false},
		{"no signature", change("signature:s:"+signature.Value+"\r\n", ""), false, false},
		{"a setting added that is to be signed", change("desktopwidth", "redirectdrives:i:1\r\ndesktopwidth"), true, false},
		{"a program added", change("desktopwidth", "Alternate Shell:s:evil.exe\r\ndesktopwidth"), true, false},
	}
}
