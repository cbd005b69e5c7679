package broker

import (
	"bytes"
	"context"
	"time"

	"github.com/reachback/reachback"
)

const (
	// maxKillsInMessage keeps kills with the longest ids and codes within a
	// message.
	maxKillsInMessage = 300
	// heardWithin is how long a gateway may take to acknowledge kills.
	heardWithin = 10 * time.Second
)

// inform tells the gateway every kill in force, then what it checks tokens and
// certificates with, and from then on what changes, until the channel ends. A
// gateway that has not been told of the kills is told nothing that would let it take
// calls.
func (g *gatewayControl) inform() {
	var told *trustMessage
	g.broker.follow(g.ctx, 0, func(ctx context.Context, after uint64) (uint64, error) {
		kills, err := g.broker.dir.Kills(ctx, after)
		if err != nil {
			return after, err
		}
		if after, err = g.tellKills(ctx, kills, after); err != nil {
			g.end(err, true)
			return after, err
		}
		now, err := g.trust(ctx)
		if reachback.CodeOf(err) == reachback.CodeGatewayRevoked {
			g.end(err, true)
		}
		if err != nil {
			return after, err
		}
		if told == nil || !told.equal(now) {
			g.drain.Store(now.Drain)
			told = now
			err = g.send(&trustMessage{Keys: now.Keys, HostCA: now.HostCA, Drain: now.Drain})
		}
		return after, err
	})
}

// tellKills sends kills, as many as a message holds at a time and not more before
// the gateway has taken them, and returns the revision of the last one.
func (g *gatewayControl) tellKills(ctx context.Context, kills []Kill, after uint64) (uint64, error) {
	m := &killsMessage{}
	for i, k := range kills {
		if k.Session != "" || k.Host != "" { // those of gateways are the broker's business
			m.Kills = append(m.Kills, killEntry{Revision: k.Revision, Session: k.Session, Host: k.Host, Code: k.Code})
		}
		if len(m.Kills) == 0 || len(m.Kills) < maxKillsInMessage && i < len(kills)-1 {
			continue
		}
		heard, cancel := context.WithTimeoutCause(ctx, heardWithin, reachback.Refuse(reachback.CodeHeartbeatLost))
		got, err := g.request(heard, m)
		cancel()
		if err != nil {
			return after, err
		}
		if _, ok := got.(*acceptMessage); !ok {
			return after, reachback.Refuse(reachback.CodeProtocolError)
		}
		m = &killsMessage{}
	}
	if len(kills) > 0 {
		after = kills[len(kills)-1].Revision
	}
	return after, nil
}

// trust is what the gateway has to check with, as of now.
func (g *gatewayControl) trust(ctx context.Context) (*trustMessage, error) {
	b := g.broker
	keys, err := b.keys.JWKS()
	if err != nil {
		return nil, err
	}
	m := &trustMessage{Keys: keys, HostCA: [][]byte{b.keys.hosts.cert.Raw}, Drain: g.drain.Load()}
	rows, err := b.fleet.rows(ctx, b.dir.all)
	for _, row := range rows {
		switch {
		case row.ID != g.id:
		case row.Revoked: // while it was welcomed, or its end would have come already
			return nil, reachback.Refuse(reachback.CodeGatewayRevoked)
		default:
			m.Drain = row.Drain
		}
	}
	if err != nil && ctx.Err() == nil { // it stays as it is until the directory is back
		b.log().Error("gateways not read", "err", err)
	}
	return m, nil
}

func (m *trustMessage) equal(o *trustMessage) bool {
	if m.Drain != o.Drain || !bytes.Equal(m.Keys, o.Keys) || len(m.HostCA) != len(o.HostCA) {
		return false
	}
	for i := range m.HostCA {
		if !bytes.Equal(m.HostCA[i], o.HostCA[i]) {
			return false
		}
	}
	return true
}
