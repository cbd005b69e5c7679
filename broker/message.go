package broker

import (
	"encoding/json"
	"reflect"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// Version is the version of the control channel that this package speaks.
const Version = 1

// A message is one of the types below, by pointer. Which end sends which stands
// in SPEC.md, section 5.
type message interface {
	head() *header
}

// A header is what every message begins with. A message with ID wants an answer,
// whose Re is that ID.
type header struct {
	Type string `json:"type"`
	ID   uint64 `json:"id,omitempty"`
	Re   uint64 `json:"re,omitempty"`
}

func (h *header) head() *header { return h }

type helloMessage struct {
	header
	Versions []int  `json:"versions"`
	Agent    string `json:"agent,omitempty"` // name and version of the program, for the log
	OS       string `json:"os,omitempty"`
	Role     Role   `json:"role,omitempty"` // empty: host
	URL      string `json:"url,omitempty"`  // of a gateway: where hosts reach it
}

type welcomeMessage struct {
	header
	Version     int           `json:"version"`
	Host        string        `json:"host,omitempty"`
	Gateway     string        `json:"gateway,omitempty"` // the id, instead of Host
	Name        string        `json:"name"`
	Pool        string        `json:"pool,omitempty"`
	Epoch       uint64        `json:"epoch"`
	HeartbeatMS int64         `json:"heartbeat_ms"`
	DeadMS      int64         `json:"dead_ms"`
	Duplicate   bool          `json:"duplicate,omitempty"`
	Kills       []killedEntry `json:"kills,omitempty"`
}

type killedEntry struct {
	Session string         `json:"session"`
	Code    reachback.Code `json:"code"`
}

type pingMessage struct{ header }

type pongMessage struct{ header }

type summonMessage struct {
	header
	Call          string           `json:"call"`
	Ticket        string           `json:"ticket"`
	Gateway       string           `json:"gateway"`
	Session       string           `json:"session"`
	CorrelationID string           `json:"correlation_id"`
	User          string           `json:"user"`
	Tenant        string           `json:"tenant,omitempty"`
	Resource      string           `json:"resource"`
	ClientKey     *Thumbprint      `json:"client_key,omitempty"`
	Raw           bool             `json:"raw,omitempty"`
	Policy        reachback.Policy `json:"policy"`
}

func newSummonMessage(s *Summon) *summonMessage {
	m := &summonMessage{
		Call: s.Call, Ticket: ticketText(s.Ticket), Gateway: s.Gateway, Session: s.Session, CorrelationID: s.CorrelationID,
		User: s.User, Tenant: s.Tenant, Resource: s.Resource, Raw: s.Raw, Policy: s.Policy,
	}
	if s.ClientKey != [32]byte{} {
		key := Thumbprint(s.ClientKey)
		m.ClientKey = &key
	}
	return m
}

func (m *summonMessage) summon() *Summon {
	s := &Summon{
		Call: m.Call, Ticket: relay.Ticket(m.Ticket), Gateway: m.Gateway, Session: m.Session, CorrelationID: m.CorrelationID,
		User: m.User, Tenant: m.Tenant, Resource: m.Resource, Raw: m.Raw, Policy: m.Policy,
	}
	if m.ClientKey != nil {
		s.ClientKey = *m.ClientKey
	}
	return s
}

// ticketText is the one place where a ticket becomes text that is not redacted.
func ticketText(t relay.Ticket) string { return string(t) }

type acceptMessage struct{ header }

// A refuseMessage answers a summon, a renew or a message.
type refuseMessage struct {
	header
	Code          reachback.Code `json:"code"`
	Message       string         `json:"message,omitempty"`
	CorrelationID string         `json:"correlation_id,omitempty"`
}

type sessionsMessage struct {
	header
	Full     bool            `json:"full,omitempty"`
	Sessions []SessionReport `json:"sessions"`
}

type drainMessage struct {
	header
	On bool `json:"on"`
}

type disconnectMessage struct {
	header
	Session string         `json:"session"`
	Code    reachback.Code `json:"code"`
}

// A renewMessage asks with a request for a certificate, and answers with one.
type renewMessage struct {
	header
	CSR         []byte `json:"csr,omitempty"`
	Certificate []byte `json:"certificate,omitempty"`
}

type restartingMessage struct {
	header
	ReconnectInMS int64 `json:"reconnect_in_ms"`
	TryForMS      int64 `json:"try_for_ms"`
}

// A closeMessage is the last one on a channel and says why it ends.
type closeMessage struct {
	header
	Code    reachback.Code `json:"code"`
	Message string         `json:"message,omitempty"`
}

// An appMessage is an application's, in both directions, and its answer.
type appMessage struct {
	header
	Topic string          `json:"topic,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`
}

// A healthMessage says how the host is: after the welcome, when it changes, and
// now and then.
type healthMessage struct {
	header
	Health
}

// A userSessionMessage asks the host to do something about the user session that
// a session belongs to. It is answered with accept or refuse.
type userSessionMessage struct {
	header
	Do      string `json:"do"` // "log_off", "disconnect" or "message"
	Session string `json:"session"`
	Title   string `json:"title,omitempty"`
	Text    string `json:"text,omitempty"`
}

// A trustMessage gives a gateway what it checks tokens and certificates with, in
// place of what it had.
type trustMessage struct {
	header
	Keys   json.RawMessage `json:"keys"`            // JSON Web Key Set
	HostCA [][]byte        `json:"host_ca"`         // DER
	Drain  bool            `json:"drain,omitempty"` // take no new calls
}

// A killsMessage gives a gateway kills in the order of their revisions. It is
// answered with accept, and no other is sent before.
type killsMessage struct {
	header
	Kills []killEntry `json:"kills"`
}

type killEntry struct {
	Revision uint64         `json:"revision"`
	Session  string         `json:"session,omitempty"`
	Host     string         `json:"host,omitempty"`
	Code     reachback.Code `json:"code"`
}

// An orchestrateMessage asks the broker about a call. It is answered with permit
// or refuse.
type orchestrateMessage struct {
	header
	Call          string `json:"call"`
	Ticket        string `json:"ticket"`
	Gateway       string `json:"gateway"`
	Token         string `json:"token"`
	Nonce         string `json:"nonce,omitempty"`
	Remote        string `json:"remote"` // address and port of the client
	Raw           bool   `json:"raw,omitempty"`
	CorrelationID string `json:"correlation_id,omitempty"`
	WithinMS      int64  `json:"within_ms"` // how long the call still waits
}

type permitMessage struct {
	header
	Session string `json:"session"`
	Host    string `json:"host"`
	Grant   string `json:"grant"`
}

// A reportMessage has the events of a gateway, in their order. It is answered
// with accept, and no other is sent before.
type reportMessage struct {
	header
	Events []relay.Event `json:"events"`
}

// newMessages has a function for each type of message, which makes an empty one.
var newMessages = map[string]func() message{
	"hello":        empty[helloMessage],
	"welcome":      empty[welcomeMessage],
	"ping":         empty[pingMessage],
	"pong":         empty[pongMessage],
	"summon":       empty[summonMessage],
	"accept":       empty[acceptMessage],
	"refuse":       empty[refuseMessage],
	"sessions":     empty[sessionsMessage],
	"drain":        empty[drainMessage],
	"disconnect":   empty[disconnectMessage],
	"renew":        empty[renewMessage],
	"restarting":   empty[restartingMessage],
	"close":        empty[closeMessage],
	"message":      empty[appMessage],
	"health":       empty[healthMessage],
	"user_session": empty[userSessionMessage],
	"trust":        empty[trustMessage],
	"kills":        empty[killsMessage],
	"orchestrate":  empty[orchestrateMessage],
	"permit":       empty[permitMessage],
	"report":       empty[reportMessage],
}

func empty[T any, P interface {
	*T
	message
}]() message {
	return P(new(T))
}

// kinds are the types of messages by their Go types.
var kinds = func() map[reflect.Type]string {
	m := make(map[reflect.Type]string)
	for kind, empty := range newMessages {
		m[reflect.TypeOf(empty())] = kind
	}
	return m
}()

// newMessage returns an empty message of the type, nil of an unknown one.
func newMessage(kind string) message {
	if empty := newMessages[kind]; empty != nil {
		return empty()
	}
	return nil
}
