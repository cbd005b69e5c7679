package broker

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/relay"
)

// An Agent is the host's end of the control channel. Set its fields before use.
type Agent struct {
	Server   string      // base URL of the broker. Required
	Identity *Identity   // Required
	TLS      *tls.Config // roots and versions towards the broker. Nil: the system's roots
	// NetDial opens the transport connection to the broker. Nil means TCP, by
	// way of the proxy that the environment names.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
	// OnMessage answers applications' own messages from the broker. Nil refuses them.
	OnMessage func(ctx context.Context, m *Message) (*Message, error)
	// Health says how the host is. It is asked after each welcome and every
	// HealthEvery, and has HealthWithin for its answer; until it has returned it
	// is not asked again, and Run waits for it. Nil: the host is fit while it is
	// connected.
	Health func(ctx context.Context) Health
	// Control knows the user sessions of the operating system. Nil: nobody does.
	Control SessionControl
	Logger  *slog.Logger // nil is silent

	users users // whose sessions they are; in use with Control only

	mu       sync.Mutex
	current  *agentChannel // nil between channels
	changes  []SessionReport
	draining bool
}

// A Handler does an agent's work; transport.ListenConfig has one. Its methods may be
// called concurrently.
type Handler interface {
	// Welcome is called each time a control channel stands. It must not block.
	Welcome(w *Welcome)
	// Summon asks to answer a call; nil accepts. It must return within 3 s,
	// and the answer itself is made after it has returned.
	Summon(ctx context.Context, s *Summon) error
	// Disconnect ends a session. It must not block.
	Disconnect(session string, c reachback.Code)
	// Sessions are the live sessions, for the report after each welcome.
	Sessions() []SessionReport
}

// Welcome is the broker's first message on a control channel.
type Welcome struct {
	Host    string // the id; empty of a gateway
	Gateway string // the id of a gateway
	Name    string
	Pool    string // of a host
	Epoch   uint64
	// NameTaken, after Enrol only: another host has the name that was asked for.
	NameTaken bool
	// Duplicate says that another machine runs with this host's identity.
	Duplicate bool
}

// A Summon asks a host to answer one call.
type Summon struct {
	Call          string
	Ticket        relay.Ticket
	Gateway       string // base URL
	Session       string
	CorrelationID string
	User          string
	Tenant        string
	Resource      string
	ClientKey     [32]byte // the only key to accept; zero in raw calls
	Raw           bool
	Policy        reachback.Policy
}

// A SessionReport tells the broker about one session that it made for this host.
type SessionReport struct {
	Session string         `json:"session"`
	State   string         `json:"state"` // one of the constants below
	Code    reachback.Code `json:"code,omitempty"`
}

// The states of a SessionReport.
const (
	ReportActive = "active"
	ReportEnded  = "ended"
	// ReportDisconnected says that the user session goes on without a
	// connection and will be reported on, and ReportLoggedOff that it is over.
	// Only a host with a SessionControl says so, by the user's last session. The
	// agent makes these two itself.
	ReportDisconnected = "disconnected"
	ReportLoggedOff    = "logged_off"
)

// HealthEvery is how often a host looks how it is, and HealthWithin how long that
// may take; a host that does not know by then is not fit.
const (
	HealthEvery  = 10 * time.Second
	HealthWithin = 5 * time.Second
)

func (a *Agent) log() *slog.Logger { return orSilent(a.Logger) }

// party is the agent as it keeps its channel.
func (a *Agent) party() *party {
	return &party{
		role: RoleHost, server: a.Server, identity: a.Identity,
		dialer: &carrier.Dialer{TLS: a.TLS, NetDial: a.NetDial}, log: a.log(),
	}
}

// Enrol turns a registration token into an identity certificate for the
// Identity's key, and stores it. It reports what the broker made of name and
// pool. To enrol the same key again is harmless.
func (a *Agent) Enrol(ctx context.Context, o EnrolOptions) (*Welcome, error) {
	return a.party().enrol(ctx, o, "")
}
