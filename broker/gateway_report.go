package broker

import (
	"context"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/printable"
	"github.com/reachback/reachback/relay"
)

// report has a gateway's events taken down, beside the reader, and then says so: a
// gateway keeps its events until it hears that.
func (g *gatewayControl) report(m *reportMessage) error {
	if !g.reporting.CompareAndSwap(false, true) {
		return reachback.Refuse(reachback.CodeProtocolError)
	}
	g.wg.Go(func() {
		err := g.takeDown(m.Events)
		g.reporting.Store(false)
		g.answer(m.ID, &acceptMessage{}, err)
	})
	return nil
}

// takeDown takes a report down whole or, when the directory is away, not at all.
func (g *gatewayControl) takeDown(events []relay.Event) error {
	b := g.broker
	ctx := context.WithoutCancel(g.ctx) // the directory has its own bound
	taken := make([]*relay.Event, 0, len(events))
	for i := range events {
		e := &events[i]
		if b.ctx.Err() != nil { // who goes down does not work off a long report
			return reachback.Refuse(reachback.CodeUnavailable)
		}
		ok, err := g.check(ctx, e)
		if err == nil && ok {
			err = g.note(ctx, e)
			taken = append(taken, e)
		}
		if reachback.CodeOf(err) == reachback.CodeUnavailable {
			return err
		}
		if err != nil {
			b.log().Error("event lost", "gateway", g.id, "session", e.Session, "err", err)
		}
	}
	for _, e := range taken {
		if !g.told.Allow() {
			b.counters.droppedEvents.Add(1)
			continue
		}
		b.recordEvent(e)
		if e.Session != "" {
			b.logEvent(e)
		}
	}
	return nil
}

// check bounds what a gateway says of a call, puts the gateway's own URL into it,
// and reports whether it can be. Who a session belongs to is what the directory
// knows. A gateway hears of a session by a permit alone, and its id cannot be
// guessed; so one that names session and host as they are has had the session, and
// of other gateways' sessions it can say nothing.
func (g *gatewayControl) check(ctx context.Context, e *relay.Event) (bool, error) {
	if _, known := eventSteps[e.Kind]; !known {
		return false, nil // of a later version
	}
	e.Gateway = g.row.URL
	for _, s := range []*string{&e.Call, &e.Session, &e.Host, &e.Tenant, &e.Resource, &e.CorrelationID} {
		*s = printable.Clip(*s)
	}
	e.User = printable.ClipTo(e.User, maxSubject)
	if e.Session == "" {
		return true, nil
	}
	s, err := g.broker.dir.Session(ctx, e.Session)
	switch {
	case reachback.CodeOf(err) == reachback.CodeNotFound:
		return true, nil // forgotten; the record is the gateway's word
	case err != nil:
		return false, err
	case s.Host != e.Host:
		g.broker.counters.foreignEvents.Add(1)
		g.broker.log().Warn("gateway reports a session that is not as it says", "gateway", g.id, "session", e.Session, "host", e.Host)
		return false, nil
	case e.Kind == relay.EventJoined && s.State != SessionPending && s.State != SessionActive:
		// It comes late. The host brings the session back if it lives.
		e.Session = ""
	}
	e.Tenant, e.User, e.Resource, e.CorrelationID = s.User.Tenant, s.User.Subject, s.Resource.ID, s.CorrelationID
	return true, nil
}

// note has the directory take note of a call that was joined or left.
func (g *gatewayControl) note(ctx context.Context, e *relay.Event) error {
	switch {
	case e.Session == "":
		return nil
	case e.Kind == relay.EventJoined:
		return g.broker.dir.Joined(ctx, e.Session, e.Call)
	case e.Kind == relay.EventEnded, e.Kind == relay.EventFailed:
		return g.broker.dir.Left(ctx, e.Session, e.Call)
	}
	return nil
}
