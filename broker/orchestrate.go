package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/printable"
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
)

const (
	// acceptWithin is how long a summoned host may take to accept.
	acceptWithin = 3 * time.Second
	// callWithin bounds a call whose relay set no bound.
	callWithin = 15 * time.Second
	// A host that was picked and whose channel is just being replaced is
	// picked again after betweenChannels, channelTries times at most.
	betweenChannels = 100 * time.Millisecond
	channelTries    = 10
)

// Orchestrate implements [relay.Orchestrator].
func (b *Broker) Orchestrate(ctx context.Context, c *relay.Call) (*relay.Permit, error) {
	b.start()
	if !b.trusted.Load() {
		return nil, reachback.Refuse(reachback.CodeUnavailable)
	}
	b.mu.Lock()
	if b.closing {
		b.mu.Unlock()
		return nil, reachback.Refuse(reachback.CodeDraining)
	}
	d := b.calls.byCall[c.ID]
	if d == nil {
		d = &decision{call: c.ID, asked: fingerprint(c), done: make(chan struct{})}
		b.calls.byCall[c.ID] = d
		// The decision may outlive this request, because another with the
		// same id may wait for it; the bound is the first one's.
		deadline := time.Now().Add(callWithin)
		if t, ok := ctx.Deadline(); ok {
			deadline = t
		}
		b.wg.Go(func() { b.decide(d, c, deadline) })
	}
	// Who knows the id of a call still learns nothing about it without its secrets.
	if d.asked != fingerprint(c) {
		b.mu.Unlock()
		return nil, reachback.Refuse(reachback.CodeBadRequest)
	}
	d.waiters++
	b.mu.Unlock()
	select {
	case <-d.done:
		return d.permit, d.err
	case <-ctx.Done():
		b.mu.Lock()
		d.waiters--
		d.left = time.Now()
		b.mu.Unlock()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, reachback.Refuse(reachback.CodeHostTimeout)
		}
		return nil, context.Cause(ctx)
	}
}

// decide makes the decision, in a goroutine of its own. It keeps nothing else of the
// call.
func (b *Broker) decide(d *decision, asked *relay.Call, deadline time.Time) {
	c := *asked // whoever asked may be gone before this ends
	ctx, cancel := context.WithDeadlineCause(b.ctx, deadline, reachback.Refuse(reachback.CodeHostTimeout))
	defer cancel()
	began := time.Now()
	t, err := b.verifyCall(ctx, &c)
	said := token.Genuine(t, err)
	if err == nil {
		d.permit, err = b.permit(ctx, d, &c, t)
	}
	log := b.log().With("call", c.ID, "gateway", printable.Clip(c.Gateway), "remote", c.Remote, "duration", time.Since(began))
	if said != nil {
		log = log.With("correlation_id", said.CorrelationID, "user", said.User.Subject, "tenant", said.User.Tenant, "resource", said.Resource)
		b.recordDecision(d, &c, said, err, began)
	}
	if err != nil {
		b.counters.refused(reachback.CodeOf(err))
		log.Warn("call refused", "err", err)
		e := *reachback.AsError(err)
		if said != nil {
			e.CorrelationID = said.CorrelationID
		}
		d.err = &e
	} else {
		b.counters.permitted.Add(1)
		log.Info("call permitted", "session", d.permit.Session, "host", d.permit.Host)
	}
	close(d.done)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls.keep(d, time.Now())
}

// verifyCall checks a call as if its gateway had checked nothing. With an error that
// comes after the token's check it returns the token's content all the same.
func (b *Broker) verifyCall(ctx context.Context, c *relay.Call) (*token.Connection, error) {
	t, err := b.verifyToken(ctx, c.Token)
	if err != nil {
		return nil, err
	}
	switch {
	case !b.gatewayKnown(c.Gateway):
		return t, reachback.Refuse(reachback.CodeGatewayUnknown)
	case c.Raw != t.Raw(), !c.Raw && (len(c.Nonce) < 16 || len(c.Nonce) > 64), c.ID == "", c.Ticket == "":
		return t, reachback.Refuse(reachback.CodeBadRequest)
	}
	return t, nil
}

// permit uses the token up and finds a host that accepts. A token stays spent
// whatever comes after.
func (b *Broker) permit(ctx context.Context, d *decision, c *relay.Call, t *token.Connection) (*relay.Permit, error) {
	r := &Reservation{
		User: t.User, Resource: t.Resource, Token: t.ID, Expires: t.Expires, Call: c.ID, Raw: t.Raw(),
		Address: c.Remote.Addr().Unmap(), CorrelationID: t.CorrelationID,
	}
	var refusals []reachback.Code
	for tries := 0; ; {
		s, err := b.dir.Reserve(ctx, r)
		if reachback.CodeOf(err) == reachback.CodeNoHost && b.Starter != nil && len(refusals) == 0 {
			s, err = b.reserveStarted(ctx, d, r)
		}
		if code := reachback.CodeOf(err); (code == reachback.CodeNoHost || code == reachback.CodeHostsFull) && len(refusals) == 0 {
			d.why, err = b.noHost(ctx, r, err)
		}
		if err != nil {
			return nil, outcome(err, refusals)
		}
		began := time.Now()
		err = b.summon(ctx, c, t, s)
		b.recordSummon(c, s, err, began)
		if err == nil {
			return b.sign(c, t, s)
		}
		// Where it cannot be released now, its 30 s do it.
		if rerr := b.dir.Release(context.WithoutCancel(ctx), s.ID); rerr != nil {
			b.log().Error("session not released", "session", s.ID, "err", rerr)
		}
		if b.ctx.Err() != nil {
			return nil, context.Cause(b.ctx)
		}
		if ctx.Err() != nil {
			return nil, outcome(nil, append(refusals, reachback.CodeHostTimeout))
		}
		if errors.Is(err, errNoChannel) && tries < channelTries {
			tries++
			select {
			case <-time.After(betweenChannels):
			case <-ctx.Done():
			}
			continue
		}
		b.log().Warn("host did not accept", "host", s.Host, "session", s.ID, "correlation_id", t.CorrelationID, "err", err)
		refusals = append(refusals, reachback.CodeOf(err))
		r.Exclude = append(r.Exclude, s.Host)
	}
}

// outcome is what a call is told in the end: when hosts were asked, what they all
// said, rather than that no other host is left.
func outcome(err error, refusals []reachback.Code) error {
	if len(refusals) == 0 {
		return err
	}
	first := refusals[0]
	if slices.ContainsFunc(refusals, func(c reachback.Code) bool { return c != first }) {
		if slices.Contains(refusals, reachback.CodeHostTimeout) {
			return reachback.Refuse(reachback.CodeHostTimeout)
		}
		return reachback.Refuse(reachback.CodeHostRefused)
	}
	return reachback.Refuse(first)
}

// errNoChannel is of a host whose channel is gone, new, or at another broker.
var errNoChannel = fmt.Errorf("no channel for the session's epoch here: %w", reachback.Refuse(reachback.CodeHostNotConnected))

// summon asks the session's host to answer the call.
func (b *Broker) summon(ctx context.Context, c *relay.Call, t *token.Connection, s *Session) error {
	ch := b.channel(s.Host)
	if ch == nil || ch.epoch != s.Epoch {
		return errNoChannel
	}
	ctx, cancel := context.WithTimeoutCause(ctx, acceptWithin, reachback.Refuse(reachback.CodeHostTimeout))
	defer cancel()
	got, err := ch.request(ctx, newSummonMessage(&Summon{
		Call: c.ID, Ticket: c.Ticket, Gateway: c.Gateway, Session: s.ID, CorrelationID: t.CorrelationID,
		User: t.User.Subject, Tenant: t.User.Tenant, Resource: s.Resource.ID,
		ClientKey: t.ClientKey, Raw: s.Raw, Policy: s.Policy,
	}))
	if err != nil {
		if ch.ctx.Err() != nil {
			return errNoChannel
		}
		if e, ok := errors.AsType[*reachback.Error](err); ok && e.Code.Text() == "" {
			return reachback.Refuse(reachback.CodeHostRefused) // a code of its own
		}
		return err
	}
	if _, ok := got.(*acceptMessage); !ok {
		return reachback.Refuse(reachback.CodeHostRefused)
	}
	ch.known.add(s)
	return nil
}

func (b *Broker) sign(c *relay.Call, t *token.Connection, s *Session) (*relay.Permit, error) {
	now := time.Now()
	kid, key := b.keys.signer(now)
	grant, err := token.SignGrant(kid, key, &reachback.Grant{
		User: t.User.Subject, Tenant: t.User.Tenant, Resource: s.Resource.ID, Session: s.ID, CorrelationID: t.CorrelationID,
		Host: s.Host, HostKey: s.HostKey, ClientKey: t.ClientKey, Raw: s.Raw, Policy: s.Policy,
	}, c.Nonce, now)
	if err != nil {
		return nil, err
	}
	return &relay.Permit{Session: s.ID, Host: s.Host, Grant: grant}, nil
}
