package broker

import (
	"context"
	"errors"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// backWithin is how long after its loss a channel is waited for. Who has lost the
// broker for longer tells its callers at once.
const backWithin = time.Second

// errAskAgain says that the channel ended before the answer came. The broker
// decides a call once, so the same question may be asked on the next channel.
var errAskAgain = errors.New("the broker's channel ended before its answer")

// Orchestrate implements [relay.Orchestrator].
func (l *Link) Orchestrate(ctx context.Context, c *relay.Call) (*relay.Permit, error) {
	l.counters.waiting.Add(1)
	defer l.counters.waiting.Add(-1)
	for {
		ch, err := l.channel(ctx)
		if err != nil {
			return nil, err
		}
		p, err := ch.orchestrate(ctx, c)
		if !errors.Is(err, errAskAgain) {
			return p, err
		}
		l.leave(ch)
	}
}

// channel returns the channel to ask on. One that has just been lost is waited
// for.
func (l *Link) channel(ctx context.Context) (*linkChannel, error) {
	for {
		l.mu.Lock()
		c, lost, drain := l.current, l.lost, l.drain
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		left := time.Until(lost.Add(backWithin))
		switch {
		case drain:
			return nil, reachback.Refuse(reachback.CodeDraining)
		case c != nil:
			return c, nil
		case lost.IsZero() || left <= 0:
			return nil, reachback.Refuse(reachback.CodeBrokerUnreachable)
		}
		patience := time.NewTimer(left)
		select {
		case <-changed:
		case <-patience.C:
		case <-ctx.Done():
		}
		patience.Stop()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// orchestrate asks the broker about a call on this channel.
func (c *linkChannel) orchestrate(ctx context.Context, call *relay.Call) (*relay.Permit, error) {
	within := callWithin
	if deadline, ok := ctx.Deadline(); ok {
		within = min(within, time.Until(deadline))
	}
	if within < time.Millisecond {
		return nil, reachback.Refuse(reachback.CodeHostTimeout)
	}
	got, err := c.request(ctx, &orchestrateMessage{
		Call: call.ID, Ticket: ticketText(call.Ticket), Gateway: call.Gateway, Token: call.Token, Nonce: call.Nonce,
		Remote: call.Remote.String(), Raw: call.Raw, CorrelationID: call.CorrelationID, WithinMS: within.Milliseconds(),
	})
	switch m := got.(type) {
	case nil:
	case *permitMessage:
		return &relay.Permit{Session: m.Session, Host: m.Host, Grant: m.Grant}, nil
	default:
		return nil, reachback.Refuse(reachback.CodeProtocolError)
	}
	// A broker that is going down says so to every call. A gateway in drain does
	// not ask.
	if errors.Is(err, errChannelLost) || reachback.CodeOf(err) == reachback.CodeDraining && !c.link.draining() {
		return nil, errAskAgain
	}
	return nil, err
}

func (l *Link) draining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drain
}
