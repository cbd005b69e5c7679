package broker

import (
	"context"

	"github.com/reachback/reachback"
)

// A Starter has hosts started when a user wants one and none is up: it is what
// stands between the broker and a cloud's or a hypervisor's API.
type Starter interface {
	// Start asks for a host. It is called for one pool, or for one personal
	// host, at a time; calls that come meanwhile wait for the same start. It
	// may return before the host is up: the calls wait until the host's
	// control channel stands, or their 15 s are over. For a minute after, it is
	// not called again for the same, unless a host has come up. An error refuses
	// the calls with no_host, at once, and those of the next 5 s. Start has a
	// minute, and must return when ctx ends.
	Start(ctx context.Context, r *StartRequest) error
}

// A StartRequest says for whom a host is wanted.
type StartRequest struct {
	Tenant        string
	Pool          string
	Host          string // id of the user's own host; empty: any of the pool
	User          reachback.User
	CorrelationID string
}
