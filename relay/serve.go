package relay

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/printable"
)

// ServeHTTP serves call, answer and health, and nothing else.
func (r *Relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch req.URL.Path {
	case carrier.PathCall:
		r.serveCall(w, req)
	case carrier.PathAnswer:
		r.serveAnswer(w, req)
	case carrier.PathHealth:
		r.serveHealth(w, req)
	default:
		carrier.Refuse(w, reachback.Refuse(reachback.CodeNotFound), "")
	}
}

func (r *Relay) serveHealth(w http.ResponseWriter, req *http.Request) {
	if err := carrier.CheckMethod(w, req, http.MethodGet, http.MethodHead); err != nil {
		carrier.Refuse(w, err, "")
		return
	}
	r.mu.Lock()
	draining := r.draining
	r.mu.Unlock()
	if draining {
		carrier.Refuse(w, reachback.Refuse(reachback.CodeDraining), "")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	io.WriteString(w, `{"status":"ok"}`+"\n")
}

// serveCall keeps the request with net/http, which notices when the client leaves,
// until the host's leg is there. Then it returns, so that the goroutine and what
// the handshake needed of it are freed, and a fresh one runs the pair.
func (r *Relay) serveCall(w http.ResponseWriter, req *http.Request) {
	r.begin()
	c := &Call{Remote: carrier.Remote(req), Nonce: strings.Clone(req.Header.Get(carrier.HeaderNonce))}
	c.Token, c.Raw = carrier.Bearer(req.Header), c.Nonce == ""
	r.mu.Lock()
	r.total.Calls++
	r.mu.Unlock()
	if err := checkHead(w, req, carrier.HeaderCall, carrier.HeaderTicket); err != nil {
		carrier.Refuse(w, r.refuseHead(c.Remote, "call refused", err), "")
		return
	}
	p, err := r.Open(req.Context(), c)
	if err != nil {
		carrier.Refuse(w, err, "")
		return
	}
	client, err := carrier.Hijack(w)
	if err != nil {
		p.Close(reachback.CodeClientLost)
		return
	}
	h := http.Header{carrier.HeaderCorrelation: {c.CorrelationID}}
	if p.Permit.Grant != "" {
		h.Set(carrier.HeaderGrant, p.Permit.Grant)
	}
	if j, err := p.join(client, h); err == nil {
		go j.run() // counted in r.pairs, which Shutdown and Close wait for
	}
}

// checkHead refuses what is no Upgrade of ours, and a request that shows the
// credentials of another door.
func checkHead(w http.ResponseWriter, req *http.Request, foreign ...string) error {
	if err := carrier.CheckUpgrade(w, req); err != nil {
		return err
	}
	for _, f := range foreign {
		if len(req.Header.Values(f)) > 0 {
			return reachback.Refuse(reachback.CodeBadRequest)
		}
	}
	return nil
}

// refuseHead refuses a request before anything is known of it. It counts as a
// failed attempt of its address.
func (r *Relay) refuseHead(from netip.AddrPort, what string, err error) error {
	if r.failures.Blocked(from.Addr(), time.Now()) { // and nothing is logged of it
		err = reachback.Refuse(reachback.CodeRateLimited)
	}
	e := *reachback.AsError(err)
	e.CorrelationID = newCorrelation()
	if e.Code != reachback.CodeRateLimited {
		r.failures.Fail(from.Addr(), time.Now())
	}
	r.refused(what, &e, err, slog.Any("remote", from))
	return &e
}

// refused counts and logs a refusal. The level tells who has to act: the operator
// on our own faults, nobody on a flood, of which the count is enough.
func (r *Relay) refused(what string, e *reachback.Error, err error, attrs ...slog.Attr) {
	r.mu.Lock()
	r.total.Refused[e.Code]++
	r.mu.Unlock()
	level := slog.LevelInfo
	switch status := e.Code.Status(); {
	case e.Code == reachback.CodeInternal:
		level = slog.LevelError
		attrs = append(attrs, slog.Any("err", err))
	case e.Code == reachback.CodeRateLimited:
		level = slog.LevelDebug
	case status < http.StatusInternalServerError:
		level = slog.LevelWarn
	}
	attrs = append(attrs, slog.String("correlation_id", printable.Clip(e.CorrelationID)), slog.String("code", printable.Clip(string(e.Code))))
	r.log().LogAttrs(context.Background(), level, what, attrs...)
}

func (r *Relay) log() *slog.Logger {
	if r.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Logger
}
