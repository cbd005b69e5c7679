package broker

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

const (
	// The wait before attempt n is anywhere between nothing and
	// backoffBase·2ⁿ, backoffMost at most. A channel that stood for stableAfter
	// starts the count again.
	backoffBase = 500 * time.Millisecond
	backoffMost = 30 * time.Second
	stableAfter = 30 * time.Second

	// While a broker that restarts is expected back, attempts are at most
	// tryForMost apart; it cannot name a time longer than maxPromise.
	tryForMost = 2 * time.Second
	maxPromise = 5 * time.Minute

	// A superseded agent waits this long, and up to half as long again. It may
	// be the older of two machines with one identity: they then replace each
	// other often enough to be found out, and no more often.
	supersededWait = 10 * time.Second
)

// Run keeps a control channel until ctx ends, whose cause it returns, or the
// broker refuses for good. It redials with jitter. One Run at a time. It waits for
// Health and Control to return, whose contexts end with it.
func (a *Agent) Run(ctx context.Context, h Handler) error {
	r := &redial{}
	p := a.party()
	during, end := context.WithCancel(ctx)
	beside := a.besides(during)
	defer beside.wg.Wait()
	defer end()
	return p.keep(ctx, r, func(conn *carrier.Conn) (bool, error) {
		c := &agentChannel{
			channel: newChannel(conn), agent: a, party: p, handler: h, redial: r, beside: beside,
			summons: make(chan struct{}, maxSummons),
		}
		defer context.AfterFunc(ctx, func() { c.end(reachback.Refuse(reachback.CodeClosed), true) })()
		err := c.serve()
		return c.welcomed, err
	})
}

// redial is what a party remembers from one attempt to the next.
type redial struct {
	welcomed bool
	failures int
	notUntil time.Time // a restarting broker asked for it
	tryUntil time.Time // and promised to be back by then
}

// next returns how long to wait before the next attempt.
func (r *redial) next(code reachback.Code, now time.Time) time.Duration {
	most := min(backoffBase<<min(r.failures, 10), backoffMost)
	r.failures++
	switch {
	case code == reachback.CodeDuplicateHost:
		return backoffMost + rand.N(backoffMost/2)
	case code == reachback.CodeSuperseded:
		return supersededWait + rand.N(supersededWait/2)
	case now.Before(r.notUntil):
		r.failures = 0
		return r.notUntil.Sub(now)
	case now.Before(r.tryUntil):
		most = min(most, tryForMost)
	}
	return rand.N(most)
}

// Send sends an application's message to the broker and returns the answer.
func (a *Agent) Send(ctx context.Context, m *Message) (*Message, error) {
	a.mu.Lock()
	c := a.current
	a.mu.Unlock()
	if c == nil {
		return nil, reachback.Refuse(reachback.CodeBrokerUnreachable)
	}
	return c.sendApp(ctx, m)
}

// maxChanges is how many changes of sessions wait for a channel. The oldest are
// dropped; the full report after the next welcome corrects what they said.
const maxChanges = 1024

// Report queues a change of a session for the broker.
func (a *Agent) Report(r SessionReport) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Control != nil {
		a.users.reported(&r)
	}
	if len(a.changes) >= maxChanges {
		a.changes = slices.Delete(a.changes, 0, 1)
	}
	a.changes = append(a.changes, r)
	if a.current != nil {
		a.current.reportChanges()
	}
}

// Drain tells the broker, now and after each welcome, to send no new users, or
// to send them again.
func (a *Agent) Drain(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draining = on
	if a.current != nil {
		a.current.send(&drainMessage{On: on})
	}
}
