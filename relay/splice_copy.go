package relay

import (
	"io"
	"sync"
	"sync/atomic"
)

// A direction copies from one leg to the other. The goroutine that runs copy
// owns it, but for ended.
type direction struct {
	src     source
	dst     sink
	records [2]*recordLeg // instead of src and dst where the records are the relay's
	first   []byte        // to be passed on before anything else
	strip   stripper      // takes a framing off what records carry; nil for none
	wrap    *wrapper      // puts one around it; nil for none
	counter *atomic.Int64 // may be nil
	most    int           // the most that dst takes at once; 0 is a chunk

	copied    int64
	srcFailed bool        // whether copy's error is src's
	ended     atomic.Bool // src has said its goodbye
}

// chunk is as much as one TLS record holds. What crypto/tls is given or asked
// for at once beyond that costs memory and saves nothing.
type chunk [16 << 10]byte

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// copy runs until src has ended and dst knows, and returns nil then. While
// nothing comes it holds no buffer.
func (d *direction) copy() error {
	if src, dst := d.records[0], d.records[1]; src != nil {
		return d.copyRecords(src, dst)
	}
	for {
		err := d.drain()
		if err == io.EOF {
			d.ended.Store(true)
			return d.dst.finish()
		}
		if err != nil {
			return err
		}
		d.src.wait()
	}
}

// drain copies what src has now, in full records as far as it goes. It never
// keeps a byte back to wait for more.
func (d *direction) drain() error {
	c := chunks.Get().(*chunk)
	defer chunks.Put(c)
	b := c[:]
	if d.most > 0 {
		b = c[:d.most]
	}
	for n := 0; ; {
		m, err := d.src.read(b[n:])
		n += m
		if n == len(b) || err != nil && n > 0 {
			if werr := d.dst.write(b[:n]); werr != nil {
				return werr
			}
			d.count(n)
			n = 0
		}
		switch err {
		case nil:
		case errDry:
			return nil
		default:
			d.srcFailed = err != io.EOF
			return err
		}
	}
}

// count takes note of bytes that were handed over.
func (d *direction) count(n int) {
	d.copied += int64(n)
	if d.counter != nil {
		d.counter.Add(int64(n))
	}
}
