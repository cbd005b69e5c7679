package broker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/printable"
)

const (
	// The broker reads gatewayPerSecond messages of a gateway for ever and
	// gatewayBurst at once. More wait in the connection: it is clients who make
	// them, and a gateway is not to lose its channel for that.
	gatewayPerSecond = 2000
	gatewayBurst     = 4096
	// maxAsking is how many calls of one gateway are decided at once.
	maxAsking = maxRequests
	// gatewayQueue is how many messages may wait for the writer of either end of
	// a gateway's channel: every question or answer, and what comes beside them.
	gatewayQueue = maxRequests + queueLength
	// Of a gateway's events gatewayEvents leave a record and a line at once, and
	// gatewayEventsPerSecond for ever: the next ones are noted and counted.
	gatewayEvents          = 2 * maxLinkEvents
	gatewayEventsPerSecond = 500
	// gatewaySmear is over what time the gateways of a broker that goes down
	// come back. Without one they take no calls, and there are few of them.
	gatewaySmear = time.Second
)

// gatewayControl is the broker's end of a gateway's control channel.
type gatewayControl struct {
	*channel
	broker *Broker
	id     string
	row    Gateway // as of the welcome, before which nobody else has the channel
	epoch  uint64  // set before the channel is in Broker.gateways

	drain     atomic.Bool   // the operator's, as the gateway was told last
	told      *rate.Limiter // of events, as they are recorded
	asking    chan struct{} // a slot for each call in work
	reporting atomic.Bool   // a report is in work
	wg        sync.WaitGroup
}

func (b *Broker) newGatewayControl(conn *carrier.Conn, id string) *gatewayControl {
	g := &gatewayControl{channel: newChannel(conn), broker: b, id: id, asking: make(chan struct{}, maxAsking)}
	g.room, g.patient = gatewayQueue, true
	g.limiter = rate.NewLimiter(gatewayPerSecond, gatewayBurst)
	g.told = rate.NewLimiter(gatewayEventsPerSecond, gatewayEvents)
	return g
}

// serve runs the channel and undoes what it did, in a goroutine of its own that
// Broker.wg counts.
func (g *gatewayControl) serve() {
	if err := g.conn.Switch(nil); err != nil {
		g.conn.Abort()
		return
	}
	err := g.run(helloWithin, g.hello())
	g.wg.Wait()
	b := g.broker
	if g.epoch == 0 {
		b.log().Warn("control channel ended before its welcome", "gateway", g.id, "err", err)
		return
	}
	b.mu.Lock()
	if b.gateways[g.id] == g {
		delete(b.gateways, g.id)
	}
	b.mu.Unlock()
	if g.overflowed.Load() {
		b.counters.overflows.Add(1)
	}
	b.detach(g.id, func(ctx context.Context) error { return b.dir.DetachGateway(ctx, g.id, g.epoch) })
	b.fleet.changed()
	b.recordChannel(Record{Gateway: g.row.URL, Code: endCode(err), Remote: g.conn.RemoteAddr().String()})
	b.log().Info("gateway disconnected", "gateway", g.id, "url", g.row.URL, "epoch", g.epoch, "cause", cause(err))
}

// hello returns the handler of the channel's messages, the first of which must be a
// gateway's hello.
func (g *gatewayControl) hello() func(message) error {
	greeted := false
	return func(m message) error {
		if greeted {
			return g.handle(m)
		}
		greeted = true
		h, err := checkHello(m, RoleGateway)
		if err != nil {
			return err
		}
		return g.welcome(h)
	}
}

// checkHello checks the first message of a channel, whose certificate is for that
// role.
func checkHello(m message, role Role) (*helloMessage, error) {
	h, ok := m.(*helloMessage)
	switch {
	case !ok:
		return nil, reachback.Refuse(reachback.CodeProtocolError)
	case !slices.Contains(h.Versions, Version):
		return nil, reachback.Refuse(reachback.CodeVersionUnsupported)
	case h.Role != role && (h.Role != "" || role != RoleHost):
		return nil, reachback.Refuse(reachback.CodeWrongRole)
	}
	return h, nil
}

// welcome makes this the gateway's channel, ends the one before, and says so.
func (g *gatewayControl) welcome(h *helloMessage) error {
	b := g.broker
	row, err := b.dir.Gateway(b.ctx, g.id)
	if err != nil {
		return reachback.AsError(err)
	}
	if url, ok := gatewayURL(h.URL); !ok || url != row.URL {
		b.log().Warn("gateway names itself by a URL that is not its own", "gateway", g.id, "url", row.URL, "named", printable.Clip(h.URL))
		return reachback.Refuse(reachback.CodeGatewayUnknown)
	}
	at, err := b.dir.AttachGateway(b.ctx, g.id)
	if err != nil {
		b.log().Error("gateway not attached", "gateway", g.id, "err", err)
		return reachback.AsError(err)
	}
	b.mu.Lock()
	old := b.gateways[g.id]
	if old != nil && old.epoch > at.Epoch {
		b.mu.Unlock()
		return reachback.Refuse(reachback.CodeSuperseded)
	}
	g.row, g.epoch = at.Gateway, at.Epoch
	g.drain.Store(at.Drain)
	b.gateways[g.id] = g
	b.linked[at.URL] = true
	closing := b.closing
	b.mu.Unlock()
	err = g.send(&welcomeMessage{
		Version: Version, Gateway: at.ID, Name: at.Name, Epoch: at.Epoch,
		HeartbeatMS: Heartbeat.Milliseconds(), DeadMS: DeadAfter.Milliseconds(),
	})
	if old != nil {
		b.counters.superseded.Add(1)
		old.end(reachback.Refuse(reachback.CodeSuperseded), true)
	}
	b.fleet.changed()
	if closing { // while this channel was on its way
		g.restarting()
	}
	g.wg.Go(g.inform)
	b.recordChannel(Record{Gateway: at.URL, Remote: g.conn.RemoteAddr().String(), Detail: "connected as " + at.Name + ", " + printable.Clip(h.Agent)})
	b.log().Info("gateway connected", "gateway", at.ID, "name", at.Name, "url", at.URL, "epoch", at.Epoch,
		"remote", g.conn.RemoteAddr(), slog.Group("agent", "version", printable.Clip(h.Agent), "os", printable.Clip(h.OS)))
	return err
}

// handle works on one message. What it returns ends the channel.
func (g *gatewayControl) handle(m message) error {
	switch m := m.(type) {
	case *orchestrateMessage:
		return g.orchestrate(m)
	case *reportMessage:
		return g.report(m)
	case *renewMessage:
		row, err := g.broker.dir.Gateway(g.broker.ctx, g.id)
		var cert []byte
		if err == nil {
			cert, err = g.broker.renewFor(RoleGateway, g.id, row.Key, m.CSR)
		}
		return g.answer(m.ID, &renewMessage{Certificate: cert}, err)
	case *helloMessage:
		return reachback.Refuse(reachback.CodeProtocolError)
	}
	return nil // of a type that this end only sends, or a host's
}

// restarting tells the gateway when to come back, and ends the channel.
func (g *gatewayControl) restarting() {
	g.send(&restartingMessage{ReconnectInMS: rand.Int64N(gatewaySmear.Milliseconds()), TryForMS: tryFor.Milliseconds()})
	g.end(reachback.Refuse(reachback.CodeRestarting), true)
}
