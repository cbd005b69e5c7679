package broker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/relay"
)

// pc is a session host's handler that takes part in no session.
type pc struct{ ready chan<- *broker.Welcome }

func (p pc) Welcome(w *broker.Welcome)                          { p.ready <- w }
func (p pc) Summon(ctx context.Context, s *broker.Summon) error { return nil }
func (p pc) Disconnect(session string, code reachback.Code)     {}
func (p pc) Sessions() []broker.SessionReport                   { return nil }

// A broker with one desktop, a host that enrols and stays connected, and a message
// from one to the other.
func ExampleBroker() {
	seed, err := broker.ParseSeed([]byte(`{
	 "pools": [{"name": "desktops", "max_sessions": 10}],
	 "resources": [{"id": "desktop", "title": "Desktop", "pool": "desktops", "assign": ["user:alice"]}]}`))
	if err != nil {
		log.Fatal(err)
	}
	dir := &broker.MemoryDirectory{} // those of sqldirectory keep hosts and keys over restarts
	if err := dir.Apply(context.Background(), seed); err != nil {
		log.Fatal(err)
	}
	keys, err := broker.NewKeys()
	if err != nil {
		log.Fatal(err)
	}
	b := &broker.Broker{Keys: keys, Directory: dir, Gateways: []string{"https://gw.example"}}
	defer b.Close()

	cert, err := keys.ServerCertificate("127.0.0.1")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: b, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	if err := relay.ConfigureServer(server); err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.ServeTLS(l, "", "")
	defer server.Close()

	// On the session host.
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(keys.ServerCA())
	id, err := broker.NewIdentity() // broker.OpenIdentity keeps it in a file
	if err != nil {
		log.Fatal(err)
	}
	agent := &broker.Agent{
		Server:   "https://" + l.Addr().String(),
		Identity: id,
		TLS:      &tls.Config{RootCAs: roots},
		OnMessage: func(ctx context.Context, m *broker.Message) (*broker.Message, error) {
			return &broker.Message{Topic: m.Topic, Body: json.RawMessage(`"fine"`)}, nil
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	token, _, err := b.NewRegistrationToken(ctx, broker.TokenOptions{Pool: "desktops"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := agent.Enrol(ctx, broker.EnrolOptions{Token: token, Name: "pc1"}); err != nil {
		log.Fatal(err)
	}
	ready := make(chan *broker.Welcome, 1)
	go agent.Run(ctx, pc{ready})
	w := <-ready
	fmt.Println(w.Name, "is up in pool", w.Pool)

	// In the broker's program.
	answer, err := b.Send(ctx, w.Host, &broker.Message{Topic: "how are you"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s\n", answer.Topic, answer.Body)
	all, err := b.Resources(ctx, &reachback.User{Subject: "alice"})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range all {
		fmt.Println(r.ID, r.Title, r.Kind)
	}
	// Output:
	// pc1 is up in pool desktops
	// how are you: "fine"
	// desktop Desktop desktop
}

// A token for one host, good for a day.
func ExampleBroker_NewRegistrationToken() {
	b := &broker.Broker{}
	defer b.Close()
	ctx := context.Background()
	token, row, err := b.NewRegistrationToken(ctx, broker.TokenOptions{Pool: "desktops", Life: 24 * time.Hour, Uses: 1})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token[:4], row.Role, row.Pool, row.Uses)
	fmt.Println(b.CheckRegistrationToken(ctx, token), "/", reachback.CodeOf(b.CheckRegistrationToken(ctx, token+"x")))
	// Output:
	// rbr_ host desktops 1
	// <nil> / registration_invalid
}
