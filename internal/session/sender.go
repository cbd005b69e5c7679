package session

import "github.com/reachback/reachback"

const (
	// maxUnacked bounds the bytes that a session keeps because the peer has
	// not acknowledged them.
	maxUnacked = 4 << 20
	// maxUnsent is the same for a raw session, which keeps bytes only until
	// the path has taken them.
	maxUnsent = 256 << 10
)

// A sender is the state of the outgoing direction. Offsets count bytes from the
// session's first; una <= next <= end <= limit. Its owner's mutex guards it.
type sender struct {
	buf   buffer // from una to end, so that another path can repeat them
	una   uint64 // all below is acknowledged
	next  uint64 // the first that is not sent yet
	end   uint64 // where the application's next byte goes
	limit uint64 // the peer takes no byte from here on
	max   uint64 // bounds end - una

	fin      bool // the application is done; FIN has the number end
	finSent  bool
	finAcked bool
}

// room is how many bytes the application may add. Only what the peer has room
// for is taken, so that everything taken, FIN included, can be sent at once.
func (s *sender) room() int {
	top := min(s.limit, s.una+s.max)
	if top <= s.end {
		return 0
	}
	return int(top - s.end)
}

// pending reports whether there is a DATA frame to send.
func (s *sender) pending() bool { return s.next < s.end || s.fin && !s.finSent }

// unacked reports whether the peer may not have all that was written.
func (s *sender) unacked() bool { return s.una < s.end || s.fin && !s.finAcked }

// peek returns the next DATA frame's offset and bytes, max at most, and whether
// FIN goes with it.
func (s *sender) peek(max int) (offset uint64, v views, n int, fin bool) {
	v, n = s.buf.peek(int(s.next-s.una), max)
	return s.next, v, n, s.fin && s.next+uint64(n) == s.end
}

// sent takes note of a DATA frame. It must come before the frame can reach the
// peer, because an acknowledgement of what was not sent is an error.
func (s *sender) sent(n int, fin bool) {
	s.next += uint64(n)
	s.finSent = s.finSent || fin
}

// acknowledge takes in an ACK. What an earlier ACK has said already, or what a
// later one said better, changes nothing.
func (s *sender) acknowledge(offset, limit uint64) error {
	top := s.next
	if s.finSent {
		top++
	}
	if offset > top {
		return reachback.Refuse(reachback.CodeProtocolError)
	}
	if s.finSent && offset == top {
		s.finAcked = true
		offset = s.end
	}
	if offset > s.una {
		s.buf.consume(int(offset - s.una))
		s.una = offset
	}
	s.limit = max(s.limit, limit)
	return nil
}
