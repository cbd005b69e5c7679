package broker

import (
	"context"
	"time"

	"github.com/reachback/reachback/relay"
)

// eventQueue is how many events may wait to be taken down. An event that finds no
// room is dropped and counted; the host's own report corrects the record.
const eventQueue = 4096

// Report implements [relay.Orchestrator].
func (b *Broker) Report(e relay.Event) {
	b.start()
	select {
	case b.events <- e:
	default:
		b.counters.droppedEvents.Add(1)
	}
}

// takeEvents takes the events down in their order, and has old decisions
// forgotten, until the broker is closed.
func (b *Broker) takeEvents() {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		select {
		case e := <-b.events:
			b.take(e)
		case now := <-tick.C:
			b.mu.Lock()
			b.calls.forget(now)
			b.mu.Unlock()
		case <-b.ctx.Done():
			for range len(b.events) { // those that came before the end
				b.take(<-b.events)
			}
			return
		}
	}
}

func (b *Broker) take(e relay.Event) {
	ctx := context.WithoutCancel(b.ctx)
	var err error
	switch e.Kind {
	case relay.EventJoined:
		err = b.dir.Joined(ctx, e.Session, e.Call)
	case relay.EventEnded, relay.EventFailed:
		err = b.dir.Left(ctx, e.Session, e.Call)
	}
	if err != nil {
		b.log().Error("event lost", "session", e.Session, "err", err)
	}
	log := b.log().With("call", e.Call, "session", e.Session, "host", e.Host, "correlation_id", e.CorrelationID)
	if e.Kind != relay.EventJoined {
		log = log.With("code", e.Code, "to_host", e.ToHost, "to_client", e.ToClient)
	}
	log.Info("call "+string(e.Kind), "duration", e.Duration)
}
