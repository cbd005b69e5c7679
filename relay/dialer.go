package relay

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

// A Dialer opens legs at gateways: calls for clients and answers for hosts. Its
// zero value trusts the system's certificate authorities and honours
// HTTPS_PROXY and NO_PROXY. It may be used concurrently, and must not be changed
// while it is.
type Dialer struct {
	// TLS is the configuration towards gateways, of which roots, server name
	// and versions are used. Nil means the system's roots.
	TLS *tls.Config
	// NetDial opens the transport connection to a gateway. Nil means TCP, by
	// way of the proxy that the environment names.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Call asks the gateway, a base URL, for the resource that token names, and
// returns when the host's leg is there too. The nonce, at least 16 characters of
// the client's choice, comes back in the grant; raw calls have none.
func (d *Dialer) Call(ctx context.Context, gateway, token, nonce string) (*Leg, error) {
	h := http.Header{"Authorization": {"Bearer " + token}}
	if nonce != "" {
		h.Set(carrier.HeaderNonce, nonce)
	}
	return d.open(ctx, gateway, carrier.PathCall, h, nil)
}

// Answer brings the host's leg, with its identity certificate, to the call that
// the ticket is for, and returns when the relay has joined the two.
func (d *Dialer) Answer(ctx context.Context, gateway, call string, ticket Ticket, identity *tls.Certificate) (*Leg, error) {
	h := http.Header{}
	h.Set(carrier.HeaderCall, call)
	h.Set(carrier.HeaderTicket, string(ticket))
	return d.open(ctx, gateway, carrier.PathAnswer, h, identity)
}

func (d *Dialer) open(ctx context.Context, gateway, path string, h http.Header, cert *tls.Certificate) (*Leg, error) {
	cd := &carrier.Dialer{TLS: d.TLS, NetDial: d.NetDial}
	c, err := cd.Upgrade(ctx, gateway, path, h, cert, reachback.CodeGatewayUnreachable)
	if err != nil {
		return nil, err
	}
	return &Leg{conn: c, Grant: c.Header.Get(carrier.HeaderGrant), CorrelationID: c.Header.Get(carrier.HeaderCorrelation)}, nil
}
