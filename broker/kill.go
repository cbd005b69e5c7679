package broker

import (
	"context"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// pollKills is how often a broker looks for kills that another one has written: so
// often that with everything else they are in force within 2 s.
const pollKills = time.Second

// Kill ends a session at its gateway and its host, and refuses its token.
func (b *Broker) Kill(ctx context.Context, session string) error {
	b.start()
	r, _ := b.sessionRecord(ctx, session) // the record is poorer without, the kill is not
	return b.Operate(ctx, "kill", r, func(ctx context.Context) error {
		if err := b.dir.all.Kill(ctx, session, reachback.CodeKilled); err != nil {
			return err
		}
		b.nudge()
		return nil
	})
}

// RevokeHost withdraws a host's identity and ends its channel, legs and sessions.
func (b *Broker) RevokeHost(ctx context.Context, host string) error {
	return b.Operate(ctx, "revoke host", Record{Host: host}, func(ctx context.Context) error {
		if err := b.dir.all.RevokeHost(ctx, host); err != nil {
			return err
		}
		b.enforce(Kill{Kill: relay.Kill{Host: host, Code: reachback.CodeHostRevoked}})
		b.nudge()
		return nil
	})
}

// nudge wakes those who follow the kills.
func (b *Broker) nudge() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.nudged)
	b.nudged = make(chan struct{})
}

// Watch implements [relay.Orchestrator].
func (b *Broker) Watch(ctx context.Context, f func(relay.Kill)) error {
	b.start()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(b.ctx, func() { cancel(context.Cause(b.ctx)) })()
	return b.follow(ctx, 0, func(ctx context.Context, after uint64) (uint64, error) {
		kills, err := b.dir.Kills(ctx, after)
		for _, k := range kills {
			f(k.Kill)
			after = k.Revision
		}
		return after, err
	})
}

// follow calls look with the last revision that was seen, at once and whenever there
// may be newer kills, until ctx ends. It returns ctx's cause.
func (b *Broker) follow(ctx context.Context, after uint64, look func(context.Context, uint64) (uint64, error)) error {
	poll := time.NewTicker(pollKills)
	defer poll.Stop()
	failing := false // an outage is told once, and its end
	for {
		// Taken before the look, so that no nudge is missed.
		b.mu.Lock()
		nudged := b.nudged
		b.mu.Unlock()
		var err error
		after, err = look(ctx, after)
		switch {
		case ctx.Err() != nil:
		case err != nil && !failing:
			b.log().Error("kills not read, and asked for until they are", "err", err)
		case err == nil && failing:
			b.log().Info("kills read again")
		}
		failing = err != nil
		select {
		case <-nudged:
		case <-poll.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// enforceAll does the broker's own part of the kills over a revision, and returns the
// last one.
func (b *Broker) enforceAll(ctx context.Context, after uint64) (uint64, error) {
	kills, err := b.dir.Kills(ctx, after)
	if err != nil {
		return after, err
	}
	for _, k := range kills {
		b.enforce(k)
		after = k.Revision
	}
	b.trusted.Store(true)
	return after, nil
}

// enforce does the broker's own part of a kill.
func (b *Broker) enforce(k Kill) {
	if k.Gateway != "" {
		b.endGateway(k.Gateway)
		return
	}
	if k.Host != "" {
		b.mu.Lock()
		b.revoked[k.Host] = true
		c := b.channels[k.Host]
		b.mu.Unlock()
		if c != nil {
			c.end(reachback.Refuse(reachback.CodeHostRevoked), true)
		}
		return
	}
	if c := b.channel(k.On); c != nil {
		c.send(&disconnectMessage{Session: k.Session, Code: k.Code})
	}
}
