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
	Keys   *jose.JSONWebKeySet // public keys of connection tokens
	HostCA *x509.CertPool      // issues the identity certificates of hosts
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
	EventJoined EventKind = "joined" // both legs are there and got their 101
	EventEnded  EventKind = "ended"  // the joined legs are gone; Code says why
	EventFailed EventKind = "failed" // the call was permitted and never joined; Code says why
)

// An Event is one step of a permitted call.
type Event struct {
	Kind          EventKind
	Call          string
	Session       string
	Host          string
	CorrelationID string
	Code          reachback.Code // why it ended or failed; "closed" is the regular end
	Duration      time.Duration
	ToHost        int64 // bytes copied from client to host
	ToClient      int64
}
