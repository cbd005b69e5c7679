package broker

import (
	"context"
	"sync"

	"github.com/reachback/reachback"
)

// maxOwed is how many sessions a channel keeps reports of while the directory is
// away. A host that reports more has to come back, and report in full.
const maxOwed = 2 * maxReported

// owed is what a host has said and the directory has not taken yet. Reports stay in
// their order; of drain and health the last word counts. So a channel outlives an
// outage of the directory, and the rows are right after it.
type owed struct {
	mu       sync.Mutex
	reports  []*sessionsMessage
	sessions int // in them
	drain    *bool
	health   *Health
	paying   bool // payLater runs
}

// owe adds to what is owed, and pays it now, unless that has failed before: then it
// is left to payLater, so that the reader does not wait for a directory that is away.
func (c *control) owe(add func(o *owed)) error {
	c.owed.mu.Lock()
	add(&c.owed)
	paying, tooMuch := c.owed.paying, c.owed.sessions > maxOwed
	c.owed.mu.Unlock()
	switch {
	case tooMuch:
		return reachback.Refuse(reachback.CodeUnavailable)
	case paying:
		return nil
	}
	if err := c.pay(context.Background()); err != nil {
		c.broker.log().Error("the directory does not take what a host says; it is tried again", "host", c.host, "err", err)
		c.owed.mu.Lock()
		c.owed.paying = true
		c.owed.mu.Unlock()
		c.wg.Go(c.payLater)
	}
	return nil
}

// payLater tries again until everything is paid or the channel has ended, after which
// the host's next report says it all again. serve waits for it.
func (c *control) payLater() {
	for r := (retry{}); r.wait(c.ctx); {
		for c.pay(c.ctx) == nil {
			c.owed.mu.Lock()
			done := c.owed.empty()
			c.owed.paying = !done
			c.owed.mu.Unlock()
			if done {
				return
			}
		}
	}
}

func (o *owed) empty() bool { return len(o.reports) == 0 && o.drain == nil && o.health == nil }

// pay writes down what is owed. What the directory cannot take stays owed; what it
// refuses is logged and given up.
func (c *control) pay(ctx context.Context) error {
	c.owed.mu.Lock()
	reports, drain, health := c.owed.reports, c.owed.drain, c.owed.health
	c.owed.reports, c.owed.sessions, c.owed.drain, c.owed.health = nil, 0, nil, nil
	c.owed.mu.Unlock()
	err := func() error {
		for len(reports) > 0 {
			if err := c.hostReport(ctx, reports[0]); err != nil {
				return err
			}
			reports = reports[1:]
		}
		if drain != nil {
			if err := c.paid("drain", c.broker.dir.Drain(ctx, c.host, c.epoch, *drain)); err != nil {
				return err
			}
			drain = nil
		}
		if health != nil {
			if err := c.paid("health", c.broker.dir.Health(ctx, c.host, c.epoch, health)); err != nil {
				return err
			}
		}
		return nil
	}()
	if err == nil {
		return nil
	}
	c.owed.mu.Lock()
	defer c.owed.mu.Unlock()
	c.owed.reports = append(reports, c.owed.reports...)
	for _, m := range reports {
		c.owed.sessions += len(m.Sessions)
	}
	if c.owed.drain == nil {
		c.owed.drain = drain
	}
	if c.owed.health == nil {
		c.owed.health = health
	}
	return err
}

// paid returns err if it is worth another try.
func (c *control) paid(what string, err error) error {
	if err == nil || reachback.CodeOf(err) == reachback.CodeUnavailable {
		return err
	}
	c.broker.log().Error("what a host said is lost", "what", what, "host", c.host, "err", err)
	return nil
}
