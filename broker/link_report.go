package broker

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

const (
	// maxLinkEvents is how many events a link keeps for its broker. Without room
	// the oldest is dropped and counted.
	maxLinkEvents = 4096
	// maxReport bounds the events of one report in bytes of JSON, which leaves
	// room for the rest of the message.
	maxReport = MaxMessage - 1<<10
	// reportRetry is how long after a report that the broker could not take it
	// is sent again.
	reportRetry = time.Second
)

// Report implements [relay.Orchestrator]. An event is kept until a broker has taken
// it down; when a channel broke in between it may be told twice.
func (l *Link) Report(e relay.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events.add(e)
}

// reports sends what was reported, one message at a time, until the channel ends.
func (c *linkChannel) reports() {
	l := c.link
	for {
		l.mu.Lock()
		batch, upTo, more := l.events.batch()
		l.mu.Unlock()
		if len(batch) == 0 {
			select {
			case <-more:
				continue
			case <-c.ctx.Done():
				return
			}
		}
		_, err := c.request(c.ctx, &reportMessage{Events: batch})
		switch {
		case c.ctx.Err() != nil && err != nil, errors.Is(err, errChannelLost):
			return
		case reachback.CodeOf(err) == reachback.CodeUnavailable:
			select {
			case <-time.After(reportRetry):
			case <-c.ctx.Done():
				return
			}
			continue
		case err != nil: // it never will be taken
			l.log().Error("events refused", "count", len(batch), "err", err)
			l.counters.refusedEvents.Add(int64(len(batch)))
		}
		l.mu.Lock()
		l.events.done(upTo)
		l.mu.Unlock()
	}
}

// An eventQueue holds events in their order until they are done with. Its zero
// value is ready.
type eventQueue struct {
	events  []relay.Event
	first   int64 // number of events[0], counted from the first that ever came
	dropped int64
	more    chan struct{} // closed and replaced when there are more; nil: nobody waits
}

func (q *eventQueue) add(e relay.Event) {
	if len(q.events) >= maxLinkEvents {
		q.pop(1)
		q.dropped++
	}
	q.events = append(q.events, e)
	if q.more != nil {
		close(q.more)
		q.more = nil
	}
}

// batch returns the oldest events that one report holds, and the number after
// them. When there are none, more is closed as soon as there are.
func (q *eventQueue) batch() (events []relay.Event, upTo int64, more <-chan struct{}) {
	size := 0
	for _, e := range q.events {
		b, err := json.Marshal(&e)
		if size += len(b) + 1; err != nil || size > maxReport {
			break
		}
		events = append(events, e)
	}
	if len(events) == 0 && len(q.events) > 0 { // no message could hold it
		q.pop(1)
		q.dropped++
		return q.batch()
	}
	if q.more == nil {
		q.more = make(chan struct{})
	}
	return events, q.first + int64(len(events)), q.more
}

// done forgets the events before the number upTo, as far as they are there still.
func (q *eventQueue) done(upTo int64) {
	if n := upTo - q.first; n > 0 {
		q.pop(int(n))
	}
}

func (q *eventQueue) pop(n int) {
	clear(q.events[:n])
	q.events, q.first = q.events[n:], q.first+int64(n)
	if len(q.events) == 0 {
		q.events = nil
	}
}
