package rdgateway

import (
	"io"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/reachback/reachback"
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
	met    chan struct{} // closed when both are there
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
// whether it may come; the second has the tunnel's bytes as its body, and is
// answered only when the tunnel has ended.
func (h *Handler) serveIn(w http.ResponseWriter, r *http.Request, k pairKey) error {
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
	defer s.done()
	in := newInbound(w, r)
	defer in.finish()
	in.lookAhead() // before the tunnel can have it
	p, err := h.enter(k, in)
	if err != nil {
		return err
	}
	wait := time.NewTimer(h.Limits.setup())
	defer wait.Stop()
	why := reachback.CodeBadRequest
	select {
	case <-p.met:
	case <-in.gone:
	case <-wait.C:
	case <-yield:
		why = reachback.CodeTooManyWaiting
	case <-h.ending.Done():
	}
	if h.leaveUnmet(k, p) {
		return reachback.Refuse(why)
	}
	s.done() // OUT counts for the tunnel
	<-in.over
	w.Header().Set("Connection", "close")
	return nil
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

// An inbound is the body of an IN request, as a source of the tunnel's bytes. Who
// reads it owns it, but for Close.
type inbound struct {
	body io.Reader
	over chan struct{} // closed when the tunnel has ended
	gone chan struct{} // closed when the client was seen to leave

	// What is read ahead lies in buf[at:n]. A read of a body that was broken off
	// cannot go on, so the one that is under way when Read comes is left to wait.
	buf     [512]byte // n and above it is lookAhead's goroutine's
	more    sync.Cond // on mu: the goroutine has read, or ended
	n, at   int
	err     error
	looking bool // the goroutine runs
	wanted  bool // it is to end when it has read

	mu  sync.Mutex               // guards what stands between it and buf
	ctl *http.ResponseController // nil once the request is over; guarded by mu
}

func newInbound(w http.ResponseWriter, r *http.Request) *inbound {
	in := &inbound{body: r.Body, ctl: http.NewResponseController(w), over: make(chan struct{}), gone: make(chan struct{})}
	in.more.L = &in.mu
	in.ctl.SetReadDeadline(time.Time{}) // the server's is for bodies that end
	return in
}

// lookAhead reads in the background, so that a client that leaves is noticed while
// nobody waits for what it sends. The goroutine ends when it has read something that
// Read waits for, when buf is full, or with Close; finish waits for it.
func (in *inbound) lookAhead() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.wanted = false; in.looking || in.err != nil {
		return
	}
	if in.at == in.n {
		in.at, in.n = 0, 0
	}
	if in.n == len(in.buf) {
		return
	}
	in.looking = true
	go func() {
		for in.lookOnce() {
		}
	}()
}

// lookOnce does one read of lookAhead, and reports whether there is to be another.
func (in *inbound) lookOnce() bool {
	n, err := in.body.Read(in.buf[in.n:])
	in.mu.Lock()
	defer in.mu.Unlock()
	in.n, in.err = in.n+n, err
	if err != nil {
		close(in.gone)
	}
	in.looking = err == nil && in.n < len(in.buf) && !in.wanted
	in.more.Broadcast()
	return in.looking
}

// Read fails with io.EOF also where the connection ended within the body: that is
// how these clients leave.
func (in *inbound) Read(p []byte) (n int, err error) {
	n, err = in.ahead(p)
	if n == 0 && err == nil {
		n, err = in.body.Read(p)
	}
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

// ahead takes what was read ahead, and waits for a read that is under way.
func (in *inbound) ahead(p []byte) (n int, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.wanted = true
	for in.at == in.n && in.looking {
		in.more.Wait()
	}
	n = copy(p, in.buf[in.at:in.n])
	if in.at += n; in.at == in.n {
		err = in.err
	}
	return n, err
}

// Close makes a Read that waits fail.
func (in *inbound) Close() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ctl == nil {
		return nil
	}
	return in.ctl.SetReadDeadline(time.Unix(1, 0))
}

// finish ends the request's use of the connection. Nobody reads any more.
func (in *inbound) finish() {
	in.Close()
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.looking {
		in.more.Wait()
	}
	in.ctl = nil
}
