package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/printable"
)

// maxAsked bounds the hosts that are looked at to say why none will do.
const maxAsked = 100

// noHost is what a reservation is told that was refused because there is no host, or
// no room: target_unavailable where a host of the user's would do if only its RDP
// server answered, for then nobody needs to look at hosts and channels. why is for the
// record: what is the matter with the hosts that there are.
func (b *Broker) noHost(ctx context.Context, r *Reservation, refusal error) (why string, err error) {
	a, err := b.dir.Assigned(ctx, &r.User, r.Resource)
	if err != nil {
		return "", refusal
	}
	q := &HostQuery{Tenant: r.User.Tenant, Pool: a.Resource.Pool, AssignedTo: r.User.ID(), Limit: maxAsked}
	hosts, err := b.dir.Hosts(ctx, q)
	if err == nil && len(hosts) == 0 { // none is his own
		q.AssignedTo = ""
		hosts, err = b.dir.Hosts(ctx, q)
	}
	if err != nil {
		return "", refusal
	}
	hosts = slices.DeleteFunc(hosts, func(h HostStatus) bool { return h.Revoked })
	var reasons []string // each once, in the order of the hosts' names
	count := make(map[string]int)
	for i := range hosts {
		reason, deaf := hosts[i].unusable(r.User.ID())
		if deaf {
			refusal = reachback.Refuse(reachback.CodeTargetUnavailable)
		}
		if count[reason]++; count[reason] == 1 {
			reasons = append(reasons, reason)
		}
	}
	for i, reason := range reasons {
		reasons[i] = fmt.Sprintf("%d %s", count[reason], reason)
	}
	if len(reasons) == 0 {
		reasons = []string{"no host is enrolled"}
	}
	return "pool " + a.Resource.Pool + ": " + strings.Join(reasons, ", "), refusal
}

// unusable says why the host takes no new session of the user's; full is what is left.
// A deaf host would take him if its RDP server answered.
func (h *HostStatus) unusable(user string) (reason string, deaf bool) {
	switch {
	case !h.Up:
		return "not connected", false
	case h.AssignedTo != "" && h.AssignedTo != user:
		return "of another user", false
	case !h.Approved:
		return "waiting for approval", false
	case h.Drain || h.Draining:
		return "in drain", false
	case h.Duplicate:
		return "with an identity that two machines use", false
	case h.Health != nil && !h.Health.Fit:
		if h.Health.Problem == "" {
			return "not fit", !h.Health.Target
		}
		return "not fit (" + printable.Clip(h.Health.Problem) + ")", !h.Health.Target
	}
	return "full", false
}
