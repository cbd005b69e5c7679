package broker

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/reachback/reachback"
)

const (
	// maxSummons is how many summons are worked on at once.
	maxSummons = 64
	// maxReported is how many sessions may stand in one report.
	maxReported = 500
	// reportEvery is between two reports of changes, unless one is full.
	reportEvery = 100 * time.Millisecond
	// welcomeWithin is how long the broker may take to answer hello.
	welcomeWithin = 10 * time.Second
)

// agentChannel is the agent's end of one control channel.
type agentChannel struct {
	*channel
	agent   *Agent
	party   *party
	handler Handler
	beside  *beside
	redial  *redial // owned by the reader while the channel lives

	welcomed bool          // owned by the reader
	apps     appSlots      // owned by the reader
	held     *time.Timer   // until then changes wait; guarded by Agent.mu
	summons  chan struct{} // a slot for each summon in work
	wg       sync.WaitGroup
}

// serve says hello and runs the channel. It waits for everything it started.
func (c *agentChannel) serve() error {
	c.send(&helloMessage{Versions: []int{Version}, Agent: "reachback/1", OS: runtime.GOOS})
	err := c.run(welcomeWithin, c.handle)
	c.agent.mu.Lock()
	if c.agent.current == c {
		c.agent.current = nil
	}
	if c.held != nil {
		c.held.Stop()
	}
	c.agent.mu.Unlock()
	c.wg.Wait()
	return err
}

func (c *agentChannel) handle(m message) error {
	if w, ok := m.(*welcomeMessage); ok != !c.welcomed {
		return reachback.Refuse(reachback.CodeProtocolError) // none, or a second one
	} else if ok {
		c.welcomed = true
		c.welcome(w)
		return nil
	}
	switch m := m.(type) {
	case *summonMessage:
		c.summon(m)
	case *disconnectMessage:
		c.handler.Disconnect(m.Session, m.Code)
	case *restartingMessage:
		c.redial.promised(m, time.Now())
	case *appMessage:
		c.appMessage(&c.wg, &c.apps, m, c.agent.OnMessage)
	case *userSessionMessage:
		c.userSession(m)
	}
	return nil
}

func (c *agentChannel) welcome(w *welcomeMessage) {
	a := c.agent
	if w.Duplicate {
		a.log().Error("another machine runs with this host's identity; until it stops neither gets users",
			"host", w.Host, "code", reachback.CodeDuplicateHost)
	}
	a.log().Info("control channel stands", "server", a.Server, "host", w.Host, "name", w.Name, "pool", w.Pool, "epoch", w.Epoch)
	c.handler.Welcome(&Welcome{Host: w.Host, Name: w.Name, Pool: w.Pool, Epoch: w.Epoch, Duplicate: w.Duplicate})
	for _, k := range w.Kills {
		c.handler.Disconnect(k.Session, k.Code)
	}
	// Changes wait until the report is queued, so that none is overtaken by an
	// older state. The handler is asked without a lock of ours.
	live := append(c.handler.Sessions(), a.users.goOn()...)
	report := &sessionsMessage{Full: true, Sessions: live}
	if len(live) > maxReported {
		// Said in full it would not fit. Those left out stay as they are.
		report = &sessionsMessage{Sessions: live[:maxReported]}
	}
	if report.Sessions == nil {
		report.Sessions = []SessionReport{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c.send(report)
	if a.draining {
		c.send(&drainMessage{On: true})
	}
	a.current = c
	for len(a.changes) > 0 && c.sendChanges() == nil {
	}
	c.wg.Go(func() { c.party.renewals(c.channel) })
	if l := c.beside.health; l != nil {
		c.wg.Go(func() { c.watchHealth(l) })
	}
}

// reportChanges sends the changes of sessions. Those that come soon after wait, to go
// together: the broker takes a limited number of messages from a host, and users
// come and go as they like. Agent.mu is held.
func (c *agentChannel) reportChanges() {
	a := c.agent
	if c.held != nil && len(a.changes) < maxReported || len(a.changes) == 0 || c.sendChanges() != nil || c.held != nil {
		return
	}
	c.held = time.AfterFunc(reportEvery, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if c.held = nil; a.current == c {
			c.reportChanges()
		}
	})
}

// sendChanges sends as many changes as one message holds. What cannot be sent any
// more is left to the next channel. Agent.mu is held.
func (c *agentChannel) sendChanges() error {
	a := c.agent
	n := min(len(a.changes), maxReported)
	if err := c.send(&sessionsMessage{Sessions: a.changes[:n]}); err != nil {
		return err
	}
	if a.changes = a.changes[n:]; len(a.changes) == 0 {
		a.changes = nil
	}
	return nil
}

// summon has the handler answer a summon, beside the reader.
func (c *agentChannel) summon(m *summonMessage) {
	select {
	case c.summons <- struct{}{}:
	default:
		c.answer(m.ID, nil, reachback.Refuse(reachback.CodeTooManyWaiting))
		return
	}
	if c.agent.Control != nil {
		c.agent.users.summoned(m.Session, m.User)
	}
	c.wg.Go(func() {
		defer func() { <-c.summons }()
		ctx, cancel := context.WithTimeoutCause(c.ctx, acceptWithin, reachback.Refuse(reachback.CodeHostTimeout))
		defer cancel()
		if err := c.handler.Summon(ctx, m.summon()); err != nil {
			c.agent.log().Warn("summon refused", "session", m.Session, "correlation_id", m.CorrelationID, "err", err)
			c.answer(m.ID, nil, hostRefusal(err))
			return
		}
		c.answer(m.ID, &acceptMessage{}, nil)
	})
}

// hostRefusal is what the broker hears of a handler's error.
func hostRefusal(err error) *reachback.Error {
	if e, ok := errors.AsType[*reachback.Error](err); ok {
		return e
	}
	return reachback.Refuse(reachback.CodeHostRefused)
}
