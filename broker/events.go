package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// eventSteps are the steps that events are recorded as. Of other events, which a later
// version of a gateway may have, there is no record.
var eventSteps = map[relay.EventKind]Step{
	relay.EventCalled:   StepCall,
	relay.EventRefused:  StepCall,
	relay.EventAnswered: StepAnswer,
	relay.EventJoined:   StepJoined,
	relay.EventFailed:   StepJoined,
	relay.EventEnded:    StepEnd,
}

// late is how much a gateway's time of an event must differ from the broker's to
// stand in the record beside it.
const late = 10 * time.Second

// Report implements [relay.Orchestrator].
func (b *Broker) Report(e relay.Event) {
	b.start()
	b.recordEvent(&e)
	var do func(context.Context) error
	switch e.Kind {
	case relay.EventJoined:
		do = func(ctx context.Context) error { return b.dir.Joined(ctx, e.Session, e.Call) }
	case relay.EventEnded, relay.EventFailed:
		do = func(ctx context.Context) error { return b.dir.Left(ctx, e.Session, e.Call) }
	default:
		return
	}
	if !b.books.add(note{"call " + string(e.Kind), e.Session, do}) {
		b.counters.droppedEvents.Add(1)
	}
	b.logEvent(&e)
}

// logEvent leaves a line of a call that was joined, or is over.
func (b *Broker) logEvent(e *relay.Event) {
	log := b.log().With("call", e.Call, "session", e.Session, "host", e.Host, "correlation_id", e.CorrelationID)
	if e.Kind != relay.EventJoined {
		log = log.With("code", e.Code, "to_host", e.ToHost, "to_client", e.ToClient)
	}
	log.Info("call "+string(e.Kind), "duration", e.Duration)
}

func (b *Broker) recordEvent(e *relay.Event) {
	step, ok := eventSteps[e.Kind]
	// By its gateway too: what one says of a user leaves the others' records of him.
	if !ok || step == StepCall && !b.repeats.Allow("call "+e.Gateway+" "+e.Tenant+"\x00"+e.User, time.Now()) {
		return
	}
	r := Record{
		Step: step, Party: partyGateway, Code: e.Code, CorrelationID: e.CorrelationID, Duration: e.Duration,
		Tenant: e.Tenant, User: e.User, Resource: e.Resource, Session: e.Session, Call: e.Call, Host: e.Host, Gateway: e.Gateway,
	}
	if e.Remote.IsValid() {
		r.Remote = e.Remote.String()
	}
	if e.Kind == relay.EventEnded {
		r.Detail = fmt.Sprintf("%d bytes to the host, %d to the client", e.ToHost, e.ToClient)
	}
	if d := time.Since(e.Time); !e.Time.IsZero() && (d > late || d < -late) {
		r.Detail = joinDetails(r.Detail, "the gateway's time was "+e.Time.UTC().Format(time.RFC3339))
	}
	b.record(r)
}

// recordReport records a host's own view of a session.
func (b *Broker) recordReport(r SessionReport, of *Session) {
	rec := Record{
		Step: StepJoined, Party: partyHost, CorrelationID: of.CorrelationID, Tenant: of.User.Tenant, User: of.User.Subject,
		Resource: of.Resource.ID, Session: of.ID, Host: of.Host,
	}
	switch r.State {
	case ReportActive:
	case ReportEnded:
		rec.Step, rec.Code = StepEnd, r.Code
	case ReportDisconnected:
		rec.Step, rec.Detail = StepEnd, "the user session goes on"
	case ReportLoggedOff:
		rec.Step, rec.Detail = StepEnd, "the user session is over"
	default:
		return
	}
	b.record(rec)
}

// endCode is why a channel ended, as a record has it.
func endCode(err error) reachback.Code {
	if reachback.CodeOf(err) == reachback.CodeInternal {
		return reachback.CodePathLost // the connection broke
	}
	return reachback.CodeOf(err)
}
