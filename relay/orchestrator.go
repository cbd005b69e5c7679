package relay

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/reachback/reachback"
)

// An Orchestrator is the broker as a relay needs it: *broker.Broker where both
// run in one process. Its methods may be called concurrently.
type Orchestrator interface {
	// Trust returns what the relay checks tokens and certificates with, as
	// of now. The relay does not change it and asks again for each request.
	Trust() *Trust
	// Watch calls f for each kill, those still in force first, until ctx
	// ends; it returns ctx's cause, or sooner an error, after which the
	// relay watches again.
	Watch(ctx context.Context, f func(Kill)) error
	// Orchestrate decides about a call, picks a host and summons it. It
	// returns once a host has accepted, and calls with the same ID get the
	// same answer. A refusal is a *reachback.Error.
	Orchestrate(ctx context.Context, c *Call) (*Permit, error)
	// Report takes note of an event. It does not block.
	Report(e Event)
}

// Trust is what a relay needs to check a token or a certificate by itself.
type Trust struct {
	// Keys are the public keys of connection tokens. Nil says that they are not
	// known yet: calls are refused with unavailable, and blame nobody.
	Keys   *jose.JSONWebKeySet
	HostCA *x509.CertPool // issues the identity certificates of hosts
	// Revoked tells whether the host's certificate is withdrawn; nil means none is.
	Revoked func(host string) bool
}

// A Kill ends something before its time. Session or Host is set, not both.
type Kill struct {
	Revision uint64
	Session  string // end this session
	Host     string // end every leg of this host and admit no more
	Code     reachback.Code
}

// A Ticket lets one host's leg join one call. It is a secret and prints redacted.
type Ticket string

// LogValue implements [slog.LogValuer].
func (Ticket) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// String implements [fmt.Stringer].
func (Ticket) String() string { return "[redacted]" }

// A Call is a client's request for one resource.
type Call struct {
	ID            string // drawn by the relay, unique
	Ticket        Ticket // drawn by the relay
	Gateway       string // the relay's own URL, which the host is to dial
	Token         string // the connection token as shown
	Nonce         string // the client's, for the grant; empty in raw calls
	Remote        netip.AddrPort
	Raw           bool
	Resource      string // where not empty, the resource that the caller names: the token must be for it
	CorrelationID string // from the token
}

// A Permit is the broker's answer to a call that it allows.
type Permit struct {
	Session string // id of the session's record
	Host    string // the only host whose leg may join
	Grant   string // signed, for the client
}

// EventKind says what happened to a call.
type EventKind string

const (
	EventCalled   EventKind = "called"   // a call came whose token the relay has verified
	EventRefused  EventKind = "refused"  // such a call was refused, here or by the broker; Code says why
	EventAnswered EventKind = "answered" // the host's leg is there
	EventJoined   EventKind = "joined"   // both legs are there and got their 101
	EventEnded    EventKind = "ended"    // the joined legs are gone; Code says why
	EventFailed   EventKind = "failed"   // the call was permitted and never joined; Code says why
)

// An Event is one step of a call. Of calls whose token does not verify there are
// none, or anybody could fill a log.
type Event struct {
	Kind          EventKind      `json:"kind"`
	Time          time.Time      `json:"time"`
	Gateway       string         `json:"gateway"` // URL
	Call          string         `json:"call"`
	Session       string         `json:"session,omitempty"` // once permitted, as Host
	Host          string         `json:"host,omitempty"`
	Tenant        string         `json:"tenant,omitempty"`
	User          string         `json:"user,omitempty"` // subject
	Resource      string         `json:"resource,omitempty"`
	Remote        netip.AddrPort `json:"remote,omitzero"` // the client's
	CorrelationID string         `json:"correlation_id"`
	Code          reachback.Code `json:"code,omitempty"`     // why it ended, failed or was refused; "closed" is the regular end
	Duration      time.Duration  `json:"duration,omitempty"` // since the call came, or since it was joined when it ended; nanoseconds
	ToHost        int64          `json:"to_host,omitempty"`  // bytes copied from client to host
	ToClient      int64          `json:"to_client,omitempty"`
}
