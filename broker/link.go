package broker

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/relay"
)

// A Link is a gateway's end of its control channel, and the orchestrator of the
// relay beside it: it carries the relay's questions and events to a broker on
// another machine, and the broker's kills, keys and drain back. Set its fields
// before use, and have Run keep the channel.
//
// While there is no channel, live sessions go on, and what the broker said last
// stays in force: its keys, its host CA, every kill. New calls are refused at once
// with broker_unreachable, unless the channel was lost within the last second.
//
// A Link holds 4096 events and 262144 kills at most; the oldest are dropped.
type Link struct {
	Server   string      // base URL of the broker. Required
	URL      string      // base URL under which hosts reach this gateway, as it is enrolled. Required
	Identity *Identity   // Required
	TLS      *tls.Config // roots and versions towards the broker. Nil: the system's roots
	// NetDial opens the transport connection to the broker. Nil means TCP, by
	// way of the proxy that the environment names.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Ready is called each time the broker has said all that calls need. It must
	// not block. Nil: nobody is told.
	Ready  func(w *Welcome)
	Logger *slog.Logger // nil is silent

	counters linkCounters

	mu      sync.Mutex
	current *linkChannel  // the one to ask on; nil while there is none
	lost    time.Time     // when the last current one was; zero: there was none
	trust   *relay.Trust  // replaced, never changed; nil until the broker has spoken
	drain   bool          // the operator's, as the broker said last
	changed chan struct{} // closed and replaced when current changes; nil: nobody has waited
	kills   killLog
	events  eventQueue
}

var _ relay.Orchestrator = (*Link)(nil)

func (l *Link) log() *slog.Logger { return orSilent(l.Logger) }

// party is the link as it keeps its channel.
func (l *Link) party() *party {
	return &party{
		role: RoleGateway, server: l.Server, identity: l.Identity,
		dialer: &carrier.Dialer{TLS: l.TLS, NetDial: l.NetDial}, log: l.log(),
	}
}

// Enrol turns a registration token for gateways into an identity certificate for
// the Identity's key and this URL, and stores it. To enrol the same key again is
// harmless.
func (l *Link) Enrol(ctx context.Context, o EnrolOptions) (*Welcome, error) {
	url, ok := gatewayURL(l.URL)
	if !ok || o.Pool != "" {
		return nil, fmt.Errorf("broker: enrol: %q is not a gateway's URL, or a pool is named: %w", l.URL, reachback.Refuse(reachback.CodeBadRequest))
	}
	return l.party().enrol(ctx, o, url)
}

// Run keeps a control channel until ctx ends, whose cause it returns, or the broker
// refuses for good, for instance with gateway_revoked. It redials with jitter. One
// Run at a time.
func (l *Link) Run(ctx context.Context) error {
	url, ok := gatewayURL(l.URL)
	if !ok {
		return fmt.Errorf("broker: %q is not a gateway's URL: %w", l.URL, reachback.Refuse(reachback.CodeBadRequest))
	}
	r := &redial{}
	p := l.party()
	return p.keep(ctx, r, func(conn *carrier.Conn) (bool, error) {
		c := &linkChannel{channel: newChannel(conn), link: l, party: p, redial: r, url: url}
		c.room = gatewayQueue
		defer context.AfterFunc(ctx, func() { c.end(reachback.Refuse(reachback.CodeClosed), true) })()
		err := c.serve()
		return c.welcomed, err
	})
}

// Trust implements [relay.Orchestrator]. Until the broker has spoken there are no
// keys in it.
func (l *Link) Trust() *relay.Trust {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trust == nil {
		return &relay.Trust{Revoked: l.isRevoked}
	}
	return l.trust
}

func (l *Link) isRevoked(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kills.revoked(host)
}
