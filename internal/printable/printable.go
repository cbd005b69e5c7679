// Package printable bounds what strangers can make a record of.
package printable

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLen is how many bytes of a stranger's string a record holds.
const MaxLen = 128

// Clip returns s, or its first MaxLen bytes without the part of a character that
// they may end in.
func Clip(s string) string { return ClipTo(s, MaxLen) }

// ClipTo is Clip for another length, which is no less than four.
func ClipTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	n := most
	for n > most-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Text is ClipTo for what is kept and shown elsewhere: of what moves a terminal's
// cursor, hides text, or is no UTF-8, each character becomes U+FFFD.
func Text(s string, most int) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, ClipTo(s, most))
}
