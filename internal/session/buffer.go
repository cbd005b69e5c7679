package session

import (
	"slices"
	"sync"
)

// chunkSize is large enough that copying is cheap, and small enough that a
// session with a few bytes on their way holds little.
const chunkSize = 32 << 10

type chunk [chunkSize]byte

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// A buffer is a queue of bytes in pooled chunks; an empty one holds none. One
// goroutine at a time fills it and one takes from it, each copying outside the
// lock that guards the buffer itself: views and reserve hand out the memory,
// consume and commit account for it.
type buffer struct {
	chunks   []*chunk // all but the last are full
	head     int      // where in the first chunk the queue begins
	n        int      // bytes in the queue
	reserved bool     // the tail is being filled outside the lock
	dropped  bool
}

// views are the up to three pieces of memory that hold the next bytes: more
// than the largest DATA frame.
type views [3][]byte

// peek returns where the bytes from the off-th on are, max at most, and how
// many these are.
func (b *buffer) peek(off, max int) (v views, n int) {
	at, left := b.head+off, min(max, b.n-off)
	for i := range v {
		if left <= 0 {
			break
		}
		c := b.chunks[at/chunkSize][at%chunkSize:]
		v[i] = c[:min(left, len(c))]
		at, left, n = at+len(v[i]), left-len(v[i]), n+len(v[i])
	}
	return v, n
}

// consume takes the first n bytes off the queue.
func (b *buffer) consume(n int) {
	if b.dropped {
		return
	}
	b.n -= n
	b.head += n
	for b.head >= chunkSize {
		chunks.Put(b.chunks[0])
		b.chunks = slices.Delete(b.chunks, 0, 1)
		b.head -= chunkSize
	}
	b.release()
}

// reserve returns free memory at the tail, at least one byte and max at most.
// Until commit nobody else may reserve.
func (b *buffer) reserve(max int) []byte {
	at := b.head + b.n
	if at == len(b.chunks)*chunkSize {
		b.chunks = append(b.chunks, chunks.Get().(*chunk))
	}
	b.reserved = true
	free := b.chunks[len(b.chunks)-1][at%chunkSize:]
	return free[:min(max, len(free))]
}

// commit appends the first n bytes of what was reserved to the queue.
func (b *buffer) commit(n int) {
	b.reserved = false
	if b.dropped {
		return
	}
	b.n += n
	b.release()
}

// release gives the last chunk back when nothing is in it.
func (b *buffer) release() {
	if b.n > 0 || b.reserved || len(b.chunks) == 0 {
		return
	}
	chunks.Put(b.chunks[0])
	if b.chunks, b.head = slices.Delete(b.chunks, 0, 1), 0; cap(b.chunks) > 16 {
		b.chunks = nil
	}
}

// drop empties the queue for good. Its chunks go to the garbage collector,
// because somebody may still be copying from or to one of them.
func (b *buffer) drop() {
	*b = buffer{dropped: true}
}
