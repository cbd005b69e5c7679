package rdgateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"
	"github.com/go-jose/go-jose/v4"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
	"github.com/reachback/reachback/relay/rdgateway"
)

// desk is an orchestrator with one host, whom it hands every call. A program has a
// broker.Broker in this place.
type desk struct {
	trust relay.Trust
	calls chan *relay.Call
}

func (d *desk) Trust() *relay.Trust { return &d.trust }

func (d *desk) Watch(ctx context.Context, _ func(relay.Kill)) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func (d *desk) Orchestrate(_ context.Context, c *relay.Call) (*relay.Permit, error) {
	d.calls <- c
	return &relay.Permit{Session: "session-1", Host: "host-1", Grant: "the broker's signed grant"}, nil
}

func (d *desk) Report(e relay.Event) {}

// The door stands beside the relay on one server. Here a client comes in that carries
// bare RDP in a WebSocket; mstsc, FreeRDP and Remmina come to the other path, with the
// token in their .rdp file.
func ExampleHandler() {
	keys, signing, hostCA, server, host := installation()
	d := &desk{trust: relay.Trust{Keys: keys, HostCA: hostCA}, calls: make(chan *relay.Call, 1)}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	r := &relay.Relay{Orchestrator: d, URL: "https://" + l.Addr().String()}
	door := &rdgateway.Handler{Relay: r}
	mux := http.NewServeMux()
	mux.Handle("/reachback/v1/", r)
	mux.Handle(rdgateway.Path, door)
	mux.Handle(rdgateway.RawPath, door)
	s := &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{server}}}
	if err := relay.ConfigureServer(s); err != nil {
		log.Fatal(err)
	}
	go s.ServeTLS(relay.NewListener(l), "", "")
	defer s.Close()
	defer door.Close()
	defer r.Close()

	roots := x509.NewCertPool()
	roots.AddCert(server.Leaf)
	trust := &tls.Config{RootCAs: roots}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	go func() {
		c := <-d.calls
		leg, err := (&relay.Dialer{TLS: trust}).Answer(ctx, c.Gateway, c.ID, c.Ticket, &host)
		if err != nil {
			log.Fatal(err)
		}
		io.Copy(leg, leg) // an RDP server that has little to say
		leg.Close()
	}()

	tok, err := token.SignConnection("key-1", signing, &token.Connection{
		ID: "token-1", User: reachback.User{Issuer: "https://issuer.example", Subject: "alice"}, Resource: "desktop",
	}, time.Now())
	if err != nil {
		log.Fatal(err)
	}
	ws, _, err := websocket.Dial(ctx, "wss://"+l.Addr().String()+rdgateway.RawPath, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: trust}},
		HTTPHeader: http.Header{"Authorization": {"Bearer " + tok}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := ws.Write(ctx, websocket.MessageBinary, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	_, b, err := ws.Read(ctx)
	fmt.Printf("client read %q, %v\n", b, err)
	ws.Close(websocket.StatusNormalClosure, "")
	// Output:
	// client read "hello", <nil>
}

// installation makes the keys that a broker has: one that signs tokens, a host CA,
// the gateway's certificate and a host's identity.
func installation() (keys *jose.JSONWebKeySet, signing ed25519.PrivateKey, hostCA *x509.CertPool, server, host tls.Certificate) {
	public, signing, _ := ed25519.GenerateKey(rand.Reader)
	keys = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "key-1"}}}

	caKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	ca = certificate(ca, ca, caKey, caKey).Leaf
	hostCA = x509.NewCertPool()
	hostCA.AddCert(ca)
	hostKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	host = certificate(&x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs: []*url.URL{{Scheme: "urn", Opaque: "reachback:host:host-1"}},
	}, ca, hostKey, caKey)

	serverKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	self := &x509.Certificate{SerialNumber: big.NewInt(3), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	server = certificate(self, self, serverKey, serverKey)
	return keys, signing, hostCA, server, host
}

func certificate(c, issuer *x509.Certificate, key, issuerKey *ecdsa.PrivateKey) tls.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, key.Public(), issuerKey)
	if err != nil {
		log.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
