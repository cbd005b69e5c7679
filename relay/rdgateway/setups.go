package rdgateway

import (
	"container/list"
	"net/netip"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/limit"
)

// A setup counts a tunnel, or a half of one, while it is being set up.
//
// Where all that there may be are, the oldest one whose token nobody has seen yet
// gives way to a newcomer. Otherwise whoever has the addresses for it could keep
// everybody out with tunnels of which nothing more comes; so he would have to open
// as many as there may be within the moment that a good client needs for its token.
type setup struct {
	h    *Handler
	from netip.Prefix

	// Guarded by Handler.mu.
	over     bool
	stranger *list.Element // in Handler.strangers, nil once the token was seen to be good
	giveWay  func()        // ends what is counted, without waiting for it
}

// setUp counts what an address sets up until it is done. giveWay may be called as
// soon as setUp was, and once.
func (h *Handler) setUp(a netip.Addr, giveWay func()) (*setup, error) {
	s := &setup{h: h, from: limit.Prefix(a), giveWay: giveWay}
	out, err := h.admit(s)
	if out != nil {
		out()
	}
	return s, err
}

// admit adds s. Out, where it is not nil, ends what gives way for that.
func (h *Handler) admit(s *setup) (out func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, reachback.Refuse(reachback.CodeDraining)
	case h.setups[s.from] >= h.Limits.perAddress():
		return nil, reachback.Refuse(reachback.CodeTooManyWaiting)
	}
	if h.inSetup >= h.Limits.inAll() {
		oldest := h.strangers.Front()
		if oldest == nil {
			return nil, reachback.Refuse(reachback.CodeTooManyWaiting)
		}
		old := oldest.Value.(*setup)
		old.end()
		out = old.giveWay
	}
	h.setups[s.from]++
	h.inSetup++
	s.stranger = h.strangers.PushBack(s)
	return out, nil
}

// known notes that the token is good: s gives way to nobody any more.
func (s *setup) known() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.forget()
}

// done ends the counting. It may be called more than once.
func (s *setup) done() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.end()
}

// end is done, under the lock.
func (s *setup) end() {
	if s.over {
		return
	}
	s.over = true
	s.forget()
	s.h.inSetup--
	if s.h.setups[s.from]--; s.h.setups[s.from] == 0 {
		delete(s.h.setups, s.from)
	}
}

func (s *setup) forget() {
	if s.stranger != nil {
		s.h.strangers.Remove(s.stranger)
		s.stranger = nil
	}
}
