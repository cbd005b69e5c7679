package broker

import (
	"context"
	"net/netip"
	"time"

	"github.com/reachback/reachback"
)

// A Directory is where brokers keep what they know. Each method is one
// transaction, takes the time from the directory's own clock, and may be called
// concurrently, by several brokers too. What it has changed when it returns is as
// durable as the directory is. A refusal is a *reachback.Error; any other error
// means that the directory cannot answer now, and nothing was changed. A method
// returns soon after its ctx has ended; a broker gives most of them 5 s.
//
// Package directorytest checks one by its behaviour.
type Directory interface {
	Catalogue
	Enrolment
	Presence
	Sessions
	Records
}

// A Catalogue is the part of a directory that operators set up: pools, resources,
// and who may use them.
type Catalogue interface {
	// Resources returns what is assigned to the user, by title.
	Resources(ctx context.Context, u *reachback.User) ([]reachback.Resource, error)
	// Assigned returns one resource of the user's, with the policy of its
	// pool. It refuses with resource_not_found or not_assigned, which only
	// the log may tell apart towards the user.
	Assigned(ctx context.Context, u *reachback.User, resource string) (*Assignment, error)

	// Workspace returns the title of a tenant's workspace, "" where none is set.
	Workspace(ctx context.Context, tenant string) (string, error)
	// Apply puts a seed in force, for its tenant in place of all that was
	// set up before, or refuses it whole. Sessions that exist go on.
	Apply(ctx context.Context, s *Seed) error
	// Setup returns what is in force for a tenant: pools by name, resources
	// by id. It has no users.
	Setup(ctx context.Context, tenant string) (*Seed, error)
	// PutPool makes a pool or changes it; PutResource does so with a resource
	// and all of its assignments. What cannot work is refused with bad_request,
	// and a resource of an unknown pool with pool_not_found.
	PutPool(ctx context.Context, tenant string, p *SeedPool) error
	PutResource(ctx context.Context, tenant string, r *SeedResource) error
	// DeletePool refuses with in_use while a resource or a host that is not
	// revoked belongs to the pool. What is not there is not_found.
	DeletePool(ctx context.Context, tenant, name string) error
	DeleteResource(ctx context.Context, tenant, id string) error
	// Assign adds one assignment, "user:SUBJECT" or "group:NAME", to a
	// resource, or takes it away. Both are harmless when there is nothing to do.
	Assign(ctx context.Context, tenant, resource, to string) error
	Unassign(ctx context.Context, tenant, resource, to string) error

	// PutIcon keeps a picture, 1 MiB at most, and returns the SHA-256 of its
	// bytes in hexadecimal, which is what Resource.Icon names it by. Icon
	// refuses with not_found.
	PutIcon(ctx context.Context, data []byte) (hash string, err error)
	Icon(ctx context.Context, hash string) ([]byte, error)
}

// MaxIcon bounds a picture in a [Catalogue].
const MaxIcon = 1 << 20

// Enrolment is the part of a directory that makes and unmakes hosts and gateways.
type Enrolment interface {
	// NewRegistration keeps a registration token; it refuses with bad_request,
	// and with in_use where there is one by that id. Registrations lists those
	// of a tenant that have not been expired for longer than KeepExpired, the
	// newest first and without Hash, and DeleteRegistration withdraws one:
	// not_found where there is none.
	NewRegistration(ctx context.Context, r *Registration) error
	Registrations(ctx context.Context, tenant string) ([]Registration, error)
	DeleteRegistration(ctx context.Context, id string) error
	// Registration returns the registration token that was shown. It refuses
	// with registration_invalid, registration_expired and registration_used_up.
	Registration(ctx context.Context, id string, hash [32]byte) (*Registration, error)

	// Enrol makes a host and spends one use of a registration token. A key
	// that is enrolled already keeps its host and spends nothing, so that a
	// host whose answer got lost can ask again. With OldKey, the host of that
	// key gets the new key in its place, and spends nothing either; an OldKey
	// that nobody has makes no difference.
	Enrol(ctx context.Context, e *EnrolRequest) (*Enrolled, error)
	// Host returns an enrolled host; it refuses with host_unknown and
	// host_revoked.
	Host(ctx context.Context, id string) (*Host, error)
	// Hosts lists hosts by name, those revoked too.
	Hosts(ctx context.Context, q *HostQuery) ([]HostStatus, error)
	// Approve lets a host of a pool that asks for approval have users.
	Approve(ctx context.Context, host string) error
	// Rename gives a host another name, which frees the one it had. It
	// refuses with name_taken.
	Rename(ctx context.Context, host, name string) error
	// AssignHost makes a host of a personal pool that user's, as User.ID gives
	// him, in place of the one that he had, or nobody's where user is empty.
	// A host that is another's is refused with in_use until it is nobody's,
	// and one of no personal pool, or of another tenant, with bad_request.
	AssignHost(ctx context.Context, host, user string) error
	// RevokeHost withdraws a host's identity for good and ends its sessions.
	RevokeHost(ctx context.Context, id string) error

	// EnrolGateway is Enrol for a gateway. It refuses with gateway_url_taken
	// where a gateway that is not revoked has the URL and another key. A
	// gateway that is enrolled and names another URL than before spends a use,
	// for hosts are sent there.
	EnrolGateway(ctx context.Context, e *EnrolRequest) (*Gateway, error)
	// Gateway refuses with gateway_unknown and gateway_revoked.
	Gateway(ctx context.Context, id string) (*Gateway, error)
	// Gateways lists them by URL, those revoked too.
	Gateways(ctx context.Context) ([]GatewayStatus, error)
	// RevokeGateway withdraws a gateway's identity for good.
	RevokeGateway(ctx context.Context, id string) error

	// Kills returns the kills in force whose revision is over after, in order.
	// Where no kill has had the revision after yet, the directory has forgotten
	// some, as a database does that an older copy replaces: then it returns all.
	Kills(ctx context.Context, after uint64) ([]Kill, error)
}

// Presence is the part of a directory that knows which hosts and gateways are
// there.
type Presence interface {
	// Attach gives a host's new control channel the next epoch, which takes
	// the place of the one before. It refuses as Host does.
	Attach(ctx context.Context, host string) (*Attachment, error)
	// Detach notes the end of the channel with that epoch; of an older one
	// it has no effect.
	Detach(ctx context.Context, host string, epoch uint64) error
	// Drain is what the host itself asks for: it takes the host out of the
	// placement of new users, or back in, until its channel ends.
	Drain(ctx context.Context, host string, epoch uint64, on bool) error
	// SetDrain is the operator's drain of a host, which lasts. The host is in
	// drain when either asks for it.
	SetDrain(ctx context.Context, host string, on bool) error
	// Health takes note of how a host is. One that is not Fit gets no new user.
	// With a new channel nothing is known of it, and it is taken to be fit.
	Health(ctx context.Context, host string, epoch uint64, h *Health) error
	// HostReport takes note of what a host says of its sessions: with full
	// set all of them, otherwise changes. What it says of sessions that were
	// not made for it changes nothing, and is only counted.
	//
	// A user session that the host calls disconnected counts until the host
	// calls it logged off, is lost, or leaves it out of a full report, after
	// which the pool's linger time runs.
	HostReport(ctx context.Context, host string, epoch uint64, full bool, reports []SessionReport) (*ReportAnswer, error)

	// AttachGateway and DetachGateway are the same for a gateway's channel,
	// and SetGatewayDrain is the operator's drain of it: a gateway in drain
	// is named to no client.
	AttachGateway(ctx context.Context, id string) (*GatewayAttachment, error)
	DetachGateway(ctx context.Context, id string, epoch uint64) error
	SetGatewayDrain(ctx context.Context, id string, on bool) error
}

// Sessions is the part of a directory that counts and places.
type Sessions interface {
	// NewTokenID draws the id of a connection token.
	NewTokenID(ctx context.Context) (string, error)
	// Reserve uses a connection token up, picks a host for its user and
	// resource, and takes a slot there: the placement rules of the package
	// comment, whole, in one transaction. It refuses with token_replayed,
	// killed, and token_stale where the directory has lost the knowledge of
	// whether the token was used; and with not_assigned, raw_not_allowed,
	// no_host and hosts_full, after which the token is used up all the same.
	Reserve(ctx context.Context, r *Reservation) (*Session, error)
	// Release gives up a reserved session that no host took.
	Release(ctx context.Context, session string) error
	// Joined and Left note that a call of the session carries bytes, and
	// that it does no longer.
	Joined(ctx context.Context, session, call string) error
	Left(ctx context.Context, session, call string) error
	// Kill ends a session and refuses its token from now on. It refuses with
	// not_found.
	Kill(ctx context.Context, session string, c reachback.Code) error
	// Session returns one session; it refuses with not_found. ListSessions
	// lists them, the newest first.
	Session(ctx context.Context, id string) (*Session, error)
	ListSessions(ctx context.Context, q *SessionQuery) ([]Session, error)
}

// Records is the part of a directory that keeps what happened.
type Records interface {
	RecordSink
	// FindRecords returns records, the newest first.
	FindRecords(ctx context.Context, q *RecordQuery) ([]Record, error)
}

// MaxPage is how many rows a list has at most; a Limit of zero or more than that
// means so many.
const MaxPage = 1000

// An Assignment is a resource as one user has it, and what its pool allows.
type Assignment struct {
	Resource reachback.Resource
	Policy   reachback.Policy
	// Groups are those of the user's groups that the resource is assigned to: all
	// that a token must name for him to be admitted again.
	Groups []string
}

// A Reservation asks for a slot on a host.
type Reservation struct {
	User          reachback.User
	Resource      string
	Token         string    // jti of the connection token
	Expires       time.Time // of the token; after that and the leeway its use may be forgotten
	Call          string    // the same call may ask again
	Raw           bool      // the token may repeat for a minute, from the same address
	Address       netip.Addr
	CorrelationID string
	Exclude       []string // hosts that were tried in vain
}

// A Session is a record of who is where.
type Session struct {
	ID            string
	User          reachback.User
	Resource      reachback.Resource // as of the reservation
	Policy        reachback.Policy
	Host          string
	HostKey       Thumbprint
	Epoch         uint64 // of the host's channel at the time of the reservation
	Token         string // jti of the connection token that it began with
	Raw           bool
	State         SessionState
	CorrelationID string
	Created       time.Time
	Changed       time.Time // the last change of State
}

// A SessionQuery says which sessions are asked for. What is empty does not
// matter.
type SessionQuery struct {
	Tenant string // always matters: empty is a tenant too
	User   string // subject
	Host   string
	Live   bool // pending and active ones only
	Limit  int
}

// A SessionState says how far a session is.
//
//	          Joined              Left, host's report
//	pending ─────────→ active ───────────────────────→ ended
//	   │                 ↑ ↓ host absent for 10 min      ↑
//	   │                 lost                            │
//	   └── Release, 30 s without Joined ─────────────────┘
//
// A raw call that repeats its token leads from ended back to pending. Killed
// is final.
type SessionState int

// The states of a session.
const (
	SessionPending SessionState = iota // reserved; its slot is taken
	SessionActive                      // joined
	SessionLost                        // its host has been away too long; its slot is free
	SessionEnded                       // over; the desktop may go on
	SessionKilled
)

func (s SessionState) String() string {
	return [...]string{"pending", "active", "lost", "ended", "killed"}[s]
}
