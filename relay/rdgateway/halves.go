package rdgateway

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

// A client without WebSocket has two connections: on OUT it is answered a body
// without end, on IN it sends one. What they have in common is the connection id
// that the client drew and the address that they come from. So the halves of one
// tunnel are found under both, whichever comes first: nobody can take, or keep
// another from taking, a half of a client at another address. The token comes on IN
// when the pair is made, and is the only one that the tunnel ever has.

// pairKey is what two halves have in common.
type pairKey struct {
	from netip.Addr
	id   string
}

// A pair is a tunnel of two halves, from the first one's arrival to the end.
type pair struct {
	hasOut bool          // guarded by Handler.mu, as in
	in     *inbound      // nil until it is there
	met    chan struct{} // closed when both are there, from when on OUT owns in
}

// enter registers a half, OUT where in is nil. A half that is there already is not
// replaced.
func (h *Handler) enter(k pairKey, in *inbound) (*pair, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pairs[k]
	if p == nil {
		p = &pair{met: make(chan struct{})}
		h.pairs[k] = p
	}
	switch {
	case in == nil && p.hasOut, in != nil && p.in != nil:
		return nil, reachback.Refuse(reachback.CodeBadRequest)
	case in == nil:
		p.hasOut = true
	default:
		p.in = in
	}
	if p.hasOut && p.in != nil {
		close(p.met)
	}
	return p, nil
}

// leave takes out a pair whose tunnel has ended.
func (h *Handler) leave(k pairKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pairs, k)
}

// serveIn serves both requests of the IN connection. The first has no body and asks
// whether it may come. The second has the tunnel's bytes as its body and is answered
// only when the tunnel has ended, so its connection is taken before anything of that
// is read.
func (h *Handler) serveIn(w http.ResponseWriter, r *http.Request, k pairKey, from netip.AddrPort) error {
	if !hasBody(r) {
		w.Header().Set("Content-Length", "0")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if r.ContentLength >= 0 { // a tunnel's length is not known
		return reachback.Refuse(reachback.CodeBadRequest)
	}
	yield := make(chan struct{})
	s, err := h.setUp(k.from, func() { close(yield) })
	if err != nil {
		return err
	}
	expected := r.Header.Get("Expect") != "" // net/http refuses all but 100-continue
	conn, err := carrier.Hijack(w)
	if err != nil {
		s.done()
		return err
	}
	in := &inbound{conn: conn, coding: &dechunker{}}
	if h.run(in, func() {
		defer s.done() // OUT counts for the tunnel
		if expected {
			io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		if err := h.await(k, in, yield); err != nil {
			s.done()
			in.end(refusal(reachback.AsError(h.Relay.Refuse(from, err))))
		}
	}) != nil {
		s.done()
	}
	return nil
}

// await enters the IN half, and waits for the tunnel to take it. With an error it has
// not.
func (h *Handler) await(k pairKey, in *inbound, yield <-chan struct{}) error {
	gone := make(chan struct{})
	in.watch(func() { close(gone) }) // before the tunnel can have it
	p, err := h.enter(k, in)
	if err != nil {
		in.rest()
		return err
	}
	wait := time.NewTimer(h.Limits.setup())
	defer wait.Stop()
	why := reachback.CodeBadRequest
	select {
	case <-p.met:
	case <-gone:
	case <-wait.C:
	case <-yield:
		why = reachback.CodeTooManyWaiting
	case <-h.ending.Done():
	}
	if !h.leaveUnmet(k, p) {
		return nil
	}
	if err := in.rest(); reachback.CodeOf(err) == reachback.CodeClientLost {
		return err // which is no fault
	}
	return reachback.Refuse(why)
}

// leaveUnmet takes out a pair of which only one half is there, and reports whether it
// was such a one.
func (h *Handler) leaveUnmet(k pairKey, p *pair) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.hasOut && p.in != nil {
		return false
	}
	delete(h.pairs, k)
	return true
}

// abandon takes out a pair whose OUT half came to nothing.
func (h *Handler) abandon(k pairKey, p *pair) {
	if h.leaveUnmet(k, p) {
		return
	}
	h.leave(k)
	p.in.rest()
	p.in.end([]byte(inAnswer))
}

// watchOut notices a client that closes OUT, where it has nothing to send, while it
// has not come with IN. stop must be called.
func (t *tunnel) watchOut() (gone <-chan struct{}, stop func()) {
	left, done := make(chan struct{}), make(chan struct{})
	go func() { // ends with stop, or before
		defer close(done)
		b := make([]byte, 512)
		for range maxWaiting / len(b) {
			if _, err := t.out.Read(b); err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					close(left)
				}
				return
			}
		}
	}()
	return left, func() {
		t.out.SetReadDeadline(time.Unix(1, 0))
		<-done
		t.out.SetReadDeadline(t.deadline)
	}
}
