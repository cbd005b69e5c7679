package rdgateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/relay"
)

// An office is a broker with its hosts behind the gateways of several worlds. Each
// world has a broker of its own at the same directory, as two machines have.
type office struct {
	t       *testing.T
	keys    *broker.Keys
	dir     *broker.MemoryDirectory
	brokers []*broker.Broker // one for each world
	worlds  []*world
	hosts   []*officeHost
}

// inOffice runs f in an office with one host, for each way to have a tunnel.
func inOffice(t *testing.T, f func(t *testing.T, w *world, o *office, c *client)) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				o := newOffice(t, w)
				o.host("pc1")
				f(t, w, o, m.dial(w))
			})
		})
	}
}

const officeSeed = `{
 "pools": [{"name": "desktops", "raw": true, "max_sessions": 4}, {"name": "guarded"}],
 "resources": [
  {"id": "desktop", "title": "Desktop", "pool": "desktops", "assign": ["user:alice", "user:bob"]},
  {"id": "vault", "title": "Vault", "pool": "guarded", "assign": ["user:alice"]}]}`

// newOffice makes brokers for these worlds. Hosts are at the first one's.
func newOffice(t *testing.T, worlds ...*world) *office {
	o := &office{t: t, dir: &broker.MemoryDirectory{}, worlds: worlds}
	seed, err := broker.ParseSeed([]byte(officeSeed))
	require.NoError(t, err)
	require.NoError(t, o.dir.Apply(t.Context(), seed))
	o.keys, err = broker.NewKeys()
	require.NoError(t, err)
	var gateways []string
	for i, w := range worlds {
		w.relay.URL = "https://gw" + string(rune('1'+i)) + ".example"
		gateways = append(gateways, w.relay.URL)
	}
	for _, w := range worlds {
		b := &broker.Broker{Keys: o.keys, Directory: o.dir, Gateways: gateways, Logger: w.relay.Logger}
		o.brokers = append(o.brokers, b)
		w.relay.Orchestrator = b
		t.Cleanup(func() { b.Close() })
	}
	cert, err := o.keys.ServerCertificate("broker.example")
	require.NoError(t, err)
	s := &http.Server{
		Handler: o.brokers[0], TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, ErrorLog: log.New(io.Discard, "", 0),
	}
	require.NoError(t, relay.ConfigureServer(s))
	l, err := worlds[0].net.Listen("broker.example:443")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() { s.ServeTLS(l, "", "") })
	t.Cleanup(func() {
		s.Close()
		serving.Wait()
	})
	return o
}

// An officeHost answers every summons and sends back what it gets.
type officeHost struct {
	o  *office
	id *broker.Identity

	mu       sync.Mutex
	answered int
	legs     sync.WaitGroup
}

// host enrols a host and waits until it is up.
func (o *office) host(name string) *officeHost {
	id, err := broker.NewIdentity()
	require.NoError(o.t, err)
	h := &officeHost{o: o, id: id}
	roots := x509.NewCertPool()
	require.True(o.t, roots.AppendCertsFromPEM(o.keys.ServerCA()))
	agent := &broker.Agent{
		Server: "https://broker.example", Identity: id, TLS: &tls.Config{RootCAs: roots}, NetDial: o.worlds[0].net.Dial,
	}
	tok, _, err := o.brokers[0].NewRegistrationToken(o.t.Context(), broker.TokenOptions{Pool: "desktops", Life: time.Hour})
	require.NoError(o.t, err)
	_, err = agent.Enrol(o.t.Context(), broker.EnrolOptions{Token: tok, Name: name, Pool: "desktops"})
	require.NoError(o.t, err)
	ctx, cancel := context.WithCancel(o.t.Context())
	h.legs.Go(func() { agent.Run(ctx, h) })
	o.t.Cleanup(func() {
		cancel()
		for _, w := range o.worlds {
			w.relay.Close()
		}
		h.legs.Wait()
	})
	synctest.Wait()
	o.hosts = append(o.hosts, h)
	return h
}

func (h *officeHost) Welcome(*broker.Welcome)           {}
func (h *officeHost) Disconnect(string, reachback.Code) {}
func (h *officeHost) Sessions() []broker.SessionReport  { return nil }
func (h *officeHost) answers() int                      { h.mu.Lock(); defer h.mu.Unlock(); return h.answered }

func (h *officeHost) Summon(_ context.Context, s *broker.Summon) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answered++
	h.legs.Go(func() {
		for _, w := range h.o.worlds {
			if w.relay.URL != s.Gateway {
				continue
			}
			d := &relay.Dialer{
				TLS: &tls.Config{RootCAs: w.roots, ServerName: "gw.example"},
				NetDial: func(ctx context.Context, network, _ string) (net.Conn, error) {
					return w.net.Dial(ctx, network, "gw.example:443")
				},
			}
			leg, err := d.Answer(h.o.t.Context(), s.Gateway, s.Call, s.Ticket, h.id.Certificate())
			if err != nil {
				return
			}
			io.Copy(leg, leg)
			leg.Close()
		}
	})
	return nil
}

// token is what the .rdp file of a user would have.
func (o *office) token(user string) string {
	c, err := o.brokers[0].Connect(o.t.Context(), &reachback.User{Issuer: "https://issuer", Subject: user}, "desktop", [32]byte{})
	require.NoError(o.t, err)
	return c.Token
}

// recorded is how long a broker gathers records before it writes them, and a little.
const recorded = 1100 * time.Millisecond

// requireOneSession requires that all joined calls were of one session at one host.
func (o *office) requireOneSession(t *testing.T, calls int) (session string) {
	t.Helper()
	time.Sleep(recorded)
	records, err := o.dir.FindRecords(t.Context(), &broker.RecordQuery{User: "alice", Step: broker.StepJoined})
	require.NoError(t, err)
	require.Len(t, records, calls)
	for _, r := range records {
		require.Equal(t, records[0].Session, r.Session)
		require.Equal(t, records[0].Host, r.Host)
	}
	return records[0].Session
}

func TestA1_ATokenRepeatsForAMinuteFromItsAddress(t *testing.T) {
	inWays(t, func(t *testing.T, w *world, call func(string) (io.ReadWriter, refused)) {
		o := newOffice(t, w)
		o.host("pc1")
		o.host("pc2")
		tok := o.token("alice")
		w.comeFrom("192.0.2.1:1000")
		first, no := call(tok)
		require.Zero(t, no)
		requireCarries(t, first, first, "hello")
		time.Sleep(59 * time.Second)
		w.comeFrom("192.0.2.1:2000")
		again, no := call(tok)
		require.Zero(t, no)
		requireCarries(t, again, again, "hello again")
		w.comeFrom("192.0.2.2:1000") // somebody who has stolen the file
		_, no = call(tok)
		no.require(t, reachback.CodeTokenReplayed)
		time.Sleep(time.Second)
		w.comeFrom("192.0.2.1:3000")
		_, no = call(tok)
		no.require(t, reachback.CodeTokenReplayed)
		require.Equal(t, 2, w.relay.Stats().Joined, "no leg is held for who was refused")
		require.Zero(t, w.relay.Stats().Waiting)
		requireCarries(t, first, first, "undisturbed")
		requireCarries(t, again, again, "undisturbed")
		o.requireOneSession(t, 2)
	})
}

// A token that was used at one door is used at the others too.
func TestA1_ATokenIsSpentAtEveryDoorAndGateway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w2 := newWorld(t)
		o := newOffice(t, w, w2)
		o.host("pc1")
		for _, first := range ways {
			tok := o.token("alice")
			w.comeFrom("192.0.2.1:1000")
			s, no := first.call(w, tok)
			require.Zero(t, no)
			for _, second := range ways {
				for _, at := range o.worlds {
					at.comeFrom("192.0.2.9:1000")
					_, no = second.call(at, tok)
					no.require(t, reachback.CodeTokenReplayed, first.name, second.name)
				}
			}
			requireCarries(t, s, s, "undisturbed")
		}
	})
}

func TestA6_AKillIsInForceAtEveryGatewayWithinTwoSeconds(t *testing.T) {
	inWays(t, func(t *testing.T, w *world, call func(string) (io.ReadWriter, refused)) {
		w2 := newWorld(t)
		o := newOffice(t, w, w2)
		o.host("pc1")
		tok := o.token("alice")
		for _, at := range o.worlds {
			at.comeFrom("192.0.2.1:1000")
		}
		s, no := call(tok)
		require.Zero(t, no)
		requireCarries(t, s, s, "hello")
		session := o.requireOneSession(t, 1)

		require.NoError(t, o.brokers[1].Kill(t.Context(), session)) // by an operator at the other broker
		began := time.Now()
		_, err := io.Copy(io.Discard, s)
		require.LessOrEqual(t, time.Since(began), 2*time.Second)
		if c, tunnel := s.(*client); tunnel {
			require.Equal(t, closedWith(napAccessDenied), err)
			c.quit()
		} else {
			require.Equal(t, 1008, s.(bare).closed)
		}
		time.Sleep(2*time.Second - time.Since(began))
		for _, at := range o.worlds {
			for _, way := range ways {
				_, no = way.call(at, tok)
				no.require(t, reachback.CodeKilled, way.name)
			}
		}
	})
}

// A client that has set its tunnel up, and is killed before it names its resource.
func TestC6_AKillAfterTheTokenWasSeen(t *testing.T) {
	inOffice(t, func(t *testing.T, w *world, o *office, c *client) {
		tok := o.token("alice")
		s, no := w.callRaw(tok)
		require.Zero(t, no)
		c.setUp(tok)
		require.NoError(t, o.brokers[0].Kill(t.Context(), o.requireOneSession(t, 1)))
		time.Sleep(2 * time.Second)
		c.send(channelPacket("desktop"))
		require.Equal(t, napAccessDenied, status(t, 9, c.expect(9)))
		quit(s)
	})
}

// The assignment is taken from the user after his token was seen.
func TestC6_AnAssignmentThatIsTakenAway(t *testing.T) {
	inOffice(t, func(t *testing.T, w *world, o *office, c *client) {
		c.setUp(o.token("alice"))
		seed, err := broker.ParseSeed([]byte(`{"pools": [{"name": "desktops", "raw": true}],
		 "resources": [{"id": "desktop", "title": "Desktop", "pool": "desktops", "assign": ["user:bob"]}]}`))
		require.NoError(t, err)
		require.NoError(t, o.dir.Apply(t.Context(), seed))
		c.send(channelPacket("desktop"))
		require.Equal(t, rapAccessDenied, status(t, 9, c.expect(9)))
		require.Zero(t, o.hosts[0].answers())
	})
}

// A pool that admits no raw calls issues no such token, and refuses one that was
// issued before it did so.
func TestC6_APoolThatAdmitsRawCallsNoMore(t *testing.T) {
	inWays(t, func(t *testing.T, w *world, call func(string) (io.ReadWriter, refused)) {
		o := newOffice(t, w)
		h := o.host("pc1")
		tok := o.token("alice")
		seed, err := broker.ParseSeed([]byte(`{"pools": [{"name": "desktops"}],
		 "resources": [{"id": "desktop", "title": "Desktop", "pool": "desktops", "assign": ["user:alice"]}]}`))
		require.NoError(t, err)
		require.NoError(t, o.dir.Apply(t.Context(), seed))
		_, no := call(tok)
		no.require(t, reachback.CodeRawNotAllowed)
		require.Zero(t, h.answers())
		_, err = o.brokers[0].Connect(t.Context(), &reachback.User{Issuer: "https://issuer", Subject: "alice"}, "desktop", [32]byte{})
		require.Equal(t, reachback.CodeRawNotAllowed, reachback.CodeOf(err))
	})
}

// As FreeRDP does where the host refuses the security protocol that it asks for
// first: it drops its connections and comes again.
func TestG10_AClientThatRetriesIsOneSession(t *testing.T) {
	inWays(t, func(t *testing.T, w *world, call func(string) (io.ReadWriter, refused)) {
		o := newOffice(t, w)
		o.host("pc1")
		o.host("pc2")
		tok := o.token("alice")
		var last io.ReadWriter
		for i := range 3 {
			s, no := call(tok)
			require.Zero(t, no)
			requireCarries(t, s, s, "X.224")
			if last = s; i < 2 {
				quit(s)
				time.Sleep(3 * time.Second)
			}
		}
		o.requireOneSession(t, 3)
		require.ElementsMatch(t, []int{3, 0}, []int{o.hosts[0].answers(), o.hosts[1].answers()}, "one host")
		desktops := 0
		listed, err := o.dir.Hosts(t.Context(), &broker.HostQuery{})
		require.NoError(t, err)
		for _, h := range listed {
			desktops += h.UserSessions
		}
		require.Equal(t, 1, desktops, "one slot")
		requireCarries(t, last, last, "the session goes on")
	})
}

// Clients of one user at the same time, with the same file.
func TestG10_TwoClientsAtOnceAreOneSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := newOffice(t, w)
		o.host("pc1")
		o.host("pc2")
		tok := o.token("alice")
		cs := []*client{w.webSocket(), w.twoConnections()}
		for _, c := range cs {
			c.setUp(tok)
		}
		for _, c := range cs {
			c.send(channelPacket("desktop"))
		}
		for _, c := range cs {
			c.opens()
			requireCarries(t, c, c, "x")
		}
		o.requireOneSession(t, 2)
	})
}
