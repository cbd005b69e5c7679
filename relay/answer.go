package relay

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/identity"
	"github.com/reachback/reachback/internal/printable"
)

// An answer is a host's leg that waits in its handler.
type answer struct {
	host string // id in its certificate
	// verdict gets nil, to hand the connection over, or a refusal. The first
	// counts; senders never wait.
	verdict chan error
	// conn gets exactly one value from the handler: the connection, or nil when
	// there is none. It never blocks the handler.
	conn chan *carrier.Conn
}

// settle tells the handler how it ends, if nobody did.
func (a *answer) settle(err error) {
	select {
	case a.verdict <- err:
	default:
	}
}

// serveAnswer keeps the request with net/http, which notices when the host leaves,
// until it is refused or the pair is joined.
func (r *Relay) serveAnswer(w http.ResponseWriter, req *http.Request) {
	r.begin()
	r.mu.Lock()
	r.total.Answers++
	r.mu.Unlock()
	from := carrier.Remote(req)
	refuse := func(call *waiting, host string, err error) {
		e := *reachback.AsError(err)
		attrs := []slog.Attr{slog.Any("remote", from)}
		if call != nil {
			e.CorrelationID = call.call.CorrelationID
			attrs = append(attrs, slog.String("call", call.call.ID), slog.String("host", printable.Clip(host)))
		} else {
			e.CorrelationID = newCorrelation()
		}
		if blames(e.Code) {
			r.failures.Fail(from.Addr(), time.Now())
		}
		r.refused("answer refused", &e, err, attrs...)
		carrier.Refuse(w, &e, "")
	}

	call, host, err := r.checkAnswer(w, req)
	if err != nil {
		refuse(call, host, err)
		return
	}
	a := &answer{host: host, verdict: make(chan error, 1), conn: make(chan *carrier.Conn, 1)}
	if err := r.park(call, a); err != nil {
		refuse(call, host, err)
		return
	}
	select {
	case err = <-a.verdict:
		if err == nil {
			var c *carrier.Conn
			if req.Context().Err() == nil {
				c, _ = carrier.Hijack(w)
			}
			a.conn <- c
			return
		}
	case <-call.ctx.Done():
		if err = context.Cause(call.ctx); reachback.CodeOf(err) == reachback.CodeHostTimeout {
			err = reachback.Refuse(reachback.CodeTicketInvalid) // its own host was not late
		}
	case <-req.Context().Done():
		err = reachback.Refuse(reachback.CodeHostLost)
		r.unpark(call, a)
	}
	a.conn <- nil
	refuse(call, host, err)
}

// checkAnswer checks an answer, cheapest first: no certificate is looked at for a
// call that does not wait or a ticket that is not its own. The call is returned
// with an error too once the ticket has proved that the peer knows of it.
func (r *Relay) checkAnswer(w http.ResponseWriter, req *http.Request) (call *waiting, host string, err error) {
	leave, err := r.enter(carrier.Remote(req).Addr())
	if err != nil {
		return nil, "", err
	}
	defer leave()
	if err := checkHead(w, req, "Authorization", carrier.HeaderNonce); err != nil {
		return nil, "", err
	}
	id, ticket := req.Header.Get(carrier.HeaderCall), req.Header.Get(carrier.HeaderTicket)
	if len(id) != idLen || len(ticket) != ticketLen || !isBase64URL(id) || !isBase64URL(ticket) {
		return nil, "", reachback.Refuse(reachback.CodeBadRequest)
	}
	r.mu.Lock()
	call = r.waiting[id]
	r.mu.Unlock()
	if call == nil || !equalSecret(ticket, string(call.call.Ticket)) {
		return nil, "", reachback.Refuse(reachback.CodeTicketInvalid)
	}
	trust := r.Orchestrator.Trust()
	host, err = identity.Verify(req.TLS, trust.HostCA, time.Now())
	if err == nil && trust.Revoked != nil && trust.Revoked(host) {
		err = reachback.Refuse(reachback.CodeHostRevoked)
	}
	return call, host, err
}

// park lets an answer wait for its verdict; it may have it at once.
func (r *Relay) park(w *waiting, a *answer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.waiting[w.call.ID] != w:
		return reachback.Refuse(reachback.CodeTicketInvalid)
	case w.permit != nil:
		return w.match(a)
	case len(w.parked) >= maxAnswers,
		// One host that has the ticket must not keep the others out.
		slices.ContainsFunc(w.parked, func(o *answer) bool { return o.host == a.host }):
		return reachback.Refuse(reachback.CodeTooManyWaiting)
	}
	w.parked = append(w.parked, a)
	return nil
}

// unpark takes an answer whose host left out of those that wait.
func (r *Relay) unpark(w *waiting, a *answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(w.parked, a); i >= 0 {
		w.parked = slices.Delete(w.parked, i, i+1)
	}
}
