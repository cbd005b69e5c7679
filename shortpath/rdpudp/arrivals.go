package rdpudp

import (
	"math/bits"
	"time"
)

// recentArrivals is for how many of the highest numbers the time of arrival is kept:
// those of an Ack, and as many again in case that it waits while others come.
const recentArrivals = 64

// arrivals are the packets of the receiver's window that have arrived. Numbers from low
// on may come; low is missing, or follows high.
type arrivals struct {
	low    uint64 // all below have arrived or are settled
	high   uint64 // the highest that arrived; low-1 before the first
	latest uint64 // that arrived last

	bits   []uint64 // of low and what follows, by number modulo the window
	window uint64
	recent [recentArrivals]arrival // by number
}

type arrival struct {
	seq uint64
	at  time.Duration
}

func (r *arrivals) started() bool { return r.bits != nil }

func (r *arrivals) start(low uint64, logWindow uint8) {
	r.low, r.high, r.window = low, low-1, 1<<logWindow
	r.bits = make([]uint64, max(r.window/64, 1))
}

// missing reports whether a packet has arrived while one before it has not.
func (r *arrivals) missing() bool { return r.low <= r.high }

// add reports whether seq, which is not beyond the window, arrives for the first time.
func (r *arrivals) add(seq uint64, at time.Duration) bool {
	word, bit := r.place(seq)
	if seq < r.low || *word&bit != 0 {
		return false
	}
	*word |= bit
	r.high, r.latest = max(r.high, seq), seq
	if e := &r.recent[seq%recentArrivals]; e.seq < seq {
		*e = arrival{seq, at}
	}
	r.advance()
	return true
}

// settle takes all below low for arrived.
func (r *arrivals) settle(low uint64) {
	if low-r.low >= r.window {
		clear(r.bits)
	} else {
		for seq := r.low; seq < low; {
			word, bit := r.place(seq)
			if bit == 1 && low-seq >= 64 {
				*word, seq = 0, seq+64
				continue
			}
			*word, seq = *word&^bit, seq+1
		}
	}
	r.low = low
	r.high = max(r.high, low-1)
	r.advance()
}

// advance moves low over what has arrived.
func (r *arrivals) advance() {
	for r.low <= r.high {
		n := bits.TrailingZeros64(^r.next(r.low))
		for range n {
			word, bit := r.place(r.low)
			*word &^= bit
			r.low++
		}
		if n < maxRun {
			return
		}
	}
}

// at returns when seq arrived, where that is still known.
func (r *arrivals) at(seq uint64) (time.Duration, bool) {
	e := &r.recent[seq%recentArrivals]
	return e.at, e.seq == seq
}

func (r *arrivals) place(seq uint64) (word *uint64, bit uint64) {
	return &r.bits[seq/64%uint64(len(r.bits))], 1 << (seq % 64)
}

// next returns a bit for each of the next 63 numbers from seq on, seq's the lowest.
// Those beyond high are zero.
func (r *arrivals) next(seq uint64) uint64 {
	i, shift := seq/64, seq%64
	m := r.bits[i%uint64(len(r.bits))] >> shift
	m |= r.bits[(i+1)%uint64(len(r.bits))] << (64 - shift)
	return m & (1<<min(r.high-seq+1, maxRun) - 1)
}

// elements writes the elements of a vector that begins with seq, as many as dst has
// room for, and returns how many, and where the next vector goes on: with a packet
// that has arrived, by which it is told from a first one.
func (r *arrivals) elements(dst []byte, seq uint64) (n int, next uint64) {
	for ; n < len(dst) && seq <= r.high; n++ {
		m := r.next(seq)
		left := min(r.high-seq+1, maxRun)
		received := m&1 != 0
		same := uint64(bits.TrailingZeros64(m))
		if received {
			same = uint64(bits.TrailingZeros64(^m))
		}
		if same = min(same, left); same < mapBits && same < left {
			dst[n] = byte(m & (1<<mapBits - 1))
			seq += mapBits
			continue
		}
		dst[n] = run(received, int(same))
		seq += same
	}
	for seq <= r.high {
		skip := uint64(bits.TrailingZeros64(r.next(seq)))
		if skip == 0 {
			break
		}
		seq += min(skip, maxRun) // the highest has arrived, so it ends there
	}
	return n, seq
}
