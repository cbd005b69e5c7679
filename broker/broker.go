// Package broker knows hosts, resources, assignments and sessions, picks the
// host of each call and holds the control channels.
package broker

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// A Broker is an [http.Handler] for control and enrol, a [relay.Orchestrator],
// and a feed.Source.
type Broker struct {
	// Keys sign tokens and host certificates. Required.
	Keys *Keys
	// Directory holds hosts, resources and sessions. Nil means an empty
	// MemoryDirectory.
	Directory Directory
	// Verifier checks the tokens of users. Without one, nobody is let in.
	Verifier Verifier
	// Gateways are the URLs of the relays in this process. A call that names
	// another is refused.
	Gateways []string
	// OnMessage answers applications' own messages from hosts. Nil refuses them.
	OnMessage func(ctx context.Context, host string, m *Message) (*Message, error)
	Logger    *slog.Logger // nil is silent
}

// A Verifier checks the bearer token of a user. A refusal is a *reachback.Error.
type Verifier interface {
	Verify(ctx context.Context, token string) (*reachback.User, error)
}

// A Directory is where a broker keeps what it knows.
type Directory interface{}

// Keys are the secrets of an installation: the keys that sign tokens, the host
// CA, and a server CA for when there is no public certificate.
type Keys struct{}

// A Message is an application's own, carried by the control channel.
type Message struct {
	Topic string          `json:"topic"`
	Body  json.RawMessage `json:"body,omitempty"`
}

func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request)    { panic("to be written") }
func (b *Broker) Trust() *relay.Trust                                 { panic("to be written") }
func (b *Broker) Watch(ctx context.Context, f func(relay.Kill)) error { panic("to be written") }
func (b *Broker) Orchestrate(ctx context.Context, c *relay.Call) (*relay.Permit, error) {
	panic("to be written")
}
func (b *Broker) Report(e relay.Event) { panic("to be written") }

// Authenticate returns the user of the request's bearer token.
func (b *Broker) Authenticate(r *http.Request) (*reachback.User, error) { panic("to be written") }

// Resources returns what is assigned to the user, by title.
func (b *Broker) Resources(ctx context.Context, u *reachback.User) ([]reachback.Resource, error) {
	panic("to be written")
}

// Connect issues a connection token for a resource that is assigned to the user;
// key is the thumbprint of the client's key, all zero for a raw call.
func (b *Broker) Connect(ctx context.Context, u *reachback.User, resource string, key [32]byte) (*reachback.Connection, error) {
	panic("to be written")
}

// JWKS returns the public keys of tokens and grants as a JSON Web Key Set.
func (b *Broker) JWKS(ctx context.Context) ([]byte, error) { panic("to be written") }

// Kill ends a session at its gateway and its host, and refuses its token.
func (b *Broker) Kill(ctx context.Context, session string) error { panic("to be written") }

// RevokeHost withdraws a host's identity and ends its channel, legs and sessions.
func (b *Broker) RevokeHost(ctx context.Context, host string) error { panic("to be written") }

// Send sends an application's message to a host and returns the answer.
func (b *Broker) Send(ctx context.Context, host string, m *Message) (*Message, error) {
	panic("to be written")
}

// Shutdown tells every host to come back later, smeared, and ends the channels.
func (b *Broker) Shutdown(ctx context.Context) error { panic("to be written") }

// Close ends the channels at once and waits for the broker's goroutines.
func (b *Broker) Close() error { panic("to be written") }

// An Agent is the host's end of the control channel.
type Agent struct {
	Server   string    // base URL of the broker. Required
	Identity *Identity // Required
	TLS      *tls.Config
	NetDial  func(ctx context.Context, network, addr string) (net.Conn, error)
	// OnMessage answers applications' own messages from the broker. Nil refuses them.
	OnMessage func(ctx context.Context, m *Message) (*Message, error)
	Logger    *slog.Logger
}

// A Handler does an agent's work: *transport.Listener is one. Its methods may be
// called concurrently.
type Handler interface {
	// Welcome is called each time a control channel stands.
	Welcome(w *Welcome)
	// Summon asks to answer a call; nil accepts. It must return within 3 s,
	// and the answer itself is made after it has returned.
	Summon(ctx context.Context, s *Summon) error
	// Disconnect ends a session.
	Disconnect(session string, c reachback.Code)
	// Sessions are the live sessions, for the report after each welcome.
	Sessions() []SessionReport
}

// Welcome is the broker's first message on a control channel.
type Welcome struct {
	Host, Name, Pool string
	Epoch            uint64
}

// A Summon asks a host to answer one call.
type Summon struct {
	Call          string
	Ticket        relay.Ticket
	Gateway       string
	Session       string
	CorrelationID string
	User          string
	Tenant        string
	Resource      string
	ClientKey     [32]byte
	Raw           bool
	Policy        reachback.Policy
}

// A SessionReport tells the broker about one session that it made for this host.
type SessionReport struct {
	Session string         `json:"session"`
	State   string         `json:"state"` // "active", or "ended" with a code
	Code    reachback.Code `json:"code,omitempty"`
}

// Run keeps a control channel until ctx ends or the broker refuses for good.
func (a *Agent) Run(ctx context.Context, h Handler) error { panic("to be written") }

// Report queues a change of a session for the broker.
func (a *Agent) Report(r SessionReport) { panic("to be written") }

// Enrol turns a registration token into an identity certificate for the
// Identity's key, and stores it. It reports the name that the broker gave.
func (a *Agent) Enrol(ctx context.Context, token, name, pool string) (*Welcome, error) {
	panic("to be written")
}

// An Identity is a host's key with its certificates, kept in one file.
type Identity struct{}

// OpenIdentity reads the identity at path, and makes a key there if there is none.
func OpenIdentity(path string) (*Identity, error) { panic("to be written") }

// Host returns the id, "" before enrolment.
func (i *Identity) Host() string { panic("to be written") }

// Certificate is the identity certificate, nil before enrolment.
func (i *Identity) Certificate() *tls.Certificate { panic("to be written") }

// SessionCertificate is the self-signed certificate of the inner TLS.
func (i *Identity) SessionCertificate() *tls.Certificate { panic("to be written") }
