package relay

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/framing"
	"github.com/reachback/reachback/internal/tlsrecord"
)

// TestHandoverCountsWhatWasSent takes a connection over after crypto/tls has sent much,
// in all kinds of handshake. A client's TLS takes every record by its number, so that
// what it reads to the end shows that none was used twice and none left out.
func TestHandoverCountsWhatWasSent(t *testing.T) {
	ask := func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }
	forAll := func(edit func(*tls.Config)) func(*tls.Config) {
		return func(c *tls.Config) {
			theirs := c.Clone()
			edit(theirs)
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return theirs, nil }
		}
	}
	var logged strings.Builder
	verified := 0
	for _, tt := range []struct {
		name   string
		server func(c *tls.Config)
		client func(w *world, c *tls.Config)
		left   bool // the records are left to crypto/tls
	}{
		{name: "as it is"},
		{name: "a client that would resume", client: func(_ *world, c *tls.Config) { c.ClientSessionCache = tls.NewLRUClientSessionCache(1) }},
		{name: "a second hello", server: func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP384} }},
		{name: "a certificate is asked for", server: ask},
		{
			name: "a certificate is asked for and shown", server: ask,
			client: func(w *world, c *tls.Config) { c.Certificates = []tls.Certificate{*w.host("host-1")} },
		},
		{name: "a key log of the user's", server: func(c *tls.Config) { c.KeyLogWriter = &logged }},
		{name: "a check of the user's", server: func(c *tls.Config) {
			c.VerifyConnection = func(tls.ConnectionState) error { verified++; return nil }
		}},
		{
			name: "a configuration of the user's, with tickets", left: true, server: forAll(func(*tls.Config) {}),
			client: func(_ *world, c *tls.Config) { c.ClientSessionCache = tls.NewLRUClientSessionCache(1) },
		},
		{
			// Who offers our ALPN gets the user's configuration without tickets.
			name: "a configuration of the user's, with tickets, for a program of ours", server: forAll(func(*tls.Config) {}),
			client: func(_ *world, c *tls.Config) {
				c.ClientSessionCache, c.NextProtos = tls.NewLRUClientSessionCache(1), []string{carrier.ALPN, "http/1.1"}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorldWith(t, func(w *world) {
					if tt.server != nil {
						tt.server(w.server.TLSConfig)
					}
				})
				w.server.Handler = w.framedDoor()
				client := w.callDoorWith(func(c *tls.Config) {
					if tt.client != nil {
						tt.client(w, c)
					}
				}, carrier.PathHealth, carrier.PathHealth)
				host := must(t, w.answer(<-w.summons, w.host("host-1")))
				got := make([]byte, len("ready"))
				_, err := io.ReadFull(client, got)
				require.NoError(t, err)
				w.requireTakenOver(!tt.left)
				got = make([]byte, len("early "))
				_, err = io.ReadFull(host, got)
				require.NoError(t, err)
				for range 3 {
					io.WriteString(host, "yes")
					got := make([]byte, 4)
					_, err = io.ReadFull(client, got)
					require.NoError(t, err)
					require.Equal(t, "\x03yes", string(got))
					io.WriteString(client, "\x02no")
					got = make([]byte, 2)
					_, err = io.ReadFull(host, got)
					require.NoError(t, err)
					require.Equal(t, "no", string(got))
				}
				host.Close()
				rest, err := io.ReadAll(client)
				require.NoError(t, err)
				require.Equal(t, "\x00closed", string(rest))
				client.Close()
			})
		})
	}
	require.Contains(t, logged.String(), "SERVER_TRAFFIC_SECRET_0")
	require.NotZero(t, verified)
}

// Whatever the configuration says, a connection that may be taken over gets no ticket:
// it would be the first record under the application's keys, and not be counted.
func TestHandoverSendsNoTickets(t *testing.T) {
	near, far := simulated()
	cert := newAuthority(t).issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"gw.example"} })
	s := &carrier.Conn{Conn: tls.Server(&wire{Conn: near}, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return offerHandover(hello, &tls.Config{Certificates: []tls.Certificate{*cert}}), nil
	}})}
	c := tls.Client(far, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)})
	var hand sync.WaitGroup
	hand.Go(func() { s.Handshake() })
	require.NoError(t, c.Handshake())
	hand.Wait()
	require.True(t, canTakeOver(s))
	leg, err := takeOver(s, spliceTimeout)
	require.NoError(t, err)
	requireCarries(t, leg, c, "the first record")
}

// Where somebody turns tickets on again, they work, and the records are left to
// crypto/tls. The ticket comes in either of two places.
func TestHandoverIsNotWhereATicketWasSent(t *testing.T) {
	for name, auth := range map[string]tls.ClientAuthType{"before the client's flight": tls.NoClientCert, "behind it": tls.RequestClientCert} {
		t.Run(name, func(t *testing.T) {
			cert := newAuthority(t).issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"gw.example"} })
			wrapped := 0
			base := &tls.Config{Certificates: []tls.Certificate{*cert}, ClientAuth: auth}
			base.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
				wrapped++
				return base.EncryptTicket(cs, ss)
			}
			base.UnwrapSession = base.DecryptTicket
			cache := tls.NewLRUClientSessionCache(1)
			for round := range 2 {
				near, far := simulated()
				s := &carrier.Conn{Conn: tls.Server(&wire{Conn: near}, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
					c := offerHandover(hello, base)
					c.SessionTicketsDisabled = false
					return c, nil
				}})}
				c := tls.Client(far, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: cache})
				var hand sync.WaitGroup
				hand.Go(func() { s.Handshake() })
				require.NoError(t, c.Handshake())
				hand.Wait()
				require.False(t, canTakeOver(s))
				require.False(t, canTakeOverLater(s))
				requireCarries(t, s, c, "behind the ticket")
				require.Equal(t, round == 1, c.ConnectionState().DidResume)
				require.Equal(t, round+1, wrapped)
			}
		})
	}
}

// A connection on which the peer has had crypto/tls change keys stays with crypto/tls:
// the relay would come to the second keys by itself, and use their numbers again.
func TestHandoverIsNotAfterAKeyUpdate(t *testing.T) {
	for _, ask := range []byte{0, 1} {
		near, far := simulated()
		var log clientSecret
		nc, p := tlsLegWith(t, &wire{Conn: near}, far, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: &log})
		c := nc.(*carrier.Conn)
		sealer, err := tlsrecord.NewSealer(c.ConnectionState().CipherSuite, log.secret, 0)
		require.NoError(t, err)
		peer := &recordPeer{p, sealer}
		var reading sync.WaitGroup
		reading.Go(func() { io.Copy(io.Discard, p.wire) })
		io.WriteString(c, "something")
		require.True(t, canTakeOverLater(c))
		require.False(t, canTakeOver(c))

		peer.send(t, tlsrecord.Handshake, keyUpdate, 0, 0, 1, ask)
		require.NoError(t, peer.sealer.Update())
		peer.send(t, tlsrecord.Application, 'x')
		_, err = c.Read(make([]byte, 1))
		require.NoError(t, err)
		require.False(t, canTakeOverLater(c))
		near.Close()
		reading.Wait()
	}
}

// Nor where a record was sealed and could not be sent: its number is used, and what
// crypto/tls still sends then, as the answer to a key update, has the next.
func TestHandoverIsNotAfterAFailedWrite(t *testing.T) {
	near, far := simulated()
	c, p := wiredLeg(t, near, far)
	require.True(t, canTakeOver(c.(*carrier.Conn)))
	c.SetWriteDeadline(time.Unix(1, 0))
	_, err := io.WriteString(c, "lost")
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	c.SetWriteDeadline(time.Time{})
	require.False(t, canTakeOverLater(c.(*carrier.Conn)))
	near.Close()
	p.Close()
}

// After the relay has taken a connection over, crypto/tls sends nothing on it: what it
// would seal, its goodbye above all, would have a number that the relay uses too.
func TestHandoverIsTheEndOfTheOldTLS(t *testing.T) {
	for name, do := range map[string]func(c *carrier.Conn){
		"close":     func(c *carrier.Conn) { c.Close() },
		"half":      func(c *carrier.Conn) { c.CloseWrite() },
		"something": func(c *carrier.Conn) { io.WriteString(c, "something") },
	} {
		t.Run(name, func(t *testing.T) {
			near, far := simulated()
			sent := &tap{Conn: near}
			nc, p := wiredLeg(t, sent, far)
			c := nc.(*carrier.Conn)
			io.WriteString(c, "before")
			require.True(t, canTakeOverLater(c))
			leg, err := takeOver(c, spliceTimeout)
			require.NoError(t, err)
			_, err = leg.Write([]byte("ours"))
			require.NoError(t, err)
			was := sent.sent.Len()
			do(c)
			require.Equal(t, was, sent.sent.Len())
			leg.Close()
			got, _ := io.ReadAll(p)
			require.Equal(t, "beforeours", string(got))
		})
	}
}

// A connection whose keys the relay never saw is not taken over.
func TestHandoverNeedsTheKeys(t *testing.T) {
	near, far := simulated()
	cert := newAuthority(t).issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"gw.example"} })
	s := &carrier.Conn{Conn: tls.Server(&wire{Conn: near}, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c := offerHandover(hello, &tls.Config{Certificates: []tls.Certificate{*cert}})
		c.KeyLogWriter = nil
		return c, nil
	}})}
	var hand sync.WaitGroup
	hand.Go(func() { s.Handshake() })
	require.NoError(t, tls.Client(far, &tls.Config{InsecureSkipVerify: true}).Handshake())
	hand.Wait()
	require.False(t, canTakeOver(s))
	_, err := takeOver(s, spliceTimeout)
	require.Error(t, err)
}

// Of two connections both are taken over or none.
func TestHandoverOfTwoConnections(t *testing.T) {
	for _, k := range []legKind{recordLegs, tlsLegs} {
		near, far := simulated()
		out, _ := recordLegs.make(t, near, far)
		near, far = simulated()
		in, _ := k.make(t, near, far)
		leg := newFramedLeg(&framing.Conn{Conn: out.(*carrier.Conn), In: in.(*carrier.Conn), Framing: &chunkFraming{}}, spliceTimeout)
		require.Equal(t, k.takeOver, leg.canTakeOver())
	}
}
