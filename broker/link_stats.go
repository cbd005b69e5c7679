package broker

import "sync/atomic"

// LinkStats are numbers of a link since its start; Up, Draining, Waiting and Events
// are as of now.
type LinkStats struct {
	Up       bool // there is a channel to ask on
	Draining bool // by the operator's wish
	Waiting  int  // calls that wait for the broker's answer
	Events   int  // that wait to be reported
	Kills    int  // in force, as far as they are kept

	Channels      int64 // that stood
	DroppedEvents int64 // for want of room, or because the broker refused them
}

type linkCounters struct {
	waiting       atomic.Int64
	channels      atomic.Int64
	refusedEvents atomic.Int64
}

// Stats returns the link's numbers.
func (l *Link) Stats() LinkStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LinkStats{
		Up: l.current != nil, Draining: l.drain, Waiting: int(l.counters.waiting.Load()),
		Events: len(l.events.events), Kills: len(l.kills.kills),
		Channels: l.counters.channels.Load(), DroppedEvents: l.events.dropped + l.counters.refusedEvents.Load(),
	}
}
