package printable

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClip(t *testing.T) {
	most := strings.Repeat("x", MaxLen)
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"as long as may be", most, most},
		{"longer", most + "y", most},
		{"a character across the end", most[:MaxLen-1] + "é", most[:MaxLen-1]},
		{"a character before the end", most[:MaxLen-2] + "é!", most[:MaxLen-2] + "é"},
		{"the longest character", most[:MaxLen-3] + "😀", most[:MaxLen-3]},
		{"no text at all", strings.Repeat("\x80", 2*MaxLen), strings.Repeat("\x80", MaxLen-4)},
	} {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, Clip(tt.in)) })
	}
}

func TestText(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"text", "Jürgen said: no", "Jürgen said: no"},
		{"a second line", "a\r\nb", "a\ufffd\ufffdb"},
		{"a terminal's commands", "\x1b[2Ja\x00", "\ufffd[2Ja\ufffd"},
		{"text that runs backwards", "a\u202eb\u2028c", "a\ufffdb\ufffdc"},
		{"no UTF-8", "a\xffb", "a\ufffdb"},
		{"longer", strings.Repeat("x", 20), strings.Repeat("x", 19)},
	} {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, Text(tt.in, 19)) })
	}
}
