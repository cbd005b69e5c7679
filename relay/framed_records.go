package relay

import (
	"io"
	"sync"

	"github.com/reachback/reachback/internal/tlsrecord"
)

// Where the records of both legs are the relay's, a framing costs a copy down, in
// which each piece gets its place behind its framing, and nothing but the work of
// the framing itself up.

// A stripper takes the framing off p, moves what it carried to the front, and
// returns how much that is; io.EOF where the client has ended.
type stripper func(p []byte) (int, error)

// stride is a full record with the header of TLS and all that seals it, and strides
// how many one system call sends.
const (
	stride  = tlsrecord.HeaderLen + tlsrecord.MaxContent + tlsrecord.Overhead
	strides = 4
)

type wrapBuffer [strides * stride]byte

var wrapBuffers = sync.Pool{New: func() any { return new(wrapBuffer) }}

// A wrapper collects what a framed leg is to be sent, as the pieces of records that
// are sealed when they are sent: what the gateway has to say itself, it says between
// two of these. The goroutine that copies down owns it.
type wrapper struct {
	leg  *framedLeg
	room int
	most int // of a piece
	buf  *wrapBuffer
	have int // bytes in the pieces, all but the last of which are full
}

// add takes as much of p as there is room for.
func (w *wrapper) add(p []byte) (n int) {
	if w.buf == nil {
		w.buf = wrapBuffers.Get().(*wrapBuffer)
	}
	for n < len(p) && w.have < strides*w.most {
		piece, at := w.have/w.most, w.have%w.most
		k := min(len(p)-n, w.most-at)
		copy(w.buf[piece*stride+tlsrecord.HeaderLen+w.room+at:], p[n:n+k])
		n, w.have = n+k, w.have+k
	}
	return n
}

// flush seals and sends the pieces.
func (w *wrapper) flush(d *direction) error {
	if w.have == 0 {
		return nil
	}
	l := w.leg
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	if l.ended {
		return errNoHalfClose
	}
	if l.records.keysDue() {
		if err := l.records.updateSealer(); err != nil {
			return err
		}
	}
	end := 0
	for left := w.have; left > 0; {
		n := min(left, w.most)
		record := w.buf[end:]
		content := record[tlsrecord.HeaderLen:]
		from := l.Framing.Wrap(content, n)
		size := w.room + n - from
		if from > 0 { // the framing of a short piece is shorter
			copy(content, content[from:w.room+n])
		}
		end += len(l.records.sealer.Seal(record, size, tlsrecord.Application))
		left -= n
	}
	if _, err := l.records.wire.send(w.buf[:end]); err != nil {
		return err
	}
	d.count(w.have)
	w.have = 0
	return nil
}

// release gives the buffer back, behind the last flush.
func (w *wrapper) release() {
	if w.buf != nil {
		wrapBuffers.Put(w.buf)
		w.buf, w.have = nil, 0
	}
}

// flush sends what a wrapper holds, because no more has come.
func (d *direction) flush() error {
	if d.wrap == nil {
		return nil
	}
	return d.wrap.flush(d)
}

// passWrapped is [direction.pass] to a framed leg.
func (d *direction) passWrapped(src, _ *recordLeg, b *batch, have int) (left int, err error) {
	in := 0
	var failed error
	for have-in >= tlsrecord.HeaderLen && failed == nil {
		size, lerr := tlsrecord.Length(b[in:])
		if lerr != nil {
			failed = lerr
			break
		}
		if have-in < size {
			break
		}
		var n int
		n, failed = src.open(b[in : in+size])
		for p := b[in+tlsrecord.HeaderLen : in+tlsrecord.HeaderLen+n]; len(p) > 0; {
			if p = p[d.wrap.add(p):]; len(p) > 0 {
				if err := d.wrap.flush(d); err != nil {
					return 0, err
				}
			}
		}
		in += size
	}
	if failed != nil {
		if err := d.wrap.flush(d); err != nil {
			return 0, err
		}
		d.srcFailed = failed != io.EOF
		return 0, failed
	}
	return copy(b[:], b[in:have]), nil
}
