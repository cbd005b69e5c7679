package rdgateway

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDechunk(t *testing.T) {
	dechunk := func() func([]byte) (int, []byte, error) { d := &dechunker{}; return d.strip }
	long := strings.Repeat("0123456789abcdef", 20)
	for _, c := range []struct {
		name         string
		stream, want string
		err          error
	}{
		{"one", "3\r\none\r\n", "one", nil},
		{"of either case", "0A\r\n0123456789\r\nb\r\n0123456789a\r\n", "01234567890123456789a", nil},
		{"sixteen digits", "0000000000000003\r\none\r\n", "one", nil},
		{"several digits", "140\r\n" + long + "\r\n3\r\none\r\n", long + "one", nil},
		{"an extension", "3;name=value\r\none\r\n3;\r\ntwo\r\n", "onetwo", nil},
		{"blanks behind the size", "3 \t\r\none\r\n", "one", nil},
		{"what looks like a chunk within one", "8\r\n3\r\none\r\n\r\n", "3\r\none\r\n", nil},
		{"the last", "3\r\none\r\n0\r\n", "one", io.EOF},
		{"the last, of many digits", "3\r\none\r\n000\r\n", "one", io.EOF},
		{"and trailers", "3\r\none\r\n0;x\r\nName: value\r\n\r\n3\r\ntwo\r\n", "one", io.EOF},
		{"no size", "\r\none\r\n", "", errChunk},
		{"nothing but an extension", ";x\r\none\r\n", "", errChunk},
		{"blanks in front", " 3\r\none\r\n", "", errChunk},
		{"no digit", "g\r\n", "", errChunk},
		{"another form of hexadecimal", "0x3\r\none\r\n", "", errChunk},
		{"a sign", "+3\r\none\r\n", "", errChunk},
		{"an underscore", "1_0\r\n", "", errChunk},
		{"less than nothing", "-1\r\n", "", errChunk},
		{"seventeen digits", "00000000000000003\r\none\r\n", "", errChunk},
		{"2^64", "10000000000000000\r\n", "", errChunk},
		{"an extension behind blanks", "3 ;x\r\none\r\n", "", errChunk},
		{"a bare LF", "3\none\r\n", "", errChunk},
		{"a bare LF in an extension", "3;x\none\r\n", "", errChunk},
		{"a bare CR", "3\rone\r\n", "", errChunk},
		{"a bare CR in an extension", "3;a\rb\r\none\r\n", "", errChunk},
		{"two CRs", "3\r\r\none\r\n", "", errChunk},
		{"a bare LF behind the chunk", "3\r\none\n3\r\ntwo\r\n", "one", errChunk},
		{"a chunk longer than its size", "3\r\nones\r\n", "one", errChunk},
		{"the longest line", "3;" + strings.Repeat("x", maxChunkLine-4) + "\r\none\r\n", "one", nil},
		{"a longer one", "3;" + strings.Repeat("x", maxChunkLine-3) + "\r\none\r\n", "", errChunk},
		{"a long size", "3" + strings.Repeat(" ", maxChunkLine) + "\r\none\r\n", "", errChunk},
	} {
		t.Run(c.name, func(t *testing.T) { requireStrips(t, dechunk, c.stream, c.want, "", c.err) })
	}
}

// A chunk of 2^64-1 bytes is read as it comes.
func TestD4_AChunkOfAnyLengthTakesNoMemory(t *testing.T) {
	d := &dechunker{}
	_, _, err := d.strip([]byte("ffffffffffffffff\r\n"))
	require.NoError(t, err)
	b := make([]byte, 4096)
	require.Zero(t, testing.AllocsPerRun(10, func() {
		n, _, err := d.strip(b)
		if n != len(b) || err != nil {
			t.Fatal(n, err)
		}
	}))
}

// FuzzChunked reads an IN body, cut anywhere, and requires that net/http's readers
// find the same in it: what one of two readers takes for a chunk and the other does
// not, would be a way to smuggle.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("E\r\n"+string(dataPacket("four"))+"\r\n0\r\n\r\n"), uint8(3))
	f.Add([]byte("e\r\n"+string(dataPacket("four"))+"\r\n"), uint8(20))
	f.Add([]byte("3;x=y\r\none\r\n4 \t\r\ntwo \r\n0\r\nName: value\r\n\r\n"), uint8(2))
	f.Add([]byte("ffffffffffffffff\r\nx"), uint8(17))
	f.Add([]byte("cfffffffffffffff\r\nx"), uint8(86))
	f.Add([]byte("3\none\r\n"), uint8(1))
	f.Add([]byte("3;a\rb\r\none\r\n"), uint8(4))
	f.Fuzz(func(t *testing.T, body []byte, cut uint8) {
		requireSame(t, body, int(cut), func() func([]byte) (int, []byte, error) { d := &dechunker{}; return d.strip })
		requireSame(t, body, int(cut), func() func([]byte) (int, []byte, error) { p := &packetFraming{}; return p.Strip })

		b := slices.Clone(body)
		d := &dechunker{}
		n, _, err := d.strip(b)
		got := b[:n]
		want, wantErr := readAll(httputil.NewChunkedReader(bytes.NewReader(body)))
		switch {
		case err == errChunk && len(body) > maxChunkLine: // its lines may be longer
			require.True(t, bytes.HasPrefix(want, got))
		case err == nil && d.left >= 1<<61: // the other's count of what stands around chunks may overflow
			require.NotEqual(t, io.EOF, wantErr)
			require.True(t, bytes.HasPrefix(got, want))
			return
		case err == nil:
			require.Equal(t, io.ErrUnexpectedEOF, wantErr)
			require.True(t, bytes.Equal(want, got))
		case err == io.EOF:
			require.Equal(t, io.EOF, wantErr)
			require.True(t, bytes.Equal(want, got))
		default:
			require.NotEqual(t, io.EOF, wantErr)
			require.True(t, bytes.Equal(want, got))
		}

		// A server's reader of requests, which also looks at what is behind the last chunk.
		head := halfRequest(methodIn, "{1}", "Transfer-Encoding: chunked")
		r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), bytes.NewReader(body))))
		require.NoError(t, err)
		want, _ = readAll(r.Body)
		require.True(t, bytes.HasPrefix(want, got))
	})
}

// readAll is io.ReadAll, but for io.EOF, which it returns.
func readAll(r io.Reader) (b []byte, err error) {
	for buf := make([]byte, 512); err == nil; {
		var n int
		n, err = r.Read(buf)
		b = append(b, buf[:n]...)
	}
	return b, err
}
