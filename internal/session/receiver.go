package session

import (
	"math"

	"github.com/reachback/reachback"
)

// ackBytes is how much is taken at most without an acknowledgement, and how much
// is read before a sender near its limit is told.
const ackBytes = 256 << 10

// A receiver is the state of the incoming direction. Its owner's mutex guards it.
type receiver struct {
	window  uint64
	buf     buffer // taken and not read yet
	next    uint64 // the first offset that was not taken yet
	discard bool   // nobody reads any more; what comes counts as read

	hasFIN bool   // FIN was named
	fin    uint64 // its number
	ended  bool   // FIN was taken, and so was everything before it

	acked uint64 // the last ACK's offset
	limit uint64 // the last limit told; starts as HELLO's
}

// check judges the head of a DATA frame with n bytes, and tells how many of
// these were taken before. On an ordered path there are no holes.
func (r *receiver) check(offset uint64, n int, fin bool) (skip int, err error) {
	if offset > math.MaxUint64-1-maxData {
		return 0, reachback.Refuse(reachback.CodeWindowExceeded)
	}
	end := offset + uint64(n)
	switch {
	case end > r.limit:
		return 0, reachback.Refuse(reachback.CodeWindowExceeded)
	case offset > r.next,
		r.hasFIN && (end > r.fin || fin && end != r.fin),
		fin && end < r.next:
		return 0, reachback.Refuse(reachback.CodeProtocolError)
	}
	if fin {
		r.hasFIN, r.fin = true, end
	}
	return int(min(uint64(n), r.next-offset)), nil
}

// took accounts for n more bytes that were put into the buffer, or thrown away
// where they are discarded.
func (r *receiver) took(n int) { r.next += uint64(n) }

// offset is what an ACK says now: FIN takes one number.
func (r *receiver) offset() uint64 {
	if r.ended {
		return r.next + 1
	}
	return r.next
}

// room is the limit that an ACK says now. It takes no notice of FIN, and never
// goes back.
func (r *receiver) room() uint64 { return r.next - uint64(r.buf.n) + r.window }

// ackDue tells how urgent an ACK is. It is due at once when the sender could come
// to a stop for want of it, or waits for the end; soon when something is
// unacknowledged, so that the sender need not keep it.
func (r *receiver) ackDue() (now, soon bool) {
	unacked, opened, left := r.offset()-r.acked, r.room()-r.limit, r.limit-r.next
	now = unacked >= max(1, min(ackBytes, r.window/4)) ||
		opened >= max(1, r.window/8) ||
		opened >= ackBytes/4 && left < r.window/4 ||
		r.ended && r.acked <= r.fin
	return now, unacked > 0
}

// ack returns what to say in an ACK and takes note that it was said.
func (r *receiver) ack() (offset, limit uint64) {
	r.acked, r.limit = r.offset(), r.room()
	return r.acked, r.limit
}
