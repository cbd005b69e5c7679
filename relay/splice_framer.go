package relay

// headerSize is the length of a TLS record's header, whose last two bytes are that
// of the rest (RFC 8446, section 5.1).
const headerSize = 5

// A framer follows the records in a stream of TLS, from the first byte or the end of
// some record on.
type framer struct {
	header [headerSize]byte
	have   int // bytes of the header
	body   int // bytes that are left of the record after its header
}

// left is how many bytes to the end of the header or record at hand, more than none.
func (f *framer) left() int {
	if f.body > 0 {
		return f.body
	}
	return headerSize - f.have
}

// between reports whether the stream stands between two records.
func (f *framer) between() bool { return f.have == 0 && f.body == 0 }

// passed takes note of bytes of the stream, no more than left.
func (f *framer) passed(p []byte) {
	if f.body > 0 {
		f.body -= len(p)
		return
	}
	if f.have += copy(f.header[f.have:], p); f.have == headerSize {
		f.have, f.body = 0, int(f.header[3])<<8|int(f.header[4])
	}
}
