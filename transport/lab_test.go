package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/relay"
	"github.com/reachback/reachback/transport"
)

// A lab is what the Examples have in common: a server that is gateway and broker,
// the agent of an enrolled host, and clients of user alice. [Example] shows each
// step.
type lab struct {
	broker *broker.Broker
	relay  *relay.Relay
	server *http.Server
	served sync.WaitGroup
	dialer *relay.Dialer
	agent  *broker.Agent
}

func startLab() *lab {
	keys, err := broker.NewKeys()
	check(err)
	cert, err := keys.ServerCertificate("127.0.0.1")
	check(err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	url := "https://" + ln.Addr().String()
	directory := &broker.MemoryDirectory{}
	check(directory.Apply(context.Background(), &broker.Seed{
		Pools:     []broker.SeedPool{{Name: "desktops"}},
		Resources: []broker.SeedResource{{ID: "desktop", Title: "Desktop", Kind: reachback.KindDesktop, Pool: "desktops", Assign: []string{"user:alice"}}},
	}))
	l := &lab{broker: &broker.Broker{Keys: keys, Directory: directory, Gateways: []string{url}}}
	l.relay = &relay.Relay{Orchestrator: l.broker, URL: url}
	mux := http.NewServeMux()
	mux.Handle("/reachback/v1/control", l.broker)
	mux.Handle("/reachback/v1/enrol", l.broker)
	mux.Handle("/", l.relay)
	l.server = &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	check(relay.ConfigureServer(l.server))
	l.served.Go(func() { l.server.ServeTLS(ln, "", "") })

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(keys.ServerCA())
	l.dialer = &relay.Dialer{TLS: &tls.Config{RootCAs: roots}}
	identity, err := broker.NewIdentity()
	check(err)
	registration, _, err := l.broker.NewRegistrationToken(context.Background(), broker.TokenOptions{Pool: "desktops"})
	check(err)
	l.agent = &broker.Agent{Server: url, Identity: identity, TLS: l.dialer.TLS}
	_, err = l.agent.Enrol(context.Background(), broker.EnrolOptions{Token: registration, Name: "host-1", Pool: "desktops"})
	check(err)
	return l
}

func (l *lab) client() *transport.Dialer {
	return &transport.Dialer{
		Relay: l.dialer,
		Connect: func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
			return l.broker.Connect(ctx, &reachback.User{Issuer: "example", Subject: "alice"}, resource, key)
		},
	}
}

func (l *lab) close() {
	l.relay.Close()
	l.broker.Close()
	l.server.Close()
	l.served.Wait()
}
