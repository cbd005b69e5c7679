package relay

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/token"
)

// A front door lets clients of another protocol call. It has the methods below for
// what comes before Open, so that its clients count for the same limits and stand
// in the same log as any other.

// Knock refuses an address at once that has failed too often, and everybody while
// the relay is going down. It looks at no credentials and logs nothing.
func (r *Relay) Knock(from netip.Addr) error {
	r.begin()
	if r.failures.Blocked(from, time.Now()) {
		return reachback.Refuse(reachback.CodeRateLimited)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return reachback.Refuse(reachback.CodeDraining)
	}
	return nil
}

// Check refuses a call that Open would refuse without asking the orchestrator, and
// otherwise returns the resource that the token is for. It spends nothing and sets
// nothing in c. A refusal is logged, counted and reported as that of a call.
func (r *Relay) Check(c *Call) (resource string, err error) {
	r.begin()
	called := *c
	w := &waiting{call: &called, started: time.Now()}
	t, err := r.verify(&called)
	if said := token.Genuine(t, err); said != nil {
		w.know(said, r.URL)
	}
	if err == nil {
		err = fits(&called, t)
	}
	if err == nil {
		return t.Resource, nil
	}
	r.giveUp(w, reachback.CodeOf(err))
	return "", r.turnAway(&called, err)
}

// Refuse logs and counts the refusal of a call that did not come as far as Open, and
// returns it as what the client is to be told. Err may be anything.
func (r *Relay) Refuse(from netip.AddrPort, err error) *reachback.Error {
	r.begin()
	return r.turnAway(&Call{Remote: from}, err)
}

func (r *Relay) turnAway(c *Call, err error) *reachback.Error {
	e := *reachback.AsError(err)
	if e.CorrelationID = c.CorrelationID; e.CorrelationID == "" {
		e.CorrelationID = newCorrelation()
	}
	if blames(e.Code) {
		r.failures.Fail(c.Remote.Addr(), time.Now())
	}
	attrs := []slog.Attr{slog.Any("remote", c.Remote)}
	if c.ID != "" {
		attrs = append(attrs, slog.String("call", c.ID))
	}
	r.refused("call refused", &e, err, attrs...)
	return &e
}
