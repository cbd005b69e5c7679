package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/relay"
	"github.com/reachback/reachback/transport"
)

// Everything in one function: a server that is gateway and broker, a host that
// dials out to it, and a client that opens the host's desktop.
func Example() {
	ctx := context.Background()

	// The server. A real one has a feed too, which checks users' tokens and
	// passes their wishes on to Broker.Connect.
	keys, err := broker.NewKeys()
	check(err)
	cert, err := keys.ServerCertificate("127.0.0.1")
	check(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	url := "https://" + l.Addr().String()

	directory := &broker.MemoryDirectory{}
	check(directory.Apply(context.Background(), &broker.Seed{
		Pools:     []broker.SeedPool{{Name: "desktops"}},
		Resources: []broker.SeedResource{{ID: "desktop", Title: "Desktop", Kind: reachback.KindDesktop, Pool: "desktops", Assign: []string{"user:alice"}}},
	}))
	b := &broker.Broker{Keys: keys, Directory: directory, Gateways: []string{url}}
	defer b.Close()
	gateway := &relay.Relay{Orchestrator: b, URL: url}
	defer gateway.Close()
	mux := http.NewServeMux()
	mux.Handle("/reachback/v1/control", b)
	mux.Handle("/reachback/v1/enrol", b)
	mux.Handle("/", gateway)
	server := &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	check(relay.ConfigureServer(server))
	defer server.Close()
	go server.ServeTLS(l, "", "")

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(keys.ServerCA())
	dialer := &relay.Dialer{TLS: &tls.Config{RootCAs: roots}}

	// The host. It listens on no port.
	identity, err := broker.NewIdentity()
	check(err)
	registration, _, err := b.NewRegistrationToken(ctx, broker.TokenOptions{Pool: "desktops"})
	check(err)
	agent := &broker.Agent{Server: url, Identity: identity, TLS: dialer.TLS}
	_, err = agent.Enrol(ctx, broker.EnrolOptions{Token: registration, Name: "host-1", Pool: "desktops"})
	check(err)
	listener, err := (&transport.ListenConfig{Agent: agent, Relay: dialer}).Listen(ctx)
	check(err)
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		check(err)
		defer conn.Close()
		question, err := io.ReadAll(conn)
		check(err)
		fmt.Fprintf(conn, "%s, %s", question, conn.(*transport.Conn).Grant().User)
	}()

	// The client.
	client := &transport.Dialer{
		Relay: dialer,
		Connect: func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
			return b.Connect(ctx, &reachback.User{Issuer: "example", Subject: "alice"}, resource, key)
		},
	}
	conn, err := client.DialContext(ctx, "tcp", "desktop")
	check(err)
	defer conn.Close()
	fmt.Fprint(conn, "hello")
	check(conn.(*transport.Conn).CloseWrite())
	answer, err := io.ReadAll(conn)
	check(err)
	fmt.Printf("%s\n", answer)
	// Output: hello, alice
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// Any net.Listener's user can serve on a host: here a web server on a machine that
// no connection can reach.
func ExampleListenConfig_Listen() {
	lab := startLab()
	defer lab.close()

	listener, err := (&transport.ListenConfig{Agent: lab.agent, Relay: lab.dialer}).Listen(context.Background())
	check(err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s of %s", r.URL.Path, r.Host)
	})}
	go server.Serve(listener)
	defer server.Close()
	fmt.Println(listener.Addr().Network(), listener.Welcome().Name)

	conn, err := lab.client().DialContext(context.Background(), "tcp", "desktop")
	check(err)
	defer conn.Close()
	fmt.Fprint(conn, "GET /state HTTP/1.0\r\nHost: desktop\r\n\r\n")
	answer, err := io.ReadAll(conn)
	check(err)
	fmt.Printf("%s\n", answer[len(answer)-len("/state of desktop"):])
	// Output:
	// reachback host-1
	// /state of desktop
}

// DialContext fits wherever addresses are dialled. Here the resource's id is the
// host of an URL.
func ExampleDialer_http() {
	lab := startLab()
	defer lab.close()
	listener, err := (&transport.ListenConfig{Agent: lab.agent, Relay: lab.dialer}).Listen(context.Background())
	check(err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "from behind the firewall")
	})}
	go server.Serve(listener)
	defer server.Close()

	t := &http.Transport{DialContext: lab.client().DialContext}
	defer t.CloseIdleConnections()
	resp, err := (&http.Client{Transport: t}).Get("http://desktop/")
	check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(err)
	fmt.Println(resp.Status, string(body))
	// Output: 200 OK from behind the firewall
}
