package relay

import (
	"bytes"
	"cmp"
	"io"
	"sync"

	"github.com/reachback/reachback/internal/tlsrecord"
)

// A batch holds the records that one system call receives and another sends on. It
// fits into a core's cache with room to spare.
type batch [64 << 10]byte

var batches = sync.Pool{New: func() any { return new(batch) }}

// copyRecords is [direction.copy] between two legs whose records are the relay's.
// Each record is opened and sealed again where it lies. While nothing comes no
// batch is held, and of a record that has come in part only that part.
func (d *direction) copyRecords(src, dst *recordLeg) error {
	if len(d.first) > 0 {
		if err := d.writeEarly(dst, d.first); err != nil {
			return err
		}
		d.first = nil
	}
	err := src.earlyEnd
	if early := src.early; len(early) > 0 {
		src.early = nil
		if d.strip != nil {
			n, serr := d.strip(early)
			early, err = early[:n], cmp.Or(serr, err)
		}
		if werr := d.writeEarly(dst, early); werr != nil {
			return werr
		}
	}
	d.srcFailed = err != nil && err != io.EOF
	for part := []byte(nil); err == nil; {
		b, have := src.wire.await(part)
		have, err = d.passBatch(src, dst, b, have)
		if part = nil; have > 0 {
			part = bytes.Clone(b[:have])
		}
		batches.Put(b)
	}
	if err == io.EOF {
		d.ended.Store(true)
		if d.wrap != nil {
			return d.wrap.leg.finish()
		}
		return dst.finish()
	}
	return err
}

func (d *direction) writeEarly(dst *recordLeg, early []byte) error {
	if d.wrap != nil {
		d.wrap.add(early)
		return d.wrap.flush(d)
	}
	n, err := dst.Write(early)
	d.count(n)
	return err
}

// passBatch passes on the have bytes in b and what src has beyond. It returns how
// many of a record that is not complete yet stand at the front of b.
func (d *direction) passBatch(src, dst *recordLeg, b *batch, have int) (_ int, err error) {
	pass := d.pass
	if d.wrap != nil {
		pass = d.passWrapped
		defer d.wrap.release()
	}
	for {
		var perr error
		if have, perr = pass(src, dst, b, have); perr != nil {
			return 0, perr
		}
		switch err {
		case nil:
		case errDry:
			return have, d.flush()
		default:
			d.flush()
			d.srcFailed = true
			return 0, err
		}
		var n int
		n, err = src.wire.receive(b[have:])
		have += n
	}
}

// pass opens, seals and sends the whole records among the first have bytes of b, and
// moves what is left to the front. io.EOF is the end of src's direction.
func (d *direction) pass(src, dst *recordLeg, b *batch, have int) (left int, err error) {
	in, out, content := 0, 0, 0 // bytes taken from b, put into it, and of content
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
		if dst.keysDue() {
			// That record must stand in front of those to come.
			if failed = d.send(dst, b[:out], &content); failed != nil {
				return 0, failed
			}
			out = 0
			if err := dst.updateSealer(); err != nil {
				return 0, err
			}
		}
		n, failed = src.open(b[in : in+size])
		if n > 0 && d.strip != nil {
			n, failed = d.strip(b[in+tlsrecord.HeaderLen : in+tlsrecord.HeaderLen+n])
		}
		if n > 0 {
			if out != in { // something before it was not passed on, or padded
				copy(b[out+tlsrecord.HeaderLen:], b[in+tlsrecord.HeaderLen:in+tlsrecord.HeaderLen+n])
			}
			out += len(dst.sealer.Seal(b[out:], n, tlsrecord.Application))
			content += n
		}
		in += size
	}
	if serr := d.send(dst, b[:out], &content); serr != nil {
		return 0, serr
	}
	if failed != nil {
		d.srcFailed = failed != io.EOF
		return 0, failed
	}
	return copy(b[:], b[in:have]), nil
}

// send sends sealed records and counts their content.
func (d *direction) send(dst *recordLeg, records []byte, content *int) error {
	if len(records) == 0 {
		return nil
	}
	if _, err := dst.wire.send(records); err != nil {
		return err
	}
	d.count(*content)
	*content = 0
	return nil
}
