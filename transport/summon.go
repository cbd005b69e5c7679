package transport

import (
	"context"
	"errors"
	"fmt"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/internal/session"
	"github.com/reachback/reachback/relay"
)

var _ broker.Handler = handler{}

// A handler is the listener as its agent sees it.
type handler struct{ *Listener }

// Welcome implements [broker.Handler].
func (h handler) Welcome(w *broker.Welcome) {
	l := h.Listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.welcome == nil {
		close(l.welcomed)
	}
	l.welcome = w
}

// Summon implements [broker.Handler].
func (h handler) Summon(ctx context.Context, s *broker.Summon) error {
	err := h.summon(ctx, s)
	if err != nil {
		h.log.Info("summon refused", "session", s.Session, "code", reachback.CodeOf(err), "correlation_id", s.CorrelationID)
	}
	return err
}

func (l *Listener) summon(ctx context.Context, s *broker.Summon) error {
	if s.Raw && !l.cfg.AllowRaw {
		return reachback.Refuse(reachback.CodeRawNotAllowed)
	}
	if err := l.reserve(); err != nil {
		return err
	}
	if l.cfg.Admit != nil {
		if err := l.cfg.Admit(ctx, s); err != nil {
			l.release()
			if _, ok := errors.AsType[*reachback.Error](err); !ok {
				err = fmt.Errorf("%w: %w", reachback.Refuse(reachback.CodeHostRefused), err)
			}
			return err
		}
	}
	actx, cancel := context.WithCancelCause(l.ctx)
	c := &call{summon: s, cancel: cancel}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		l.pending--
		l.answering--
		cancel(nil)
		return reachback.Refuse(reachback.CodeDraining)
	}
	if l.calls[s.Session] == nil {
		l.calls[s.Session] = make(map[*call]struct{})
	}
	l.calls[s.Session][c] = struct{}{}
	l.goroutines.Go(func() { l.answer(actx, c) })
	return nil
}

// reserve takes a place for a session to come, so that it need not be refused
// when it is there.
func (l *Listener) reserve() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return reachback.Refuse(reachback.CodeDraining)
	case l.pending >= maxPending, l.answering >= maxAnswering:
		return reachback.Refuse(reachback.CodeUnavailable)
	}
	l.pending++
	l.answering++
	return nil
}

func (l *Listener) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending--
	l.answering--
}

// answer sets a session up and queues it. It ends by itself, within 30 s.
func (l *Listener) answer(ctx context.Context, c *call) {
	defer c.cancel(nil)
	conn, err := l.open(ctx, c.summon, func(cause error) { l.ended(c, cause) })
	if err != nil {
		l.release()
		l.failed(c, err)
		l.log.Warn("call failed", c.attrs("gateway", c.summon.Gateway, "err", err)...)
		return
	}
	l.mu.Lock()
	l.answering--
	c.conn = conn
	l.report(broker.SessionReport{Session: c.summon.Session, State: broker.ReportActive})
	if c.cause != nil { // a short session can be over already, with its bytes still to be read
		l.forget(c)
	}
	l.mu.Unlock()
	l.log.Info("session opened", c.attrs("gateway", c.summon.Gateway, "resource", c.summon.Resource, "raw", c.summon.Raw)...)
	l.queue <- conn
}

// open answers the summon at its gateway.
func (l *Listener) open(ctx context.Context, s *broker.Summon, ended func(error)) (*Conn, error) {
	rd := l.cfg.Relay
	if rd == nil {
		rd = &relay.Dialer{}
	}
	identity := l.cfg.Agent.Identity
	actx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	leg, err := rd.Answer(actx, s.Gateway, s.Call, s.Ticket, identity.Certificate())
	if err != nil {
		return nil, err
	}
	own := identity.SessionCertificate()
	conn := &Conn{gateway: s.Gateway, grant: reachback.Grant{
		User: s.User, Tenant: s.Tenant, Resource: s.Resource, Session: s.Session, CorrelationID: s.CorrelationID,
		Host: identity.Host(), ClientKey: s.ClientKey, Raw: s.Raw, Policy: s.Policy,
	}}
	if conn.grant.HostKey, err = certificateKey(own); err != nil {
		leg.Abort()
		return nil, err
	}
	cfg := session.Config{CorrelationID: s.CorrelationID, OnEnd: ended}
	if s.Raw {
		conn.stream = session.OpenRaw(leg, cfg)
		return conn, nil
	}
	stream, err := openHost(ctx, leg, *own, s.ClientKey, cfg)
	if err != nil {
		return nil, err
	}
	conn.stream = stream
	return conn, nil
}

// ended takes note of the end of a call's session. When the listener has not heard
// of the session yet, answer does the rest.
func (l *Listener) ended(c *call, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.cause = cause
	if c.conn != nil {
		l.forget(c)
	}
}

func (l *Listener) failed(c *call, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.cause = cause
	l.forget(c)
}

// forget, called with mu held, removes a call, and tells the broker if it was the
// last one of its session.
func (l *Listener) forget(c *call) {
	id, code := c.summon.Session, reachback.CodeOf(c.cause)
	if c.conn != nil {
		l.log.Info("session ended", c.attrs("code", code)...)
	}
	delete(l.calls[id], c)
	if len(l.calls[id]) == 0 {
		delete(l.calls, id)
		l.report(broker.SessionReport{Session: id, State: broker.ReportEnded, Code: code})
	}
}

// report is called with mu held, so that reports are in the order of what happened.
func (l *Listener) report(r broker.SessionReport) {
	if !l.closed {
		l.cfg.Agent.Report(r)
	}
}

// Disconnect implements [broker.Handler].
func (h handler) Disconnect(session string, code reachback.Code) {
	l := h.Listener
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.calls[session] {
		if c.conn == nil {
			c.cancel(reachback.Refuse(code))
			continue
		}
		l.goroutines.Go(func() { c.conn.CloseWithCode(code) })
	}
}

// Sessions implements [broker.Handler].
func (h handler) Sessions() []broker.SessionReport {
	l := h.Listener
	l.mu.Lock()
	defer l.mu.Unlock()
	var reports []broker.SessionReport
	for id, calls := range l.calls {
		for c := range calls {
			if c.conn != nil {
				reports = append(reports, broker.SessionReport{Session: id, State: broker.ReportActive})
				break
			}
		}
	}
	return reports
}
