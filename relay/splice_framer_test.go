package relay

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzFramer follows a stream in pieces of any size.
func FuzzFramer(f *testing.F) {
	f.Add(tlsRecord(0), byte(1))
	f.Add(append(tlsRecord(1), tlsRecord(300)...), byte(7))
	f.Add(append(tlsRecord(0), tlsRecord(0)...), byte(255))
	f.Add(append(tlsRecord(300), tlsRecord(700)...), byte(7))
	f.Add([]byte{23, 3, 3, 255, 255}, byte(3))
	f.Fuzz(func(t *testing.T, stream []byte, step byte) {
		var fr framer
		bounds := map[int]bool{}
		for at := 0; at+headerSize <= len(stream); {
			bounds[at], bounds[at+headerSize] = true, true
			at += headerSize + int(binary.BigEndian.Uint16(stream[at+3:]))
			bounds[at] = true
		}
		for at := 0; at < len(stream); {
			left := fr.left()
			require.Positive(t, left)
			if at+left <= len(stream) {
				require.True(t, bounds[at+left], "%d is within a record", at+left)
			}
			n := min(left, 1+int(step), len(stream)-at)
			fr.passed(stream[at : at+n])
			at += n
		}
	})
}
