package sqldirectory

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// A session is a row of sessions.
type session struct {
	id, tenant, subject, person, pool, host, token string
	state                                          broker.SessionState
	epoch                                          int64
	hostKey                                        []byte
	joined                                         bool
	calls                                          []string // those that carry bytes
	created, changed, due                          int64
	body                                           string // sessionBody, JSON

	dirty bool // to be written
	new   bool // is not in the table
}

// A sessionBody is what never changes of a session and nothing is searched by.
type sessionBody struct {
	User          reachback.User     `json:"user"`
	Resource      reachback.Resource `json:"resource"`
	Policy        reachback.Policy   `json:"policy"`
	Raw           bool               `json:"raw,omitempty"`
	CorrelationID string             `json:"correlation_id,omitempty"`
}

const sessionColumns = `s.id, s.tenant, s.subject, s.person, s.pool, s.host, s.token, s.state, s.epoch, s.host_key,
	s.joined, s.calls, s.created, s.changed, s.due, s.body`

func scanSession(r row) (*session, error) {
	s := &session{}
	var state int64
	var calls string
	err := r.Scan(&s.id, &s.tenant, &s.subject, &s.person, &s.pool, &s.host, &s.token, &state, &s.epoch, &s.hostKey,
		&s.joined, &calls, &s.created, &s.changed, &s.due, &s.body)
	s.state = broker.SessionState(state)
	for c := range strings.Lines(calls) {
		s.calls = append(s.calls, strings.TrimSuffix(c, "\n"))
	}
	return s, err
}

// callLine is a call as it stands in calls.
func callLine(call string) string { return strconv.Quote(call) }

func (s *session) join(call string) {
	if line := callLine(call); len(s.calls) < broker.MaxSessionCalls && !slices.Contains(s.calls, line) {
		s.calls, s.dirty = append(s.calls, line), true
	}
}

func (s *session) leave(call string) {
	line := callLine(call)
	s.calls = slices.DeleteFunc(s.calls, func(c string) bool { return c == line })
	s.dirty = true
}

func (s *session) live() bool {
	return s.state == broker.SessionPending || s.state == broker.SessionActive
}

// forgotten reports whether the row is only left until somebody deletes it.
func (s *session) forgotten(now int64) bool { return !s.live() && s.due <= now }

func (s *session) store(t *tx) {
	if !s.dirty {
		return
	}
	calls := ""
	if len(s.calls) > 0 {
		calls = strings.Join(s.calls, "\n") + "\n"
	}
	if s.new {
		t.exec(`INSERT INTO sessions (id, tenant, subject, person, pool, host, token, state, epoch, host_key, joined, calls, created, changed, due, body)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
			s.id, s.tenant, s.subject, s.person, s.pool, s.host, s.token, int64(s.state), s.epoch, s.hostKey, s.joined, calls, s.created, s.changed, s.due, s.body)
		return
	}
	t.exec("UPDATE sessions SET state = $2, epoch = $3, host_key = $4, joined = $5, calls = $6, changed = $7, due = $8 WHERE id = $1",
		s.id, int64(s.state), s.epoch, s.hostKey, s.joined, calls, s.changed, s.due)
}

// session is the row as brokers have it.
func (s *session) session() (*broker.Session, error) {
	var b sessionBody
	if err := json.Unmarshal([]byte(s.body), &b); err != nil {
		return nil, err
	}
	v := &broker.Session{
		ID: s.id, User: b.User, Resource: b.Resource, Policy: b.Policy, Host: s.host, Epoch: uint64(s.epoch), Token: s.token, Raw: b.Raw,
		State: s.state, CorrelationID: b.CorrelationID, Created: atMicros(s.created), Changed: atMicros(s.changed),
	}
	copy(v.HostKey[:], s.hostKey)
	return v, nil
}
