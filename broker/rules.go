package broker

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/reachback/reachback"
)

// The times by which every [Directory] goes.
const (
	// JoinWithin is how long a reserved slot waits for its connection.
	JoinWithin = 30 * time.Second
	// RawRepeats is how long after its first use a raw token may be used again.
	RawRepeats = 60 * time.Second
	// AbsentFor is how long the sessions of an absent host stay counted.
	AbsentFor = 10 * time.Minute
	// DefaultLinger and MaxLinger are those of [SeedPool].
	DefaultLinger = 5 * time.Minute
	MaxLinger     = 30 * 24 * time.Hour

	// A host whose channel is replaced DuplicateReplacements times within
	// DuplicateWindow is a duplicate until as long has passed without another
	// replacement.
	DuplicateReplacements = 3
	DuplicateWindow       = time.Minute

	// MaxSessionCalls is how many calls of a session are known to carry bytes. A
	// session has one, and for a moment the one before; more do not matter.
	MaxSessionCalls = 32

	// KeepEnded, KeepLost and KeepKilled are how long a session is at least
	// remembered in that state, so that its host may speak of it. While it
	// stands for a user session that counts, it is not forgotten.
	KeepEnded  = 15 * time.Minute
	KeepLost   = time.Hour
	KeepKilled = 24 * time.Hour

	// KeepExpired is how long an expired registration token is remembered, so
	// that it is refused as expired and not as unknown.
	KeepExpired = 7 * 24 * time.Hour
)

// bad is a refusal of a value that cannot work.
func bad(format string, a ...any) error {
	return &reachback.Error{Code: reachback.CodeBadRequest, Message: fmt.Sprintf(format, a...)}
}

// Check refuses, with bad_request, a seed that cannot work.
func (s *Seed) Check() error {
	if at, problem := s.check(); problem != "" {
		return bad("%s: %s", at, problem)
	}
	return nil
}

// Check refuses, with bad_request, a pool that cannot work.
func (p *SeedPool) Check() error {
	if field, problem := p.check(); problem != "" {
		return bad("%s: %s", field[1:], problem)
	}
	return nil
}

// Check refuses, with bad_request, a resource that cannot work, whatever its pool.
func (r *SeedResource) Check() error {
	if field, problem := r.check(); problem != "" {
		return bad("%s: %s", field[1:], problem)
	}
	return nil
}

// CheckAssignment refuses, with bad_request, what is neither "user:SUBJECT" nor
// "group:NAME".
func CheckAssignment(to string) error {
	kind, name, _ := strings.Cut(to, ":")
	if kind != "user" && kind != "group" || !plain(name, 1, 256) {
		return bad(`%.300q must be "user:NAME" or "group:NAME"`, to)
	}
	return nil
}

// CheckName refuses, with bad_request, what no host or gateway can be called: its
// name has 1 to 63 of A-Z a-z 0-9 . _ -.
func CheckName(name string) error {
	if !validName(name) {
		return bad("%.100q must be 1 to 63 of A-Z, a-z, 0-9, '.', '_' and '-'", name)
	}
	return nil
}

// CheckGatewayURL refuses, with bad_request, what is not the base URL of a gateway in
// its one form, in which equal URLs are equal texts.
func CheckGatewayURL(base string) error {
	if u, ok := gatewayURL(base); !ok || u != base {
		return bad("%.100q is not the base URL of a gateway", base)
	}
	return nil
}

// Check refuses, with bad_request, a registration token that cannot work.
func (r *Registration) Check() error {
	switch {
	case r.ID == "" || len(r.ID) > 64 || len(r.Hash) != 32:
		return bad("a registration token has an id and a SHA-256")
	case r.Role != "" && r.Role != RoleHost && r.Role != RoleGateway:
		return bad("%.100q is no role", r.Role)
	case r.Role == RoleGateway && (r.Pool != "" || r.Tenant != ""):
		return bad("a gateway is of no pool and no tenant")
	case r.Pool != "" && !idPattern.MatchString(r.Pool):
		return bad("%.100q is not the name of a host pool", r.Pool)
	case r.Uses < 1:
		return bad("a registration token needs a use")
	}
	return nil
}

// GrantPolicy is what grants of the pool's sessions say. The pool was checked.
func (p *SeedPool) GrantPolicy() reachback.Policy {
	pol := reachback.Policy{Raw: p.Raw, Shortpath: p.Policy.Shortpath, DSCP: p.Policy.DSCP, MaxRate: p.Policy.MaxRate}
	for _, n := range p.Policy.Networks {
		pol.Networks = append(pol.Networks, netip.MustParsePrefix(n))
	}
	return pol
}

// LingerFor is how long a user session counts after its last connection.
func (p *SeedPool) LingerFor() time.Duration {
	return cmp.Or(time.Duration(p.Linger)*time.Second, DefaultLinger)
}

// Resource is the resource as users have it, from its own pool, with all that is
// empty filled in.
func (r *SeedResource) Resource(p *SeedPool) reachback.Resource {
	return reachback.Resource{
		ID: r.ID, Title: cmp.Or(r.Title, r.ID), Kind: cmp.Or(r.Kind, reachback.KindDesktop), Pool: r.Pool,
		Program: r.Program, Icon: r.Icon, Folder: cmp.Or(r.Folder, "/"),
		Extensions: slices.Clone(r.Extensions), RDP: maps.Clone(p.RDP), Raw: p.Raw,
	}
}
