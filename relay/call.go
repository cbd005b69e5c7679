package relay

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/limit"
	"github.com/reachback/reachback/internal/printable"
	"github.com/reachback/reachback/internal/token"
)

// Lengths of a call id and a ticket before and after their base64url.
const (
	idBytes, idLen         = 16, 22
	ticketBytes, ticketLen = 32, 43
)

// waiting is a call from its registration until it is joined or given up:
//
//	asked ──permit──▶ permitted ──host's answer──▶ met ──▶ joined
//	  └────────────────────┴──────────────────────────┴───▶ given up (cancel)
//
// An answer that comes while the call is only asked is parked.
type waiting struct {
	call    *Call
	started time.Time
	user    string // this and about are there once the token has proved genuine
	about   Event  // what all events of the call have in common
	// ctx ends when the call is joined or given up; its cause is the refusal
	// that answers which wait for this call get.
	ctx    context.Context
	cancel context.CancelCauseFunc
	met    chan struct{} // closed when winner is set

	// Guarded by Relay.mu.
	permit *Permit
	parked []*answer
	winner *answer // it spent the ticket
}

// Open decides about c, whose Token, Nonce, Remote and Raw are set, Resource may be,
// and whose other fields it sets, and returns when the host's leg is there. A refusal
// is a *reachback.Error; it is logged and counted here.
func (r *Relay) Open(ctx context.Context, c *Call) (*Pending, error) {
	r.begin()
	w := &waiting{call: c, started: time.Now(), met: make(chan struct{})}
	err := r.admit(ctx, w)
	if err == nil {
		r.Orchestrator.Report(w.event(EventCalled, ""))
		err = r.orchestrate(ctx, w)
	}
	if err == nil {
		return &Pending{Permit: w.permit, relay: r, call: w}, nil
	}
	r.giveUp(w, reachback.CodeOf(err))
	return nil, r.turnAway(c, err)
}

// admit checks what the relay can check by itself, cheapest first, and registers
// the call as waiting.
func (r *Relay) admit(ctx context.Context, w *waiting) error {
	t, err := r.verify(w.call)
	if said := token.Genuine(t, err); said != nil {
		w.know(said, r.URL)
	}
	if err == nil {
		err = fits(w.call, t)
	}
	if err != nil {
		return err
	}
	c := w.call

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return reachback.Refuse(reachback.CodeDraining)
	}
	if r.perUser[w.user] >= r.Limits.waitingPerUser() {
		return reachback.Refuse(reachback.CodeTooManyWaiting)
	}
	// Open's ctx bounds only Open; the call lives on in the Pending.
	timeout := reachback.Refuse(reachback.CodeHostTimeout)
	tctx, stop := context.WithTimeoutCause(context.WithoutCancel(ctx), r.Limits.callTimeout(), timeout)
	wctx, cancel := context.WithCancelCause(tctx)
	w.ctx, w.cancel = wctx, func(cause error) { cancel(cause); stop() }
	r.waiting[c.ID] = w
	r.perUser[w.user]++
	return nil
}

// verify checks c's token, in the way and with both results of
// [token.VerifyConnection].
func (r *Relay) verify(c *Call) (*token.Connection, error) {
	if r.Orchestrator == nil || r.URL == "" {
		return nil, errors.New("relay: Orchestrator and URL are required")
	}
	leave, err := r.enter(c.Remote.Addr())
	if err != nil {
		return nil, err
	}
	defer leave()
	keys := r.Orchestrator.Trust().Keys
	if keys == nil {
		return nil, reachback.Refuse(reachback.CodeUnavailable)
	}
	return token.VerifyConnection(keys, c.Token, time.Now())
}

// fits refuses a call that is not what its genuine token is for.
func fits(c *Call, t *token.Connection) error {
	switch {
	case c.Raw != t.Raw(), c.Raw != (c.Nonce == ""), !c.Raw && !validNonce(c.Nonce):
		return reachback.Refuse(reachback.CodeBadRequest)
	case c.Resource != "" && c.Resource != t.Resource:
		return reachback.Refuse(reachback.CodeWrongResource)
	}
	return nil
}

// maxSubject is how many bytes of a user's subject an event holds: what OpenID
// Connect allows.
const maxSubject = 255

// know takes from a genuine token who calls, and gives the call its id and ticket.
// Of the token nothing is kept but copies: it is long, the call may be too.
func (w *waiting) know(t *token.Connection, url string) {
	c := w.call
	if c.CorrelationID = newCorrelation(); visible(t.CorrelationID) {
		c.CorrelationID = strings.Clone(t.CorrelationID)
	}
	c.ID, c.Ticket, c.Gateway = random(idBytes), Ticket(random(ticketBytes)), url
	w.user = t.User.ID()
	w.about = Event{
		Gateway: url, Call: c.ID, CorrelationID: c.CorrelationID, Remote: c.Remote,
		Tenant:   strings.Clone(printable.Clip(t.User.Tenant)),
		User:     strings.Clone(printable.ClipTo(t.User.Subject, maxSubject)),
		Resource: strings.Clone(printable.Clip(t.Resource)),
	}
}

// orchestrate asks for the permit, and waits until the permitted host's answer has
// spent the ticket.
func (r *Relay) orchestrate(ctx context.Context, w *waiting) error {
	stop := context.AfterFunc(ctx, func() { w.cancel(reachback.Refuse(reachback.CodeClientLost)) })
	defer stop()
	p, err := r.Orchestrator.Orchestrate(w.ctx, w.call)
	if err != nil {
		if cause := context.Cause(w.ctx); cause != nil {
			return cause
		}
		return err
	}
	if p == nil {
		return errors.New("relay: Orchestrate returned neither permit nor error")
	}
	if err := r.permit(w, p); err != nil {
		return err
	}
	select {
	case <-w.met:
		r.Orchestrator.Report(w.event(EventAnswered, ""))
		return nil
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

// permit takes note of the only host that may answer, and settles the answers that
// came before.
func (r *Relay) permit(w *waiting, p *Permit) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.permit = p
	if err := r.killed.check(p); err != nil {
		return err
	}
	parked := w.parked
	w.parked = nil
	for _, a := range parked {
		if err := w.match(a); err != nil {
			a.settle(err)
		}
	}
	return nil
}

// match lets a spend the ticket, if it is the permitted host's and nobody did.
// Relay.mu is held and the permit is there.
func (w *waiting) match(a *answer) error {
	switch {
	case a.host != w.permit.Host:
		return reachback.Refuse(reachback.CodeWrongHost)
	case w.winner != nil || w.ctx.Err() != nil:
		return reachback.Refuse(reachback.CodeTicketInvalid)
	}
	w.winner = a
	close(w.met)
	return nil
}

// forget takes w out of the waiting calls, and reports whether it was there: of all
// who end a call, one gets true. Its answers are refused with the cause.
func (r *Relay) forget(w *waiting, cause error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.cancel(cause)
	if r.waiting[w.call.ID] != w {
		return false
	}
	delete(r.waiting, w.call.ID)
	if r.perUser[w.user]--; r.perUser[w.user] == 0 {
		delete(r.perUser, w.user)
	}
	return true
}

// giveUp ends a call that was not joined. Of one whose token is not genuine there is
// nothing to report.
func (r *Relay) giveUp(w *waiting, c reachback.Code) {
	switch {
	case w.about.Call == "", w.ctx != nil && !r.forget(w, reachback.Refuse(c)):
	case w.permit != nil:
		r.Orchestrator.Report(w.event(EventFailed, c))
	default:
		r.Orchestrator.Report(w.event(EventRefused, c))
	}
}

// event is one of the call's, as of now.
func (w *waiting) event(k EventKind, c reachback.Code) Event {
	e := w.about
	e.Kind, e.Code, e.Time, e.Duration = k, c, time.Now(), time.Since(w.started)
	if w.permit != nil {
		e.Session, e.Host = w.permit.Session, w.permit.Host
	}
	return e
}

// A Pending is a permitted call whose host's leg is there and waits. It must be
// spliced or closed; the call's timeout ends it otherwise.
type Pending struct {
	Permit *Permit

	relay *Relay
	call  *waiting
	once  sync.Once
}

// Splice tells the host's leg that it is joined and copies until both directions
// have ended. It closes both legs, and returns nil if the end was regular.
func (p *Pending) Splice(client net.Conn) error {
	pr, err := p.join(client, nil)
	if err != nil {
		return err
	}
	return pr.run()
}

// Close gives the call up, with the code that the host's leg and the records get.
// After Splice it does nothing.
func (p *Pending) Close(c reachback.Code) {
	p.once.Do(func() { p.relay.giveUp(p.call, c) })
}

// host takes the leg that spent the ticket out of the hands of its handler.
func (p *Pending) host() (*carrier.Conn, error) {
	a := p.call.winner
	a.settle(nil)
	if c := <-a.conn; c != nil {
		return c, nil
	}
	if cause := context.Cause(p.call.ctx); cause != nil {
		return nil, cause
	}
	return nil, reachback.Refuse(reachback.CodeHostLost)
}

// join joins the client's leg with the host's: it sends both their 101 and
// registers the pair. The client is an HTTP request's connection, to be answered
// with header, or, where header is nil, one that knows already. On failure
// client is closed.
func (p *Pending) join(client net.Conn, header http.Header) (*joint, error) {
	err := net.ErrClosed
	var pr *joint
	p.once.Do(func() { pr, err = p.joinOnce(client, header) })
	return pr, err
}

// random returns n random bytes as base64url.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// validNonce reports whether s is a nonce as SPEC.md, section 3, has it.
func validNonce(s string) bool { return len(s) >= 16 && len(s) <= 64 && isBase64URL(s) }

func isBase64URL(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// visible reports whether s can be a header field's value and stand in a record
// as it is.
func visible(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return s != "" && len(s) <= printable.MaxLen
}

func equalSecret(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// blames reports whether a refusal with that code is counted against the address:
// a wrong or reused credential, which costs us signatures or the broker a look.
func blames(c reachback.Code) bool {
	switch c {
	case reachback.CodeTokenMissing, reachback.CodeTokenInvalid, reachback.CodeTokenExpired, reachback.CodeTokenNotYetValid,
		reachback.CodeTokenReplayed, reachback.CodeTokenStale, reachback.CodeWrongAudience, reachback.CodeRawNotAllowed,
		reachback.CodeNotAssigned, reachback.CodeResourceNotFound, reachback.CodeWrongResource, reachback.CodeTicketInvalid, reachback.CodeWrongRole,
		reachback.CodeCertificateMissing, reachback.CodeCertificateInvalid, reachback.CodeCertificateExpired,
		reachback.CodeHostRevoked, reachback.CodeHostUnknown, reachback.CodeBadRequest, reachback.CodeMethodNotAllowed:
		return true
	}
	return false
}

// enter counts a request of an address whose credentials are not verified yet,
// until leave is called. Addresses that failed too often are refused here, before
// anything is computed for them.
func (r *Relay) enter(a netip.Addr) (leave func(), err error) {
	if r.failures.Blocked(a, time.Now()) {
		return nil, reachback.Refuse(reachback.CodeRateLimited)
	}
	p := limit.Prefix(a)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return nil, reachback.Refuse(reachback.CodeDraining)
	}
	if r.unverified[p] >= r.Limits.waitingPerAddress() {
		return nil, reachback.Refuse(reachback.CodeTooManyWaiting)
	}
	r.unverified[p]++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.unverified[p]--; r.unverified[p] == 0 {
			delete(r.unverified, p)
		}
	}, nil
}

// newCorrelation names a connection that no token has named.
func newCorrelation() string { return rand.Text() }
