package reachback

import (
	"net/netip"
	"time"
)

// A User is who a verified token speaks for. A user is identified by Issuer
// and Subject together, within Tenant; Name is for display only.
type User struct {
	Issuer  string   `json:"issuer"`
	Subject string   `json:"subject"`
	Tenant  string   `json:"tenant,omitempty"`
	Name    string   `json:"name,omitempty"`
	Groups  []string `json:"groups,omitempty"`
}

// ID is the user's identity as one string, fit for comparing and for use as a
// key: tenant, issuer and subject, each of which it keeps apart from the next.
func (u *User) ID() string { return u.Tenant + "\x00" + u.Issuer + "\x00" + u.Subject }

// Kind says what a resource shows.
type Kind string

const (
	KindDesktop   Kind = "desktop"   // a whole desktop
	KindRemoteApp Kind = "remoteapp" // one program of a desktop
)

// A Resource is one entry of a workspace, as one user sees it.
type Resource struct {
	ID      string `json:"id"` // [a-z0-9-]{1,63}, unique in its tenant
	Title   string `json:"title"`
	Kind    Kind   `json:"kind"`
	Pool    string `json:"pool"`              // host pool that serves it
	Program string `json:"program,omitempty"` // RemoteApp only: "||alias" or a path on the host
	Icon    string `json:"icon,omitempty"`
	Folder  string `json:"folder,omitempty"` // "/" or "/name"; empty means "/"
	// Extensions are those of the files that a client may open with the resource,
	// such as ".txt", in small letters.
	Extensions []string          `json:"extensions,omitempty"`
	RDP        map[string]string `json:"rdp,omitempty"` // RDP properties of the pool: name to "type:value"
	Raw        bool              `json:"raw,omitempty"` // the pool admits raw calls
	UpdatedAt  time.Time         `json:"updated_at,omitzero"`
}

// A Policy is what a host pool allows its sessions. The broker signs it into
// every grant, so that neither gateway nor client can widen it.
type Policy struct {
	// Raw admits raw calls: stock RDP clients, whose RDP is not wrapped in
	// our own TLS. The gateway is then trusted unless the client checks the
	// certificate of the RDP server.
	Raw bool `json:"raw,omitempty"`
	// Shortpath allows direct UDP paths, and Networks (none: any) those
	// networks whose addresses may be candidates.
	Shortpath bool           `json:"shortpath,omitempty"`
	Networks  []netip.Prefix `json:"networks,omitempty"`
	// DSCP is the mark of outbound shortpath datagrams, 0 to 63.
	DSCP int `json:"dscp,omitempty"`
	// MaxRate limits the host's outbound bytes of one session, in bits per
	// second; zero means no limit.
	MaxRate int64 `json:"max_rate,omitempty"`
}

// A Grant is the broker's signed statement of who may talk to which host in
// which call. The client takes it from the answer to its call, verifies it
// with keys it had from the feed's origin, and accepts no host key but HostKey.
type Grant struct {
	User          string // the user's subject
	Tenant        string
	Resource      string
	Session       string // id of the session's record at the broker
	CorrelationID string
	Host          string   // id of the host
	HostKey       [32]byte // SHA-256 of the host's SubjectPublicKeyInfo
	ClientKey     [32]byte // the same of the client's key for this connection; zero in raw calls
	Raw           bool
	Policy        Policy
}

// A Connection is what the feed's origin answers to connect: everything a
// client needs to open one resource once.
type Connection struct {
	// Gateways are the base URLs of gateways that may be called, in no
	// particular order.
	Gateways []string `json:"gateways"`
	// Token is the connection token. It is a secret: it opens Resource once
	// (see SPEC.md, section 4), within ten minutes.
	Token string `json:"token"`
	// Keys is the broker's JSON Web Key Set, with which the client verifies
	// the grant. A client takes these keys from nowhere else.
	Keys []byte `json:"keys"`
	// CorrelationID is in every record of this connection, at all parties.
	CorrelationID string `json:"correlation_id"`
}
