package broker

import (
	"context"
	"encoding/base64"
	"errors"
	"net/netip"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// A Directory is where brokers keep what they know. Each method is one
// transaction, takes the time from the directory's own clock, and may be called
// concurrently, by several brokers too. A refusal is a *reachback.Error; any
// other error means that the directory cannot answer now, and nothing was
// changed.
type Directory interface {
	Enrolment
	Presence
	Sessions

	// Resources returns what is assigned to the user, by title.
	Resources(ctx context.Context, u *reachback.User) ([]reachback.Resource, error)
	// Assigned returns one resource of the user's, with the policy of its
	// pool. It refuses with resource_not_found or not_assigned, which only
	// the log may tell apart towards the user.
	Assigned(ctx context.Context, u *reachback.User, resource string) (*Assignment, error)
}

// Enrolment is the part of a directory that makes and unmakes hosts.
type Enrolment interface {
	// NewRegistration keeps a registration token.
	NewRegistration(ctx context.Context, r *Registration) error
	// Enrol makes a host and spends one use of a registration token. A key
	// that is enrolled already keeps its host and spends nothing, so that a
	// host whose answer got lost can ask again.
	Enrol(ctx context.Context, e *EnrolRequest) (*Enrolled, error)
	// Host returns an enrolled host; it refuses with host_unknown and
	// host_revoked.
	Host(ctx context.Context, id string) (*Host, error)
	// RevokeHost withdraws a host's identity for good and ends its sessions.
	RevokeHost(ctx context.Context, id string) error
	// Kills returns the kills in force whose revision is over after, in order.
	Kills(ctx context.Context, after uint64) ([]Kill, error)
}

// Presence is the part of a directory that knows which hosts are there.
type Presence interface {
	// Attach gives a host's new control channel the next epoch, which takes
	// the place of the one before. It refuses as Host does.
	Attach(ctx context.Context, host string) (*Attachment, error)
	// Detach notes the end of the channel with that epoch; of an older one
	// it has no effect.
	Detach(ctx context.Context, host string, epoch uint64) error
	// Drain takes a host out of the placement of new users, or back in.
	Drain(ctx context.Context, host string, epoch uint64, on bool) error
	// HostReport takes note of what a host says of its sessions: with full
	// set all of them, otherwise changes. What it says of sessions that were
	// not made for it changes nothing, and is only counted.
	HostReport(ctx context.Context, host string, epoch uint64, full bool, reports []SessionReport) (*ReportAnswer, error)
}

// Sessions is the part of a directory that counts and places.
type Sessions interface {
	// NewTokenID draws the id of a connection token.
	NewTokenID(ctx context.Context) (string, error)
	// Spend uses a connection token up. It refuses with token_replayed,
	// killed, and token_stale where the directory has lost the knowledge of
	// whether the token was used.
	Spend(ctx context.Context, s *Spending) error
	// Reserve picks a host for a user and a resource and takes a slot there:
	// the placement rules of the package comment, whole, in one transaction.
	Reserve(ctx context.Context, r *Reservation) (*Session, error)
	// Release gives up a reserved session that no host took.
	Release(ctx context.Context, session string) error
	// Joined and Left note that a call of the session carries bytes, and
	// that it does no longer.
	Joined(ctx context.Context, session, call string) error
	Left(ctx context.Context, session, call string) error
	// Kill ends a session and refuses its token from now on.
	Kill(ctx context.Context, session string, c reachback.Code) error
}

// A Thumbprint is the SHA-256 of a key's SubjectPublicKeyInfo, base64url in JSON.
type Thumbprint [32]byte

// MarshalText implements [encoding.TextMarshaler].
func (t Thumbprint) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, t[:]), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (t *Thumbprint) UnmarshalText(b []byte) error {
	d, err := base64.RawURLEncoding.Strict().DecodeString(string(b))
	if err != nil || len(d) != len(t) {
		return errors.New("not a thumbprint")
	}
	copy(t[:], d)
	return nil
}

// A Host is an enrolled session host.
type Host struct {
	ID     string     `json:"id"`
	Tenant string     `json:"tenant,omitempty"`
	Name   string     `json:"name"` // a label, unique in the tenant
	Pool   string     `json:"pool"`
	Key    Thumbprint `json:"key"`
	// AssignedTo is the user, as User.ID gives it, whose personal host this is.
	AssignedTo string    `json:"assigned_to,omitempty"`
	Approved   bool      `json:"approved"` // may be given users
	Revoked    bool      `json:"revoked,omitempty"`
	Revision   uint64    `json:"revision,omitempty"` // of the revocation
	EnrolledAt time.Time `json:"enrolled_at"`
}

// A Registration is a registration token as it is kept: of its secret part only
// the hash.
type Registration struct {
	ID      string    `json:"id"`
	Hash    []byte    `json:"hash"` // SHA-256 of the secret
	Tenant  string    `json:"tenant,omitempty"`
	Pool    string    `json:"pool"`
	Expires time.Time `json:"expires"`
	Uses    int       `json:"uses"` // how often it may still be used
}

// An EnrolRequest asks for a host.
type EnrolRequest struct {
	Registration string     // id of the registration token
	Hash         [32]byte   // of the secret that was shown
	Key          Thumbprint // of the host's key
	Name         string     // empty: the host is named by its id
	Pool         string     // empty: the token's
}

// An Enrolled host. NameTaken says that another one has the name that was asked
// for, so that this one got its id as name, or kept the name it had.
type Enrolled struct {
	Host
	NameTaken bool
}

// An Attachment is a host's place for one control channel.
type Attachment struct {
	Host
	Epoch uint64 // rises with each channel of the host, over restarts too
	// Duplicate says that the host's channels replace each other so fast
	// that two machines must share the identity. Until a minute passes
	// without, the host is given nobody.
	Duplicate bool
	Kills     []Kill // those in force for this host's sessions
}

// A ReportAnswer is what a directory makes of a host's report.
type ReportAnswer struct {
	Kills   []Kill // sessions of the report that the host is to end
	Unknown int    // sessions of the report that were not made for this host
}

// A Kill is a row of what was ended before its time.
type Kill struct {
	relay.Kill
	On string // the host of Session
}

// An Assignment is a resource as one user has it, and what its pool allows.
type Assignment struct {
	Resource reachback.Resource
	Policy   reachback.Policy
}

// A Spending is the first or a repeated use of a connection token.
type Spending struct {
	Token   string // the token's jti
	Call    string // the same call may ask again
	Raw     bool   // may repeat for a minute, from the same address
	Address netip.Addr
	Expires time.Time // after that and the leeway the use may be forgotten
}

// A Reservation asks for a slot on a host.
type Reservation struct {
	User          reachback.User
	Resource      string
	Token         string // jti
	Call          string
	Raw           bool
	CorrelationID string
	Exclude       []string // hosts that were tried in vain
}

// A Session is a record of who is where.
type Session struct {
	ID            string
	User          reachback.User
	Resource      reachback.Resource
	Policy        reachback.Policy
	Host          string
	HostKey       Thumbprint
	Epoch         uint64 // of the host's channel at the time of the reservation
	Token         string // jti of the connection token that it began with
	Raw           bool
	State         SessionState
	CorrelationID string
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
