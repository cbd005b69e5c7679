package broker

import (
	"context"
	"slices"
	"sync"

	"github.com/reachback/reachback"
)

// maxKnown is how many sessions a channel remembers what it summoned its host for.
const maxKnown = 1024

// known are sessions that a channel's host was summoned for, so that its own view of
// them can be recorded; the session made first is forgotten first.
type known struct {
	mu    sync.Mutex
	byID  map[string]*knownSession
	order []string
}

type knownSession struct {
	Session
	active bool // the host has said so
}

// add remembers a session.
func (k *known) add(s *Session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byID == nil {
		k.byID = make(map[string]*knownSession)
	}
	if k.byID[s.ID] == nil {
		if len(k.order) >= maxKnown {
			delete(k.byID, k.order[0])
			k.order = k.order[1:]
		}
		k.order = append(k.order, s.ID)
	}
	k.byID[s.ID] = &knownSession{Session: *s}
}

// news returns the session of a report that says something new of it, else nil.
func (k *known) news(r *SessionReport) *Session {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.byID[r.Session]
	switch {
	case s == nil, r.State == ReportActive && s.active:
		return nil
	case r.State == ReportActive:
		s.active = true
	default:
		delete(k.byID, r.Session)
		k.order = slices.DeleteFunc(k.order, func(id string) bool { return id == r.Session })
	}
	return &s.Session
}

// hostReport has the directory take a report, and does what follows from it.
func (c *control) hostReport(ctx context.Context, m *sessionsMessage) error {
	b := c.broker
	a, err := b.dir.HostReport(ctx, c.host, c.epoch, m.Full, m.Sessions)
	if err != nil {
		return c.paid("report of sessions", err)
	}
	if a.Unknown > 0 {
		b.counters.unknownSessions.Add(int64(a.Unknown))
		b.log().Warn("host reports sessions that were not made for it", "host", c.host, "count", a.Unknown)
		b.recordChannel(Record{Host: c.host, Detail: "reports sessions that were not made for it"})
	}
	changed := make(map[string]*Session, len(a.Changed))
	for i := range a.Changed {
		changed[a.Changed[i].ID] = &a.Changed[i]
	}
	for i := range m.Sessions {
		r := &m.Sessions[i]
		s := c.known.news(r)
		if s == nil {
			s = changed[r.Session]
		}
		if s != nil {
			b.recordReport(*r, s)
		}
		delete(changed, r.Session)
	}
	for _, s := range changed {
		b.recordReport(SessionReport{State: ReportEnded, Code: reachback.CodeHostLost}, s)
	}
	for _, k := range a.Kills {
		c.send(&disconnectMessage{Session: k.Session, Code: k.Code})
	}
	return nil
}
