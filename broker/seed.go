package broker

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/strictjson"
)

// MaxSeed bounds a seed file.
const MaxSeed = 4 << 20

// maxExtensions is as many as a feed shows of one resource.
const maxExtensions = 16

// A Seed is what an operator sets up: pools, resources and who may use them.
type Seed struct {
	Tenant    string         `json:"-"`         // whose setup this is
	Workspace string         `json:"workspace"` // its title, as users see it; empty: the feed's
	Users     []SeedUser     `json:"users"`
	Pools     []SeedPool     `json:"pools"`
	Resources []SeedResource `json:"resources"`
}

// A SeedUser is a user of the demonstration issuer.
type SeedUser struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups"`
}

// A SeedPool is a host pool.
type SeedPool struct {
	Name    string  `json:"name"`
	Kind    string  `json:"kind"`    // "pooled" (default) or "personal"
	Balance Balance `json:"balance"` // "breadth" (default) or "depth"
	// MaxSessions limits the user sessions of each host; zero means no limit,
	// which depth-first does not allow.
	MaxSessions int               `json:"max_sessions"`
	Raw         bool              `json:"raw"` // admits raw calls
	Policy      SeedPolicy        `json:"policy"`
	RDP         map[string]string `json:"rdp"` // property to "type:value"
	// Approval holds newly enrolled hosts back until Approve.
	Approval bool `json:"approval"`
	// Linger is how many seconds a user session counts after its last
	// connection has ended, because the desktop goes on, on hosts that cannot
	// tell when it is over. Zero means five minutes, and 30 days are the most.
	Linger int `json:"linger"`
}

// clone returns a copy that shares nothing with s.
func (s *Seed) clone() *Seed {
	c := *s
	c.Users, c.Pools, c.Resources = slices.Clone(s.Users), slices.Clone(s.Pools), slices.Clone(s.Resources)
	for i := range c.Pools {
		c.Pools[i] = c.Pools[i].clone()
	}
	for i := range c.Resources {
		c.Resources[i] = c.Resources[i].clone()
	}
	return &c
}

func (p *SeedPool) clone() SeedPool {
	c := *p
	c.Policy.Networks, c.RDP = slices.Clone(p.Policy.Networks), maps.Clone(p.RDP)
	return c
}

func (r *SeedResource) clone() SeedResource {
	c := *r
	c.Extensions, c.Assign = slices.Clone(r.Extensions), slices.Clone(r.Assign)
	return c
}

// Balance says which of several fit hosts a user gets.
type Balance string

// The balances of a pool.
const (
	BreadthFirst Balance = "breadth" // the one with the fewest user sessions
	DepthFirst   Balance = "depth"   // the fullest one under the limit
)

// The kinds of a pool.
const (
	PoolPooled   = "pooled"   // any host for any user
	PoolPersonal = "personal" // one host for each user, and the reverse
)

// A SeedPolicy is the rest of a pool's policy.
type SeedPolicy struct {
	Shortpath bool     `json:"shortpath"`
	Networks  []string `json:"networks"`
	DSCP      int      `json:"dscp"`
	MaxRate   int64    `json:"max_rate"` // bits per second
}

// A SeedResource is an entry of the workspace.
type SeedResource struct {
	ID      string         `json:"id"`
	Title   string         `json:"title"` // empty: the id
	Kind    reachback.Kind `json:"kind"`  // empty: desktop
	Pool    string         `json:"pool"`
	Program string         `json:"program"`
	Icon    string         `json:"icon"`
	Folder  string         `json:"folder"` // "/" or "/name"; there are none in others
	// Extensions are those of the files that clients may open with the resource,
	// such as ".txt"; at most 16.
	Extensions []string `json:"extensions"`
	Assign     []string `json:"assign"` // "user:SUBJECT" or "group:NAME"
}

// ParseSeed reads a seed file. Unknown and duplicate keys are refused, and so is
// every value that could not work; the error names the line.
func ParseSeed(data []byte) (*Seed, error) {
	if len(data) > MaxSeed {
		return nil, fmt.Errorf("broker: seed: longer than %d bytes", MaxSeed)
	}
	s := &Seed{}
	lines, err := strictjson.Decode(data, s)
	if err != nil {
		return nil, fmt.Errorf("broker: seed: %w", err)
	}
	if at, problem := s.check(); problem != "" {
		return nil, fmt.Errorf("broker: seed: line %d: %s: %s", lines.Of(at), at, problem)
	}
	return s, nil
}

var (
	idPattern        = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	propertyPattern  = regexp.MustCompile(`^[a-z0-9 _-]{1,64}$`)
	extensionPattern = regexp.MustCompile(`^\.[a-z0-9_+~-]{1,31}$`)
	valuePattern     = regexp.MustCompile(`^(i:-?[0-9]{1,10}|s:.*|b:([0-9a-fA-F]{2})*)$`)
)

// check returns where the first fault is, as "pools[0].dscp", and what it is.
func (s *Seed) check() (at, problem string) {
	if !plain(s.Workspace, 0, 256) {
		return "workspace", "must be at most 256 characters without control characters"
	}
	users, pools, resources := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, u := range s.Users {
		at := fmt.Sprintf("users[%d]", i)
		switch {
		case !plain(u.Name, 1, 128):
			return at + ".name", "must be 1 to 128 characters without control characters"
		case users[u.Name]:
			return at + ".name", fmt.Sprintf("%q stands twice", u.Name)
		}
		users[u.Name] = true
		for j, g := range u.Groups {
			if !plain(g, 1, 128) {
				return fmt.Sprintf("%s.groups[%d]", at, j), "must be 1 to 128 characters without control characters"
			}
		}
	}
	for i := range s.Pools {
		p := &s.Pools[i]
		at := fmt.Sprintf("pools[%d]", i)
		if pools[p.Name] {
			return at + ".name", fmt.Sprintf("%q stands twice", p.Name)
		}
		pools[p.Name] = true
		if field, problem := p.check(); problem != "" {
			return at + field, problem
		}
	}
	for i := range s.Resources {
		r := &s.Resources[i]
		at := fmt.Sprintf("resources[%d]", i)
		switch {
		case resources[r.ID]:
			return at + ".id", fmt.Sprintf("%q stands twice", r.ID)
		case !pools[r.Pool]:
			return at + ".pool", fmt.Sprintf("there is no pool %q", r.Pool)
		}
		resources[r.ID] = true
		if field, problem := r.check(); problem != "" {
			return at + field, problem
		}
	}
	return "", ""
}

func (p *SeedPool) check() (field, problem string) {
	switch {
	case !idPattern.MatchString(p.Name):
		return ".name", "must be 1 to 63 of a-z, 0-9 and -"
	case p.Kind != "" && p.Kind != PoolPooled && p.Kind != PoolPersonal:
		return ".kind", `must be "pooled" or "personal"`
	case p.Balance != "" && p.Balance != BreadthFirst && p.Balance != DepthFirst:
		return ".balance", `must be "breadth" or "depth"`
	case p.MaxSessions < 0:
		return ".max_sessions", "must not be negative"
	case p.Balance == DepthFirst && p.MaxSessions == 0:
		return ".balance", "depth needs max_sessions, or one host would get everybody"
	case p.Linger < 0 || time.Duration(p.Linger) > MaxLinger/time.Second:
		return ".linger", "must be 0 to 2592000 seconds, which is 30 days"
	case p.Policy.DSCP < 0 || p.Policy.DSCP > 63:
		return ".policy.dscp", "must be 0 to 63"
	case p.Policy.MaxRate < 0:
		return ".policy.max_rate", "must not be negative"
	}
	for i, n := range p.Policy.Networks {
		prefix, err := netip.ParsePrefix(n)
		if err != nil || prefix != prefix.Masked() {
			return fmt.Sprintf(".policy.networks[%d]", i), fmt.Sprintf("%q is not a network such as 10.0.0.0/8", n)
		}
	}
	for name, value := range p.RDP {
		switch {
		case !propertyPattern.MatchString(name):
			return ".rdp", fmt.Sprintf("%q is not the name of an RDP property", name)
		case !valuePattern.MatchString(value) || !plain(value, 0, 1024):
			return ".rdp." + name, `must be "i:NUMBER", "s:TEXT" or "b:HEX" without control characters`
		}
	}
	return "", ""
}

func (r *SeedResource) check() (field, problem string) {
	switch {
	case !idPattern.MatchString(r.ID):
		return ".id", "must be 1 to 63 of a-z, 0-9 and -"
	case !plain(r.Title, 0, 256):
		return ".title", "must be at most 256 characters without control characters"
	case r.Kind != "" && r.Kind != reachback.KindDesktop && r.Kind != reachback.KindRemoteApp:
		return ".kind", `must be "desktop" or "remoteapp"`
	case r.Kind == reachback.KindRemoteApp && r.Program == "":
		return ".program", "a remoteapp needs one"
	case r.Kind != reachback.KindRemoteApp && r.Program != "":
		return ".program", "only a remoteapp has one"
	case !plain(r.Program, 0, 512):
		return ".program", "must be at most 512 characters without control characters"
	case !plain(r.Icon, 0, 256):
		return ".icon", "must be at most 256 characters without control characters"
	case !plain(r.Folder, 0, 256) || r.Folder != "" && strings.LastIndexByte(r.Folder, '/') != 0:
		return ".folder", `must be "/" or "/NAME", since folders have no folders`
	case len(r.Extensions) > maxExtensions:
		return ".extensions", fmt.Sprintf("must be at most %d", maxExtensions)
	}
	for i, e := range r.Extensions {
		if !extensionPattern.MatchString(e) || slices.Contains(r.Extensions[:i], e) {
			return fmt.Sprintf(".extensions[%d]", i), `must be a dot and up to 31 of a-z, 0-9, "-", "_", "+" and "~", and stand once`
		}
	}
	for i, a := range r.Assign {
		if CheckAssignment(a) != nil {
			return fmt.Sprintf(".assign[%d]", i), `must be "user:NAME" or "group:NAME"`
		}
	}
	return "", ""
}

// plain reports whether s is of that many characters, none a control character:
// what may stand in a line of a .rdp file, a log or a header.
func plain(s string, least, most int) bool {
	n := 0
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0xfffd && r <= 0xffff {
			return false
		}
		n++
	}
	return least <= n && n <= most
}

// groupsOf are those of the user's groups that the resource is assigned to.
func (r *SeedResource) groupsOf(u *reachback.User) (groups []string) {
	for _, g := range u.Groups {
		if slices.Contains(r.Assign, "group:"+g) {
			groups = append(groups, g)
		}
	}
	return groups
}

// admits reports whether the resource is assigned to the user.
func (r *SeedResource) admits(u *reachback.User) bool {
	for _, a := range r.Assign {
		kind, name, _ := strings.Cut(a, ":")
		if kind == "user" && name == u.Subject {
			return true
		}
		if kind == "group" {
			for _, g := range u.Groups {
				if g == name {
					return true
				}
			}
		}
	}
	return false
}
