package broker

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/reachback/reachback"
)

// fleetEvery is how old the list of gateways may be that clients are told and
// gateways are checked by. Another broker may have changed it.
const fleetEvery = 500 * time.Millisecond

// A fleet is the directory's list of gateways as of a moment ago, so that not every
// connection asks for it. Its zero value is ready.
type fleet struct {
	mu   sync.Mutex
	list []GatewayStatus // replaced, never changed
	read time.Time       // zero: to be read anew
}

// rows returns the list. When the directory is away it is that of before, with the
// error.
func (f *fleet) rows(ctx context.Context, dir Directory) ([]GatewayStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.read.IsZero() && time.Since(f.read) < fleetEvery {
		return f.list, nil
	}
	// The list is everybody's: that who happens to ask has gone is no reason not to
	// have it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), directoryWithin)
	defer cancel()
	list, err := dir.Gateways(ctx)
	f.read = time.Now()
	if err != nil {
		return f.list, err
	}
	f.list = list
	return list, nil
}

// changed has the list read anew at its next use.
func (f *fleet) changed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = time.Time{}
}

// gatewayURLs are the gateways that clients are told: those of this process, and
// those apart that are up and not in drain.
func (b *Broker) gatewayURLs(ctx context.Context) []string {
	urls := slices.Clone(b.Gateways)
	rows, err := b.fleet.rows(ctx, b.dir.all)
	if err != nil {
		b.log().Error("gateways not read", "err", err)
	}
	for _, g := range rows {
		if g.Up && !g.Drain && !g.Revoked {
			urls = append(urls, g.URL)
		}
	}
	return urls
}

// gatewayKnown reports whether the URL is that of a gateway in this process, or of
// one apart that has had a channel here. Which of them asks, its channel knows.
func (b *Broker) gatewayKnown(url string) bool {
	if slices.ContainsFunc(b.Gateways, func(g string) bool {
		return strings.TrimSuffix(g, "/") == strings.TrimSuffix(url, "/")
	}) {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.linked[url]
}

// SetGatewayDrain takes a gateway out of the list that clients get and has it refuse
// new calls, or puts it back. What goes through it goes on.
func (b *Broker) SetGatewayDrain(ctx context.Context, gateway string, on bool) error {
	what := "gateway drain off"
	if on {
		what = "gateway drain on"
	}
	return b.Operate(ctx, what, Record{Gateway: gateway}, func(ctx context.Context) error {
		if err := b.dir.all.SetGatewayDrain(ctx, gateway, on); err != nil {
			return err
		}
		b.fleet.changed()
		b.nudge()
		return nil
	})
}

// RevokeGateway withdraws a gateway's identity for good and ends its channel. What
// goes through it goes on until the gateway is stopped or its sessions are killed.
func (b *Broker) RevokeGateway(ctx context.Context, gateway string) error {
	return b.Operate(ctx, "revoke gateway", Record{Gateway: gateway}, func(ctx context.Context) error {
		if err := b.dir.all.RevokeGateway(ctx, gateway); err != nil {
			return err
		}
		b.endGateway(gateway)
		b.nudge()
		return nil
	})
}

// endGateway ends the channel of a gateway that was revoked.
func (b *Broker) endGateway(id string) {
	b.mu.Lock()
	g := b.gateways[id]
	if g != nil {
		delete(b.linked, g.row.URL)
	}
	b.mu.Unlock()
	b.fleet.changed()
	if g != nil {
		g.end(reachback.Refuse(reachback.CodeGatewayRevoked), true)
	}
}

// gatewayChannels are the channels that there are now.
func (b *Broker) gatewayChannels() []*gatewayControl {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*gatewayControl, 0, len(b.gateways))
	for _, g := range b.gateways {
		all = append(all, g)
	}
	return all
}
