// Package printable bounds what strangers can make a record of.
package printable

import "unicode/utf8"

// MaxLen is how many bytes of a stranger's string a record holds.
const MaxLen = 128

// Clip returns s, or its first MaxLen bytes without the part of a character that
// they may end in.
func Clip(s string) string {
	if len(s) <= MaxLen {
		return s
	}
	n := MaxLen
	for n > MaxLen-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
