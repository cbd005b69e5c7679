package broker

import (
	"encoding/base64"
	"errors"
	"time"

	"github.com/reachback/reachback/relay"
)

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
	Approved   bool      `json:"approved"`        // may be given users
	Drain      bool      `json:"drain,omitempty"` // the operator's
	Revoked    bool      `json:"revoked,omitempty"`
	Revision   uint64    `json:"revision,omitempty"` // of the revocation
	EnrolledAt time.Time `json:"enrolled_at"`
}

// A HostStatus is a host with what is known of it now.
type HostStatus struct {
	Host
	Up           bool // has a control channel, at this broker or another
	Epoch        uint64
	Draining     bool    // asked for by the host itself
	Duplicate    bool    // see Attachment
	Health       *Health // as last reported; nil: never
	UserSessions int     // those that count against the pool's limit
}

// A HostQuery says which hosts are asked for. What is empty does not matter.
type HostQuery struct {
	Tenant string // always matters: empty is a tenant too
	Pool   string
	Host   string // id or name: this one only, and those revoked that had the name
	// AssignedTo is a user, as User.ID gives it: his personal hosts only.
	AssignedTo string
	After      string // id of a host: only those behind it in the list, which is the next page
	Limit      int
}

// Health is how a host says it is.
type Health struct {
	// Fit says that the host can take new users. It is the host's judgement
	// of what else is here and of what it knows beyond; Problem is why not.
	Fit      bool    `json:"fit"`
	Problem  string  `json:"problem,omitempty"`
	Target   bool    `json:"target"`              // the RDP server answers
	Load     float64 `json:"load,omitempty"`      // of the processors: 1 is all of them busy
	DiskFree int64   `json:"disk_free,omitempty"` // bytes
}

// A Role is what an enrolled machine is.
type Role string

// The roles.
const (
	RoleHost    Role = "host"
	RoleGateway Role = "gateway"
)

// A Registration is a registration token as it is kept: of its secret part only
// the hash.
type Registration struct {
	ID        string    `json:"id"`
	Hash      []byte    `json:"hash,omitempty"` // SHA-256 of the secret. A directory takes it and does not give it back
	Role      Role      `json:"role,omitempty"` // empty: host
	Tenant    string    `json:"tenant,omitempty"`
	Pool      string    `json:"pool,omitempty"` // of hosts; empty: the one that they ask for
	Expires   time.Time `json:"expires"`
	Uses      int       `json:"uses"`                // how often it may still be used
	CreatedAt time.Time `json:"created_at,omitzero"` // by the directory
}

// An EnrolRequest asks for a host or a gateway.
type EnrolRequest struct {
	Registration string     // id of the registration token
	Hash         [32]byte   // of the secret that was shown
	Key          Thumbprint // of the machine's key
	// OldKey is a key that the machine has proved to hold as well, and that
	// Key is to replace; zero: none.
	OldKey Thumbprint
	Name   string // empty: the id
	Pool   string // of a host; empty: the token's
	URL    string // of a gateway: the base URL under which hosts reach it
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
	Kills   []Kill    // sessions of the report that the host is to end
	Changed []Session // those whose state the report has changed
	Unknown int       // sessions of the report that were not made for this host
}

// A Gateway is an enrolled gateway.
type Gateway struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	URL        string     `json:"url"` // base URL under which hosts reach it
	Key        Thumbprint `json:"key"`
	Drain      bool       `json:"drain,omitempty"`
	Revoked    bool       `json:"revoked,omitempty"`
	Revision   uint64     `json:"revision,omitempty"` // of the revocation
	EnrolledAt time.Time  `json:"enrolled_at"`
}

// A GatewayStatus is a gateway with what is known of it now.
type GatewayStatus struct {
	Gateway
	Up    bool // has a control channel, at this broker or another
	Epoch uint64
}

// A GatewayAttachment is a gateway's place for one control channel.
type GatewayAttachment struct {
	Gateway
	Epoch uint64 // rises with each channel of the gateway, over restarts too
}

// A Kill is a row of what was ended before its time: one of Session, Host and
// Gateway is set.
type Kill struct {
	relay.Kill
	On      string // the host of Session
	Gateway string // revoked
}
