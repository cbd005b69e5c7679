package broker

import (
	"errors"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
)

// The parties of a [Record].
const (
	partyGateway = "gateway"
	partyBroker  = "broker"
	partyHost    = "host"
)

const (
	// Of records that one user or machine can cause as often as it likes there
	// are repeatBurst at once and repeatsPerSecond for ever.
	repeatBurst      = 60
	repeatsPerSecond = 1
	// Reading the feed, and being refused for asking too often, is recorded once
	// in sparseEvery.
	sparseEvery = time.Minute
	maxSparse   = 4096
)

// record has the sink take a record, some time later. It never waits.
func (b *Broker) record(r Record) { b.recorder.add(r) }

// mayRepeat reports whether there is to be one more record of what the user can
// repeat at will.
func (b *Broker) mayRepeat(tenant, user string) bool {
	return b.repeats.Allow("user "+tenant+"\x00"+user, time.Now())
}

// recordFeed records that the user read his feed, or could not.
func (b *Broker) recordFeed(u *reachback.User, err error, began time.Time) {
	code := reachback.CodeOf(err)
	if b.told.first("feed "+string(code)+" "+u.ID(), time.Now()) {
		b.record(Record{
			Step: StepFeed, Party: partyBroker, Code: code, Tenant: u.Tenant, User: u.Subject, Duration: time.Since(began),
		})
	}
}

// recordConnect records a connection token, or why there was none.
func (b *Broker) recordConnect(u *reachback.User, resource, correlation string, err error, began time.Time) {
	code := reachback.CodeOf(err)
	if code == reachback.CodeRateLimited && !b.told.first("connect "+u.ID(), time.Now()) {
		return
	}
	b.record(Record{
		Step: StepConnect, Party: partyBroker, Code: code, CorrelationID: correlation, Duration: time.Since(began),
		Tenant: u.Tenant, User: u.Subject, Resource: resource,
	})
}

// recordDecision records what the broker made of a call whose token is genuine.
func (b *Broker) recordDecision(d *decision, c *relay.Call, said *token.Connection, err error, began time.Time) {
	if err != nil && !b.mayRepeat(said.User.Tenant, said.User.Subject) {
		return
	}
	r := Record{
		Step: StepOrchestrate, Party: partyBroker, Code: reachback.CodeOf(err), CorrelationID: said.CorrelationID,
		Duration: time.Since(began), Tenant: said.User.Tenant, User: said.User.Subject, Resource: said.Resource,
		Call: c.ID, Gateway: c.Gateway, Remote: c.Remote.String(), Detail: d.why,
	}
	if d.permit != nil {
		r.Session, r.Host = d.permit.Session, d.permit.Host
	}
	b.record(r)
}

// recordSummon records that a host was asked to answer a call, and what it said.
func (b *Broker) recordSummon(c *relay.Call, s *Session, err error, began time.Time) {
	if errors.Is(err, errNoChannel) {
		return // it was not asked
	}
	b.record(Record{
		Step: StepSummon, Party: partyBroker, Code: reachback.CodeOf(err), CorrelationID: s.CorrelationID,
		Duration: time.Since(began), Tenant: s.User.Tenant, User: s.User.Subject, Resource: s.Resource.ID,
		Session: s.ID, Call: c.ID, Host: s.Host, Gateway: c.Gateway,
	})
}

// recordEnrolment records an enrolment, or why there was none. Of registration tokens
// that are guessed there is no record.
func (b *Broker) recordEnrolment(asked *enrolment, a *enrolAnswer, err error, remote string) {
	code := reachback.CodeOf(err)
	if code == reachback.CodeRegistrationInvalid || !b.repeats.Allow("enrol "+asked.Registration, time.Now()) {
		return
	}
	r := Record{Step: StepEnrol, Party: partyBroker, Code: code, Remote: remote, Detail: "registration " + asked.Registration}
	if asked.Name != "" {
		r.Detail = joinDetails(r.Detail, "asked for the name "+asked.Name)
	}
	if err == nil {
		r.Code, r.Host, r.Gateway = a.Code, a.Host, a.Gateway
	}
	b.record(r)
}

// recordChannel records that a channel of a host or gateway began, or why it ended.
func (b *Broker) recordChannel(r Record) {
	r.Step, r.Party = StepChannel, partyBroker
	if b.repeats.Allow("channel "+r.Host+r.Gateway, time.Now()) {
		b.record(r)
	}
}

func joinDetails(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// sparse remembers what was recorded in the last minute. Its zero value is ready.
type sparse struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

// first reports whether the key was not seen for sparseEvery. Of more than maxSparse
// keys in that time the others are never first.
func (s *sparse) first(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.seen[key]; ok && now.Sub(t) < sparseEvery {
		return false
	}
	if len(s.seen) >= maxSparse {
		for k, t := range s.seen {
			if now.Sub(t) >= sparseEvery {
				delete(s.seen, k)
			}
		}
		if len(s.seen) >= maxSparse {
			return false
		}
	}
	if s.seen == nil {
		s.seen = make(map[string]time.Time)
	}
	s.seen[key] = now
	return true
}
