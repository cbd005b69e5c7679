package broker

import (
	"context"

	"github.com/reachback/reachback"
)

// maxAsked bounds the hosts that are looked at to say why none will do.
const maxAsked = 100

// noHost is what a reservation is told for which there is no host: target_unavailable
// where a host of the user's would do if only its RDP server answered, for then
// nobody needs to look at hosts and channels.
func (b *Broker) noHost(ctx context.Context, r *Reservation) error {
	none := reachback.Refuse(reachback.CodeNoHost)
	a, err := b.dir.Assigned(ctx, &r.User, r.Resource)
	if err != nil {
		return none
	}
	q := &HostQuery{Tenant: r.User.Tenant, Pool: a.Resource.Pool, AssignedTo: r.User.ID(), Limit: maxAsked}
	hosts, err := b.dir.Hosts(ctx, q)
	if err == nil && len(hosts) == 0 { // none is his own
		q.AssignedTo = ""
		hosts, err = b.dir.Hosts(ctx, q)
	}
	if err != nil {
		return none
	}
	for _, h := range hosts {
		others := h.AssignedTo != "" && h.AssignedTo != r.User.ID()
		usable := h.Up && h.Approved && !h.Revoked && !h.Drain && !h.Draining && !h.Duplicate && !others
		if usable && h.Health != nil && !h.Health.Fit && !h.Health.Target {
			return reachback.Refuse(reachback.CodeTargetUnavailable)
		}
	}
	return none
}
