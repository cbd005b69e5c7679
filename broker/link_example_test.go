package broker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/relay"
)

// A gateway on another machine than its broker. It enrols once, and from then on
// its link is the relay's orchestrator.
func ExampleLink() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	// The broker's machine. A token for gateways goes to the operator of the other.
	keys, err := broker.NewKeys()
	if err != nil {
		log.Fatal(err)
	}
	b := &broker.Broker{Keys: keys}
	defer b.Close()
	serve := func(h http.Handler) (url string, end func() error) {
		cert, err := keys.ServerCertificate("127.0.0.1")
		if err != nil {
			log.Fatal(err)
		}
		s := &http.Server{Handler: h, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
		if err := relay.ConfigureServer(s); err != nil {
			log.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		go s.ServeTLS(l, "", "")
		return "https://" + l.Addr().String(), s.Close
	}
	server, end := serve(b)
	defer end()
	token, _, err := b.NewRegistrationToken(ctx, broker.TokenOptions{Role: broker.RoleGateway})
	if err != nil {
		log.Fatal(err)
	}

	// The gateway's machine.
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(keys.ServerCA())
	id, err := broker.NewIdentity() // broker.OpenIdentity keeps it in a file
	if err != nil {
		log.Fatal(err)
	}
	ready := make(chan *broker.Welcome, 1)
	link := &broker.Link{
		Server: server, URL: "https://gw.example", Identity: id, TLS: &tls.Config{RootCAs: roots},
		Ready: func(w *broker.Welcome) { ready <- w },
	}
	if _, err := link.Enrol(ctx, broker.EnrolOptions{Token: token, Name: "gw1"}); err != nil {
		log.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- link.Run(ctx) }()
	gateway := &relay.Relay{Orchestrator: link, URL: link.URL}
	defer gateway.Close()
	door, end := serve(gateway)
	defer end()
	fmt.Println((<-ready).Name, "is up:", link.Stats().Up)

	// A client. The relay refuses its token by itself, with the broker's keys.
	_, err = (&relay.Dialer{TLS: &tls.Config{RootCAs: roots}}).Call(ctx, door, "no.such.token", "0123456789abcdef")
	fmt.Println("call:", reachback.CodeOf(err))

	// The operator has had enough of that gateway.
	if err := b.RevokeGateway(ctx, id.Gateway()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("link:", reachback.CodeOf(<-ended))
	// Output:
	// gw1 is up: true
	// call: token_invalid
	// link: gateway_revoked
}
