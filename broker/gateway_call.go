package broker

import (
	"context"
	"net/netip"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/identity"
	"github.com/reachback/reachback/internal/printable"
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
)

// orchestrate has a gateway's question answered, beside the reader.
func (g *gatewayControl) orchestrate(m *orchestrateMessage) error {
	select {
	case g.asking <- struct{}{}:
	default:
		return g.answer(m.ID, nil, reachback.Refuse(reachback.CodeTooManyWaiting))
	}
	g.wg.Go(func() {
		p, err := g.permit(m)
		<-g.asking // before the answer, which lets the gateway ask the next
		if err != nil {
			g.answer(m.ID, nil, err)
			return
		}
		g.answer(m.ID, &permitMessage{Session: p.Session, Host: p.Host, Grant: p.Grant}, nil)
	})
	return nil
}

func (g *gatewayControl) permit(m *orchestrateMessage) (*relay.Permit, error) {
	c, err := g.call(m)
	if err != nil {
		g.broker.counters.refused(reachback.CodeOf(err))
		return nil, err
	}
	if g.drain.Load() {
		return nil, reachback.Refuse(reachback.CodeDraining)
	}
	within := callWithin
	if m.WithinMS < within.Milliseconds() {
		within = time.Duration(max(m.WithinMS, 0)) * time.Millisecond
	}
	ctx, cancel := context.WithTimeoutCause(g.ctx, within, reachback.Refuse(reachback.CodeHostTimeout))
	defer cancel()
	return g.broker.Orchestrate(ctx, c)
}

// call is the question as a relay beside the broker would put it. Of the gateway
// nothing is believed but what goes to hosts and back: that is bounded, and its URL
// is the one that it was enrolled with, whatever it says.
func (g *gatewayControl) call(m *orchestrateMessage) (*relay.Call, error) {
	if url, ok := gatewayURL(m.Gateway); !ok || url != g.row.URL {
		return nil, reachback.Refuse(reachback.CodeGatewayUnknown)
	}
	remote, err := netip.ParseAddrPort(m.Remote)
	// Ids, tickets and nonces have one alphabet and one bound.
	if err != nil || !identity.ValidID(m.Call) || !identity.ValidID(m.Ticket) || m.Nonce != "" && !identity.ValidID(m.Nonce) ||
		m.Token == "" || len(m.Token) > token.MaxLen {
		return nil, reachback.Refuse(reachback.CodeBadRequest)
	}
	return &relay.Call{
		ID: m.Call, Ticket: relay.Ticket(m.Ticket), Gateway: g.row.URL, Token: m.Token, Nonce: m.Nonce,
		Remote: remote, Raw: m.Raw, CorrelationID: printable.Clip(m.CorrelationID),
	}, nil
}
