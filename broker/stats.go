package broker

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/reachback/reachback"
)

// Stats are numbers of a broker since its start; those of type int are as of now.
type Stats struct {
	Channels int // control channels of hosts
	Gateways int // control channels of gateways
	Deciding int // calls that are being decided, or were in about the last minute
	Notes    int // joins, leaves and ends of channels that the directory has not taken yet
	Records  int // that wait for the sink

	Permitted       int64 // calls that got a host
	Enrolled        int64
	Renewed         int64 // certificates, over the control channel
	Superseded      int64 // channels that a newer one of the same host replaced
	Overflows       int64 // channels closed because the host took messages too slowly
	UnknownSessions int64 // sessions that a host reported and the broker had not made for it
	DroppedEvents   int64 // events of relays for which there was no room
	Starts          int64 // hosts that were asked to start
	StartsFailed    int64 // those that the Starter could not start

	RecordsWritten int64
	RecordsDropped int64 // those that the sink did not take, or for which there was no room
	ForeignEvents  int64 // events of gateways about sessions that are not as they say

	Refused map[reachback.Code]int64 // calls, channels, enrolments and connects
}

// counters are the running numbers behind [Stats].
type counters struct {
	codes           codeCounter
	permitted       atomic.Int64
	superseded      atomic.Int64
	overflows       atomic.Int64
	unknownSessions atomic.Int64
	droppedEvents   atomic.Int64
	starts          atomic.Int64
	startsFailed    atomic.Int64
	foreignEvents   atomic.Int64
	enrolled        atomic.Int64
	renewed         atomic.Int64
}

func (c *counters) refused(code reachback.Code) { c.codes.add(code) }

// A codeCounter counts by code. Its zero value is ready.
type codeCounter struct {
	mu     sync.Mutex
	byCode map[reachback.Code]int64
}

// add counts a code. Foreign ones are counted together, so that a peer cannot
// make the map grow.
func (c *codeCounter) add(code reachback.Code) {
	if code.Text() == "" {
		code = reachback.CodeInternal
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byCode == nil {
		c.byCode = make(map[reachback.Code]int64)
	}
	c.byCode[code]++
}

func (c *codeCounter) snapshot() map[reachback.Code]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.byCode)
}

// Stats returns the broker's numbers.
func (b *Broker) Stats() Stats {
	b.start()
	b.mu.Lock()
	channels, gateways, calls := len(b.channels), len(b.gateways), len(b.calls.byCall)
	b.mu.Unlock()
	c := &b.counters
	return Stats{
		Channels: channels, Gateways: gateways, Deciding: calls, Notes: b.books.waiting(), Records: b.recorder.waiting(),
		Starts: c.starts.Load(), StartsFailed: c.startsFailed.Load(),
		RecordsWritten: b.recorder.written.Load(), RecordsDropped: b.recorder.dropped.Load(),
		Permitted: c.permitted.Load(), Enrolled: c.enrolled.Load(), Renewed: c.renewed.Load(),
		Superseded: c.superseded.Load(), Overflows: c.overflows.Load(), UnknownSessions: c.unknownSessions.Load(),
		DroppedEvents: c.droppedEvents.Load(), ForeignEvents: c.foreignEvents.Load(), Refused: c.codes.snapshot(),
	}
}
