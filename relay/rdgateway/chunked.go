package rdgateway

import (
	"errors"
	"io"
)

// maxChunkLine bounds the line in front of a chunk: its size, what is said beside, CR
// and LF.
const maxChunkLine = 256

// maxChunkDigits are those of the largest size, leading zeros included.
const maxChunkDigits = 16

var errChunk = errors.New("rdgateway: malformed chunk")

// A dechunker takes the chunked transfer coding off a request's body (RFC 9112,
// section 7.1), which may be cut anywhere. It takes no line for one that net/http
// takes for another: a line ends with CR and LF, and neither stands within it.
// Extensions are passed over. Nothing is allocated for a size that a chunk announces.
// With the last chunk the body has ended, and so has its connection: there is nobody
// to read trailers. Its zero value is ready.
type dechunker struct {
	state chunkState
	left  uint64 // the chunk's size as far as it is known, then what is to come of it
	line  int    // bytes of the line at hand
}

// A chunkState says what comes next.
type chunkState byte

const (
	chunkSize      chunkState = iota
	chunkPadding              // blanks behind the size
	chunkExtension            // anything to the end of the line
	chunkLineFeed             // of the line in front of the chunk
	chunkData
	chunkEnd // the CR and the LF behind a chunk
	chunkEndLineFeed
)

// strip moves what the chunks in p carry to its front. The error is io.EOF behind the
// line of the last chunk. There is never an answer.
func (d *dechunker) strip(p []byte) (n int, answer []byte, err error) {
	for in := p; len(in) > 0; {
		if d.state == chunkData {
			k := int(min(uint64(len(in)), d.left))
			n += copy(p[n:], in[:k])
			in, d.left = in[k:], d.left-uint64(k)
			if d.left == 0 {
				d.state = chunkEnd
			}
			continue
		}
		if err := d.take(in[0]); err != nil {
			return n, nil, err
		}
		in = in[1:]
	}
	return n, nil, nil
}

// take takes a byte of what stands around chunks.
func (d *dechunker) take(b byte) error {
	if d.line++; d.line > maxChunkLine {
		return errChunk
	}
	digit, isDigit := hexDigit(b)
	switch s := d.state; {
	case s == chunkSize && isDigit && d.line <= maxChunkDigits:
		d.left = d.left<<4 | digit
	case s == chunkSize && d.line == 1:
		return errChunk
	case s == chunkSize && b == ';', s == chunkExtension && b != '\r' && b != '\n':
		d.state = chunkExtension
	case s <= chunkPadding && (b == ' ' || b == '\t'):
		d.state = chunkPadding
	case s <= chunkExtension && b == '\r':
		d.state = chunkLineFeed
	case s == chunkLineFeed && b == '\n':
		if d.left == 0 {
			return io.EOF
		}
		d.state, d.line = chunkData, 0
	case s == chunkEnd && b == '\r':
		d.state = chunkEndLineFeed
	case s == chunkEndLineFeed && b == '\n':
		d.state, d.line = chunkSize, 0
	default:
		return errChunk
	}
	return nil
}

func hexDigit(b byte) (v uint64, ok bool) {
	switch {
	case '0' <= b && b <= '9':
		return uint64(b - '0'), true
	case 'a' <= b && b <= 'f':
		return uint64(b-'a') + 10, true
	case 'A' <= b && b <= 'F':
		return uint64(b-'A') + 10, true
	}
	return 0, false
}
