package secrets_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/secrets"
)

func TestA10_Check(t *testing.T) {
	const least = 32
	for _, tt := range []struct {
		name, secret string
		problem      string // part of the error; empty: it is good
	}{
		{"base64", "kV8cnz2LQ0wYbR5uTq1xH7kV8cnz2LQ0wYbR5uTq1x8=", ""},
		{"hexadecimal", "9f1c0be47a25d863e1904c7fb2a86d53", ""},
		{"bytes", "\x9f\x1c\x0b\xe4\x7a\x25\xd8\x63\xe1\x90\x4c\x7f\xb2\xa8\x6d\x53\x02\x11\xc9\x3e\x77\x85\xaa\x40\x5b\xf6\x2d\x98\xe0\x13\x64\x0c", ""},
		{"words", "correct horse battery staple and more", ""},
		{"least distinct bytes", strings.Repeat("kvbrwqzx", 4), ""},

		{"empty", "", "has 0 bytes, and needs 32"},
		{"one byte short", "9f1c0be47a25d863e1904c7fb2a86d5", "has 31 bytes, and needs 32"},

		{"placeholder", "change-it-9f1c0be47a25d863e1904c7f", "placeholder"},
		{"placeholder in capitals", "9f1c0be47a25d863e1904c7f-SECRET-KEY", "placeholder"},
		{"placeholder at the end", "9f1c0be47a25d863e1904c7fb2a8-passwd", "placeholder"},
		{"digits in their order", "x0123456789x0123456789x0123456789x", "placeholder"},

		{"uniform", strings.Repeat("k", 40), "repeats itself"},
		{"zeros", string(make([]byte, least)), "repeats itself"},
		{"one distinct byte too few", strings.Repeat("kvbrwqz", 5), "repeats itself"},
		{"counts", counting(least), "counts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := secrets.Check([]byte(tt.secret), least)
			if tt.problem == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.problem)
			if tt.secret != "" {
				require.NotContains(t, err.Error(), tt.secret, "the error tells the secret")
			}
		})
	}
}

// counting are n bytes of which each is one more than that before it.
func counting(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 0xc0 + byte(i)
	}
	return string(b)
}
