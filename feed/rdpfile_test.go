package feed_test

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/feed"
)

// utf16le is s in UTF-16LE with its byte order mark, for ASCII and Latin-1.
func utf16le(s string) []byte {
	b := []byte{0xff, 0xfe}
	for _, r := range s {
		b = append(b, byte(r), byte(r>>8))
	}
	return b
}

func TestParseRDP(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []byte
		want []string // nil: refused
	}{
		{"empty", nil, []string{}},
		{"colons in the value", []byte("full address:s:[2001:db8::1]:3389\r\n"), []string{"full address:s:[2001:db8::1]:3389"}},
		{"line feeds alone", []byte("a:s:x\nb:i:-5\n"), []string{"a:s:x", "b:i:-5"}},
		{"no last line end, empty lines", []byte("\r\na:s:x\r\n\r\nb:s:"), []string{"a:s:x", "b:s:"}},
		{"spelling and trailing blanks are kept", []byte("Full Address:s:x\r\nsignature:s:AQAB  \r\n"), []string{"Full Address:s:x", "signature:s:AQAB  "}},
		{"UTF-8", []byte("t:s:Büro\r\n"), []string{"t:s:Büro"}},
		{"UTF-8 with a byte order mark", []byte("\ufefft:s:Büro\r\n"), []string{"t:s:Büro"}},
		{"UTF-16LE", utf16le("t:s:Büro\r\nu:i:1\r\n"), []string{"t:s:Büro", "u:i:1"}},
		{"surrogates", []byte("\xff\xfet\x00:\x00s\x00:\x00\x3d\xd8\x00\xde\r\x00\n\x00"), []string{"t:s:😀"}},
		{"binary", []byte("password 51:b:01Ab\r\n"), []string{"password 51:b:01Ab"}},

		{"UTF-16BE", []byte("\xfe\xff\x00t\x00:"), nil},
		{"UTF-16 cut in a character", []byte("\xff\xfet"), nil},
		{"half of a surrogate pair", []byte("\xff\xfet\x00:\x00s\x00:\x00\x3d\xd8"), nil},
		{"surrogates turned round", []byte("\xff\xfet\x00:\x00s\x00:\x00\x00\xde\x3d\xd8"), nil},
		{"not UTF-8", []byte("t:s:\xfc\r\n"), nil},
		{"duplicate", []byte("audiomode:i:0\r\nAudioMode:i:1\r\n"), nil},
		{"no type", []byte("audiomode:0\r\n"), nil},
		{"long type", []byte("audiomode:int:0\r\n"), nil},
		{"unknown type", []byte("audiomode:x:0\r\n"), nil},
		{"no name", []byte(":s:x\r\n"), nil},
		{"blank before the colon", []byte("full address :s:x\r\n"), nil},
		{"name not in ASCII", []byte("fúll address:s:x\r\n"), nil},
		{"NUL", []byte("a:s:x\x00y\r\n"), nil},
		{"lone carriage return", []byte("a:s:x\rb:s:y\r\n"), nil},
		{"next line", []byte("a:s:x\u0085b:s:y\r\n"), nil},
		{"line separator", []byte("a:s:x\u2028b:s:y\r\n"), nil},
		{"integer of letters", []byte("a:i:0x1\r\n"), nil},
		{"integer of no digits", []byte("a:i:\r\n"), nil},
		{"odd binary", []byte("a:b:012\r\n"), nil},
		{"too large", bytes.Repeat([]byte("\r\n"), feed.MaxRDPFile/2+1), nil},
		{"too many", manySettings(feed.MaxRDPSettings + 1), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := feed.ParseRDP(tt.in)
			if tt.want == nil {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, lines(f))
		})
	}
}

func manySettings(n int) []byte {
	var b []byte
	for i := range n {
		b = append(b, "s"+strconv.Itoa(i)+":i:1\r\n"...)
	}
	return b
}

func lines(f *feed.RDPFile) []string {
	out := []string{}
	for _, s := range f.Settings() {
		out = append(out, s.String())
	}
	return out
}

func TestRDPFileSet(t *testing.T) {
	f, err := feed.ParseRDP([]byte("Full Address:s:one\r\naudiomode:i:0\r\n"))
	require.NoError(t, err)
	require.NoError(t, f.Set("full address", 's', "two"))
	require.NoError(t, f.Set("new", 'i', "1"))
	require.Equal(t, []string{"Full Address:s:two", "audiomode:i:0", "new:i:1"}, lines(f))

	s, ok := f.Get("FULL ADDRESS")
	require.True(t, ok)
	require.Equal(t, "two", s.Value)
	_, ok = f.Get("absent")
	require.False(t, ok)

	for _, value := range []string{"x\r\nredirectdrives:i:1", "x\n", "x\x00", "x\u0085", "x\u2029", "\xff"} {
		require.Error(t, f.Set("username", 's', value), "%q", value)
	}
	require.Error(t, f.Set("a:b", 's', ""))
	require.Error(t, f.Set("a\nb", 's', ""))
	require.Error(t, f.Set("a", 'i', "one"))
	require.Equal(t, 3, len(f.Settings()))

	full, err := feed.ParseRDP(manySettings(feed.MaxRDPSettings))
	require.NoError(t, err)
	require.Error(t, full.Set("one more", 'i', "1"))
	require.NoError(t, full.Set("s0", 'i', "2"))
}

// What is written is what every reader takes: ASCII as it is, anything else as
// UTF-16LE with a byte order mark.
func TestRDPFileEncode(t *testing.T) {
	var f feed.RDPFile
	require.NoError(t, f.Set("a", 's', "x"))
	require.Equal(t, "a:s:x\r\n", string(f.Encode()))
	require.NoError(t, f.Set("b", 's', "Büro"))
	require.Equal(t, utf16le("a:s:x\r\nb:s:Büro\r\n"), f.Encode())
}

// Whatever a file can hold comes back from either encoding as it was: names in
// their spelling, values with their blanks and colons, and the order.
func TestRDPFileRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []rune("aZ0 :;=.\\|%*-+\"'<>éßЖ中\u200e\ufeff\ufffd😀\U0010ffff")
	for range 500 {
		var f feed.RDPFile
		for i := range random.IntN(20) {
			var value strings.Builder
			for range random.IntN(30) {
				value.WriteRune(alphabet[random.IntN(len(alphabet))])
			}
			require.NoError(t, f.Set("Name "+strconv.Itoa(i)+"-+", 's', value.String()))
		}
		for _, encoded := range [][]byte{f.EncodeUTF8(), f.EncodeUTF16(), f.Encode()} {
			again, err := feed.ParseRDP(encoded)
			require.NoError(t, err, "%q", encoded)
			require.Equal(t, f.Settings(), again.Settings())
			require.Equal(t, f.EncodeUTF8(), again.EncodeUTF8())
			require.Equal(t, f.EncodeUTF16(), again.EncodeUTF16())
		}
	}
}

func FuzzParseRDP(f *testing.F) {
	var file feed.RDPFile
	file.Set("full address", 's', "desktop")
	file.Set("audiomode", 'i', "-1")
	f.Add(file.Encode())
	file.Set("remoteapplicationname", 's', "Büro 😀")
	f.Add(file.Encode())
	f.Add([]byte("\ufeffFull Address:s:a:b\n\nsignature:s:AQAB  "))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := feed.ParseRDP(data)
		if err != nil {
			return
		}
		encoded := got.Encode()
		again, err := feed.ParseRDP(encoded)
		if len(encoded) > feed.MaxRDPFile {
			return // UTF-8 may be shorter
		}
		require.NoError(t, err)
		require.Equal(t, got.Settings(), again.Settings())
		require.Equal(t, encoded, again.Encode())
		again, err = feed.ParseRDP(got.EncodeUTF8())
		require.NoError(t, err)
		require.Equal(t, got.Settings(), again.Settings())
		for _, s := range got.Settings() {
			require.False(t, strings.ContainsAny(s.String(), "\r\n\x00"))
		}
	})
}
