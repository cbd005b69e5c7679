package feed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of an .rdp file, read or made.
const (
	MaxRDPFile     = 256 << 10 // bytes as stored
	MaxRDPSettings = 512
)

// A Setting is one line of an .rdp file, "name:type:value".
type Setting struct {
	Name  string // compared without regard to case
	Type  byte   // 's' string, 'i' decimal integer, 'b' hexadecimal bytes
	Value string
}

// String is the line without its end.
func (s Setting) String() string { return s.Name + ":" + string(s.Type) + ":" + s.Value }

// An RDPFile is the settings of an .rdp file in their order. No name stands in
// it twice, and no value holds a control character: the format has no quoting,
// so that a line end inside a value would be another setting. Its zero value is
// an empty file.
type RDPFile struct{ settings []Setting }

// Reasons for which a file or a setting is refused.
var (
	errRDPSize      = errors.New("feed: the .rdp file is too large")
	errRDPEncoding  = errors.New("feed: the .rdp file is neither UTF-8 nor UTF-16LE with a byte order mark")
	errRDPLine      = errors.New("feed: a line of the .rdp file is not name:type:value")
	errRDPDuplicate = errors.New("feed: a setting stands twice in the .rdp file")
)

// ParseRDP reads an .rdp file in UTF-8 or, with a byte order mark, in UTF-16LE.
// It keeps names, values and order exactly and drops empty lines. Where two
// readers could differ over a file it is refused.
func ParseRDP(data []byte) (*RDPFile, error) {
	if len(data) > MaxRDPFile {
		return nil, errRDPSize
	}
	text, err := decodeText(data)
	if err != nil {
		return nil, err
	}
	f := new(RDPFile)
	seen := make(map[string]bool)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" {
			continue
		}
		name, rest, ok := strings.Cut(line, ":")
		typ, value, ok2 := strings.Cut(rest, ":")
		if !ok || !ok2 || len(typ) != 1 {
			return nil, errRDPLine
		}
		s := Setting{name, typ[0], value}
		if err := s.check(); err != nil {
			return nil, err
		}
		key := strings.ToLower(name)
		if seen[key] {
			return nil, errRDPDuplicate
		}
		if len(f.settings) == MaxRDPSettings {
			return nil, errRDPSize
		}
		seen[key] = true
		f.settings = append(f.settings, s)
	}
	return f, nil
}

// Settings returns a copy of the settings in their order.
func (f *RDPFile) Settings() []Setting { return slices.Clone(f.settings) }

// Get returns the setting of that name.
func (f *RDPFile) Get(name string) (Setting, bool) {
	if i := f.index(name); i >= 0 {
		return f.settings[i], true
	}
	return Setting{}, false
}

// Set changes the setting of that name where it stands, or appends it. A setting
// that the format cannot carry is refused.
func (f *RDPFile) Set(name string, typ byte, value string) error {
	s := Setting{name, typ, value}
	if err := s.check(); err != nil {
		return err
	}
	if i := f.index(name); i >= 0 {
		s.Name = f.settings[i].Name
		f.settings[i] = s
		return nil
	}
	if len(f.settings) == MaxRDPSettings {
		return errRDPSize
	}
	f.settings = append(f.settings, s)
	return nil
}

// Encode returns the file with CR LF at each line's end. A file in ASCII without
// a signature is written so, since every reader takes that. Any other is written
// as [RDPFile.EncodeUTF16] does, like Microsoft's own programs: old ones read
// UTF-8 in the machine's code page.
func (f *RDPFile) Encode() []byte {
	b := f.EncodeUTF8()
	if isASCII(b) && !f.Signed() {
		return b
	}
	return encodeUTF16(string(b))
}

// EncodeUTF8 returns the file in UTF-8, without a byte order mark.
func (f *RDPFile) EncodeUTF8() []byte {
	var b []byte
	for _, s := range f.settings {
		b = append(append(b, s.Name...), ':', s.Type, ':')
		b = append(append(b, s.Value...), "\r\n"...)
	}
	return b
}

// EncodeUTF16 returns the file in UTF-16LE, with a byte order mark.
func (f *RDPFile) EncodeUTF16() []byte { return encodeUTF16(string(f.EncodeUTF8())) }

func (f *RDPFile) index(name string) int {
	return slices.IndexFunc(f.settings, func(s Setting) bool { return strings.EqualFold(s.Name, name) })
}

// check refuses a setting that readers would take in different ways.
func (s Setting) check() error {
	if s.Name == "" || strings.TrimSpace(s.Name) != s.Name {
		return errRDPLine
	}
	for _, c := range []byte(s.Name) {
		if c < ' ' || c > '~' || c == ':' {
			return errRDPLine
		}
	}
	if !utf8.ValidString(s.Value) || strings.ContainsFunc(s.Value, breaksLine) {
		return fmt.Errorf("feed: setting %q: a control character or invalid text in the value", s.Name)
	}
	ok := false
	switch s.Type {
	case 's':
		ok = true
	case 'i':
		digits := strings.TrimPrefix(s.Value, "-")
		ok = digits != "" && len(digits) <= 10 && strings.Trim(digits, "0123456789") == ""
	case 'b':
		ok = len(s.Value)%2 == 0 && strings.Trim(s.Value, "0123456789abcdefABCDEF") == ""
	}
	if !ok {
		return fmt.Errorf("feed: setting %q: the value does not fit its type", s.Name)
	}
	return nil
}

// breaksLine reports whether some reader would end a line at r or drop it.
func breaksLine(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func encodeUTF16(s string) []byte {
	return appendUTF16(append(make([]byte, 0, 2+2*len(s)), 0xff, 0xfe), s)
}

// appendUTF16 appends s in UTF-16LE.
func appendUTF16(b []byte, s string) []byte {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// decodeText returns data as UTF-8, without its byte order mark.
func decodeText(data []byte) (string, error) {
	if len(data) < 2 || data[0] != 0xff || data[1] != 0xfe {
		s := strings.TrimPrefix(string(data), "\ufeff")
		if !utf8.ValidString(s) {
			return "", errRDPEncoding
		}
		return s, nil
	}
	data = data[2:]
	if len(data)%2 != 0 {
		return "", errRDPEncoding
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(data[2*i:])
	}
	var b strings.Builder
	for i := 0; i < len(units); i++ {
		r := rune(units[i])
		if utf16.IsSurrogate(r) {
			if i+1 == len(units) {
				return "", errRDPEncoding
			}
			i++
			if r = utf16.DecodeRune(r, rune(units[i])); r == unicode.ReplacementChar {
				return "", errRDPEncoding
			}
		}
		b.WriteRune(r)
	}
	return b.String(), nil
}
