package relay

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/tlsrecord"
)

// stream is a connection that has sent all that there is, and takes everything.
type stream struct {
	net.Conn
	*bytes.Reader
}

func (s stream) Read(p []byte) (int, error)  { return s.Reader.Read(p) }
func (s stream) Write(p []byte) (int, error) { return len(p), nil }

// FuzzHandoverCounts has records of any lengths counted, of both directions, that are
// read and written in pieces of any sizes, the last one maybe not to its end.
func FuzzHandoverCounts(f *testing.F) {
	f.Add([]byte{0, 1, 1, 0}, []byte{1}, uint16(0))
	f.Add([]byte{0x40, 17, 0, 22, 0, 21}, []byte{255}, uint16(0))
	f.Add([]byte{0x80, 1, 0, 17, 0, 22, 0x80, 22}, []byte{3, 1, 4}, uint16(7))
	f.Fuzz(func(t *testing.T, lengths, cuts []byte, missing uint16) {
		var sent []byte
		var ends []int // of records
		types, size := []byte{}, []int{}
		for ; len(lengths) > 1 && len(ends) < 50; lengths = lengths[2:] {
			n := int(binary.BigEndian.Uint16(lengths))
			typ := byte(tlsrecord.Application)
			if n&0x8000 != 0 {
				typ = 20
			}
			if n &= 0x7FFF; n == 0 { // crypto/tls takes none of these
				continue
			}
			sent = append(append(sent, typ, 3, 3, byte(n>>8), byte(n)), make([]byte, n)...)
			ends, types, size = append(ends, len(sent)), append(types, typ), append(size, n)
		}
		sent = sent[:len(sent)-min(len(sent), int(missing))]

		over, cancel := context.WithCancel(t.Context())
		cancel()
		h := &handover{flight: true, over: over}
		w := &wire{Conn: stream{Reader: bytes.NewReader(sent)}, handover: h}
		for i, at := 0, 0; ; i++ {
			n := 100
			if len(cuts) > 0 {
				n = 1 + int(cuts[i%len(cuts)])
			}
			out := sent[at:min(at+n, len(sent))]
			_, err := w.Write(out)
			require.NoError(t, err)
			at += len(out)
			if _, err = w.Read(make([]byte, n)); err == io.EOF && len(out) == 0 {
				break
			}
		}

		var want handover
		whole := len(sent) == 0
		for i, end := range ends {
			if end > len(sent) {
				break
			}
			whole = end == len(sent)
			want.sealed++
			like := size[i] == len(keyUpdateMessage)+tlsrecord.Overhead
			want.renewed = want.renewed || like
			if types[i] == byte(tlsrecord.Application) {
				want.opened++
				want.updated = want.updated || like
			}
		}
		require.Equal(t, want.sealed, h.sealed)
		require.Equal(t, want.opened, h.opened)
		require.Equal(t, want.renewed, h.renewed)
		require.Equal(t, want.updated, h.updated)
		require.Equal(t, whole, h.out.between())
		require.Equal(t, whole, w.frame.between())
	})
}
