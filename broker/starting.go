package broker

import (
	"context"
	"time"

	"github.com/reachback/reachback"
)

const (
	// startWithin bounds a Starter's Start.
	startWithin = time.Minute
	// startAgain is how long after a start no other one is asked for, unless a
	// host has come of it: machines take their time to boot. One that has failed
	// is tried again after startFailed, so that users who insist do not press on
	// a cloud that has nothing to give.
	startAgain  = time.Minute
	startFailed = 5 * time.Second
	// startPoll is how often a call looks for a host that came to another broker.
	startPoll = time.Second
	// startSlack is how long before its end a call stops waiting, so that it can
	// still say why.
	startSlack = 250 * time.Millisecond
	// maxStarts bounds the starts that are remembered at once.
	maxStarts = 256
)

// starting is a host that was asked for and may not be up yet.
type starting struct {
	request *StartRequest
	done    chan struct{} // closed when Start has returned
	err     error         // of Start; set before done is closed, under Broker.mu

	// Guarded by Broker.mu.

	arrived chan struct{} // closed and replaced when such a host has connected
	over    time.Time     // when Start returned
}

// reserveStarted has a host started for a reservation that found none up, and waits
// until there is a place on it. It gives up shortly before ctx ends, when the start
// fails, and when nobody waits for the decision any more.
func (b *Broker) reserveStarted(ctx context.Context, d *decision, r *Reservation) (*Session, error) {
	none := reachback.Refuse(reachback.CodeNoHost)
	st, err := b.starting(ctx, r)
	if err != nil {
		return nil, err
	}
	patience := time.NewTimer(startWithin)
	if t, ok := ctx.Deadline(); ok {
		patience.Reset(time.Until(t) - startSlack)
	}
	defer patience.Stop()
	for returned := st.done; ; {
		b.mu.Lock()
		arrived := st.arrived
		b.mu.Unlock()
		s, err := b.dir.Reserve(ctx, r)
		if reachback.CodeOf(err) != reachback.CodeNoHost {
			if err == nil {
				b.cameUp(st)
			}
			return s, err
		}
		select {
		case <-arrived:
		case <-time.After(startPoll):
			if b.abandoned(d) {
				return nil, reachback.Refuse(reachback.CodeClientLost)
			}
		case <-returned:
			if ctx.Err() != nil { // which has ended the start too
				return nil, context.Cause(ctx)
			}
			if st.err != nil {
				return nil, none
			}
			returned = nil
		case <-patience.C:
			return nil, none
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// starting returns the start that helps a reservation, and begins it if there is none.
func (b *Broker) starting(ctx context.Context, r *Reservation) (*starting, error) {
	a, err := b.dir.Assigned(ctx, &r.User, r.Resource)
	if err != nil {
		return nil, err
	}
	his, err := b.dir.Hosts(ctx, &HostQuery{Tenant: r.User.Tenant, Pool: a.Resource.Pool, AssignedTo: r.User.ID()})
	if err != nil {
		return nil, err
	}
	q := &StartRequest{Tenant: r.User.Tenant, Pool: a.Resource.Pool, User: r.User, CorrelationID: r.CorrelationID}
	for _, h := range his {
		if !h.Revoked {
			q.Host = h.ID
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if st := b.starts[q.key()]; st != nil && !st.stale(time.Now()) {
		return st, nil
	}
	if b.closing || len(b.starts) >= maxStarts {
		return nil, reachback.Refuse(reachback.CodeNoHost)
	}
	st := &starting{request: q, done: make(chan struct{}), arrived: make(chan struct{})}
	b.starts[q.key()] = st
	b.wg.Go(func() { b.startHost(st, r.Resource) })
	return st, nil
}

// key names what is started at most once at a time.
func (q *StartRequest) key() string { return q.Tenant + "\x00" + q.Pool + "\x00" + q.Host }

// startHost has the Starter start a host, in a goroutine of its own.
func (b *Broker) startHost(st *starting, resource string) {
	q := st.request
	ctx, cancel := context.WithTimeout(b.ctx, startWithin)
	defer cancel()
	began := time.Now()
	err := b.Starter.Start(ctx, q)
	rec := Record{
		Step: StepStart, Party: partyBroker, CorrelationID: q.CorrelationID, Duration: time.Since(began),
		Tenant: q.Tenant, User: q.User.Subject, Resource: resource, Host: q.Host, Detail: "pool " + q.Pool,
	}
	log := b.log().With("tenant", q.Tenant, "pool", q.Pool, "host", q.Host, "correlation_id", q.CorrelationID, "duration", rec.Duration)
	b.counters.starts.Add(1)
	if err != nil {
		b.counters.startsFailed.Add(1)
		rec.Code = reachback.CodeNoHost
		log.Error("host not started", "err", err)
	} else {
		log.Info("host asked to start")
	}
	b.record(rec)
	b.mu.Lock()
	st.over, st.err = time.Now(), err
	b.mu.Unlock()
	close(st.done)
}

// cameUp forgets a start that has brought a host.
func (b *Broker) cameUp(st *starting) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !st.over.IsZero() && b.starts[st.request.key()] == st {
		delete(b.starts, st.request.key())
	}
}

// stale reports whether another start may be asked for. The caller holds Broker.mu.
func (st *starting) stale(now time.Time) bool {
	if st.over.IsZero() {
		return false
	}
	after := startAgain
	if st.err != nil {
		after = startFailed
	}
	return now.Sub(st.over) >= after
}

// forgetStarts forgets those that are stale. The caller holds mu.
func (b *Broker) forgetStarts(now time.Time) {
	for key, st := range b.starts {
		if st.stale(now) {
			delete(b.starts, key)
		}
	}
}

// hostArrived wakes the calls that wait for such a host.
func (b *Broker) hostArrived(h *Host) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, st := range b.starts {
		if q := st.request; q.Tenant == h.Tenant && q.Pool == h.Pool && (q.Host == "" || q.Host == h.ID) {
			close(st.arrived)
			st.arrived = make(chan struct{})
		}
	}
}

// abandoned reports whether nobody has waited for a decision for a moment, which is
// longer than a gateway that asks again takes.
func (b *Broker) abandoned(d *decision) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return d.waiters == 0 && time.Since(d.left) >= startPoll
}
