package broker

import (
	"context"
	"encoding/json"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/simnet"
	"github.com/reachback/reachback/relay"
)

const apart = "https://apart.example"

// A gate is a gateway apart, as far as its broker sees one: a link.
type gate struct {
	w    *world
	link *Link
	id   string

	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Run, once done is closed

	mu    sync.Mutex
	conns []*simnet.Conn // as dialled by the link, in order
}

// dial is the link's NetDial.
func (g *gate) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := g.w.net.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns = append(g.conns, c.(*simnet.Conn))
	return c, nil
}

// conn is the connection dialled last.
func (g *gate) conn() *simnet.Conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.conns[len(g.conns)-1]
}

// gateToken is a registration token for gateways.
func (w *world) gateToken() string {
	token, _, err := w.broker.NewRegistrationToken(w.t.Context(), TokenOptions{Role: RoleGateway})
	require.NoError(w.t, err)
	return token
}

// gate enrols a gateway that is not running yet.
func (w *world) gate(url string) *gate {
	id, err := NewIdentity()
	require.NoError(w.t, err)
	g := &gate{w: w}
	g.link = &Link{Server: server, URL: url, Identity: id, TLS: w.tls, NetDial: g.dial, Logger: w.logger()}
	got, err := g.link.Enrol(w.t.Context(), EnrolOptions{Token: w.gateToken()})
	require.NoError(w.t, err)
	g.id = got.Gateway
	return g
}

// run starts the gateway's link.
func (g *gate) run() *gate {
	ctx, cancel := context.WithCancel(g.w.t.Context())
	g.cancel, g.done = cancel, make(chan struct{})
	go func() {
		defer close(g.done)
		g.err = g.link.Run(ctx)
	}()
	g.w.t.Cleanup(g.stop)
	return g
}

func (g *gate) stop() {
	g.cancel()
	<-g.done
}

// upGate enrols a gateway and waits until it is there.
func (w *world) upGate(url string) *gate {
	g := w.gate(url).run()
	synctest.Wait()
	require.True(w.t, g.link.Stats().Up, "%s is not up", url)
	return g
}

// ask asks about a call as the gateway's relay does.
func (g *gate) ask(c *relay.Call) (*relay.Permit, error) {
	c.Gateway = g.link.URL
	ctx, cancel := context.WithTimeout(g.w.t.Context(), 15*time.Second)
	defer cancel()
	return g.link.Orchestrate(ctx, c)
}

// crash ends the broker and its server as a dying process does, and outage starts
// another one on the same state after a while.
func (w *world) crash() {
	w.server.Close()
	w.broker.Close()
	w.serving.Wait()
}

func (w *world) restart() {
	w.broker = &Broker{Keys: w.broker.Keys, Directory: w.dir, Gateways: []string{gateway}, Logger: w.logger()}
	w.serve()
}

func TestLinkAsksTheBrokerOnBehalfOfItsRelay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		g := w.upGate(apart)
		require.Equal(t, 1, w.broker.Stats().Gateways)
		c := call(w.connect(alice(), "desktop"))
		p, err := g.ask(c)
		require.NoError(t, err)
		require.Equal(t, h.id, p.Host)
		require.NotEmpty(t, p.Grant)
		require.Equal(t, apart, h.summoned()[0].Gateway)
		require.Equal(t, c.Ticket, h.summoned()[0].Ticket)

		again, err := g.ask(c)
		require.NoError(t, err, "a call is decided once")
		require.Equal(t, p, again)
		_, err = g.ask(call(c.Token))
		requireCode(t, reachback.CodeTokenReplayed, err)

		trust := g.link.Trust()
		jwks, err := w.broker.JWKS(t.Context())
		require.NoError(t, err)
		got, err := json.Marshal(trust.Keys)
		require.NoError(t, err)
		require.JSONEq(t, string(jwks), string(got))
		require.True(t, w.broker.Trust().HostCA.Equal(trust.HostCA))

		conn, err := w.broker.Connect(t.Context(), alice(), "desktop", clientKey)
		require.NoError(t, err)
		require.Equal(t, []string{gateway, apart}, conn.Gateways)
		g.stop()
		synctest.Wait()
		conn, err = w.broker.Connect(t.Context(), alice(), "desktop", clientKey)
		require.NoError(t, err)
		require.Equal(t, []string{gateway}, conn.Gateways, "one that is down is named to nobody")
	})
}

func TestLinkReportsWhatItsRelaySaw(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops")
		g := w.upGate(apart)
		c := call(w.connect(alice(), "desktop"))
		p, err := g.ask(c)
		require.NoError(t, err)
		event := func(k relay.EventKind) relay.Event {
			return relay.Event{Kind: k, Time: time.Now(), Gateway: "https://liar.example", Call: c.ID, Session: p.Session, Host: p.Host, User: "liar"}
		}
		g.link.Report(event(relay.EventJoined))
		synctest.Wait()
		require.Equal(t, SessionActive, w.state(p.Session))
		g.link.Report(event(relay.EventEnded))
		synctest.Wait()
		require.Equal(t, SessionEnded, w.state(p.Session))
		require.Zero(t, g.link.Stats().Events)

		time.Sleep(2 * recordEvery)
		synctest.Wait()
		rows, err := w.dir.FindRecords(t.Context(), &RecordQuery{Session: p.Session, Step: StepJoined})
		require.NoError(t, err)
		rows = gatewayRows(rows)
		require.Len(t, rows, 1)
		require.Equal(t, apart, rows[0].Gateway, "whatever it says")
		require.Equal(t, "alice", rows[0].User)
	})
}

func gatewayRows(all []Record) (rows []Record) {
	for _, r := range all {
		if r.Party == partyGateway {
			rows = append(rows, r)
		}
	}
	return rows
}

// While the broker is away events wait, and none is lost by its restart.
func TestLinkKeepsEventsUntilTheyAreTaken(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		g := w.upGate(apart)
		c := call(w.connect(alice(), "desktop"))
		p, err := g.ask(c)
		require.NoError(t, err)
		h.lives(SessionReport{Session: p.Session, State: ReportActive})
		w.crash()
		e := relay.Event{Kind: relay.EventJoined, Call: c.ID, Session: p.Session, Host: p.Host}
		g.link.Report(e)
		for range 300 { // more than one report holds
			g.link.Report(relay.Event{Kind: relay.EventCalled, Call: c.ID, Tenant: "t", User: "u", Resource: "r", CorrelationID: "some-correlation-id"})
		}
		time.Sleep(5 * time.Second)
		require.Equal(t, 301, g.link.Stats().Events)
		require.Equal(t, SessionPending, w.state(p.Session))
		w.restart()
		time.Sleep(backoffMost)
		synctest.Wait()
		require.Zero(t, g.link.Stats().Events)

		// One that was on its way when the cable was pulled is sent again.
		g.conn().Freeze()
		g.link.Report(relay.Event{Kind: relay.EventEnded, Call: c.ID, Session: p.Session, Host: p.Host})
		synctest.Wait()
		require.Equal(t, 1, g.link.Stats().Events)
		require.Equal(t, SessionActive, w.state(p.Session))
		time.Sleep(DeadAfter + 2*time.Second)
		synctest.Wait()
		require.Zero(t, g.link.Stats().Events)
		require.Equal(t, SessionEnded, w.state(p.Session))

		g.link.Report(e)
		for range maxLinkEvents + 10 {
			g.link.Report(relay.Event{Kind: relay.EventCalled})
		}
		synctest.Wait()
		require.Zero(t, g.link.Stats().Events)
	})
}

func TestLinkDropsTheOldestEventWhenThereIsNoRoom(t *testing.T) {
	l := &Link{}
	for i := range maxLinkEvents + 5 {
		l.Report(relay.Event{Kind: relay.EventCalled, ToHost: int64(i)})
	}
	require.Equal(t, LinkStats{Events: maxLinkEvents, DroppedEvents: 5}, l.Stats())
	batch, upTo, _ := l.events.batch()
	require.Equal(t, int64(5), batch[0].ToHost)
	b, err := appendMessage(nil, &reportMessage{Events: batch})
	require.NoError(t, err)
	require.LessOrEqual(t, len(b), 4+MaxMessage)
	l.events.done(upTo)
	require.Equal(t, maxLinkEvents-len(batch), l.Stats().Events)
	l.Report(relay.Event{CorrelationID: string(make([]byte, MaxMessage))})
	for {
		batch, upTo, _ := l.events.batch()
		if len(batch) == 0 {
			break
		}
		l.events.done(upTo)
	}
	require.Equal(t, LinkStats{DroppedEvents: 6}, l.Stats(), "what no message holds stands in nobody's way")
}

func TestLinkRefusesFastWithoutABroker(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops")
		g := w.gate(apart)
		require.Nil(t, g.link.Trust().Keys)
		_, err := g.ask(call("token"))
		requireCode(t, reachback.CodeBrokerUnreachable, err, "it never had a broker")
		g.run()
		synctest.Wait()
		keys := g.link.Trust().Keys
		require.NotNil(t, keys)

		// A call right after the loss waits for the next channel.
		g.conn().Cut()
		synctest.Wait()
		require.False(t, g.link.Stats().Up)
		began := time.Now()
		_, err = g.ask(call(w.connect(alice(), "desktop")))
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(began), backWithin)

		token := w.connect(alice(), "desktop")
		w.crash()
		began = time.Now()
		_, err = g.ask(call(token))
		requireCode(t, reachback.CodeBrokerUnreachable, err)
		require.Equal(t, time.Second, time.Since(began), "as SPEC.md says")
		began = time.Now()
		_, err = g.ask(call(token))
		requireCode(t, reachback.CodeBrokerUnreachable, err)
		require.Zero(t, time.Since(began))
		require.Equal(t, keys, g.link.Trust().Keys, "it keeps what it knows")
	})
}

// A broker that goes down decides a call that it was asked about no more; the next
// one does.
func TestLinkAsksAgainOnTheNextChannel(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		g := w.upGate(apart)
		accept := make(chan struct{})
		h.answers(func(ctx context.Context, _ *Summon) error {
			select {
			case <-accept:
			case <-ctx.Done():
			}
			return nil
		})
		type outcome struct {
			p   *relay.Permit
			err error
		}
		done := make(chan outcome, 1)
		token := w.connect(alice(), "desktop")
		go func() {
			p, err := g.ask(call(token))
			done <- outcome{p, err}
		}()
		synctest.Wait()
		require.Len(t, h.summoned(), 1)
		g.conn().Cut()
		time.Sleep(backWithin)
		close(accept)
		got := <-done
		require.NoError(t, got.err)
		require.Equal(t, h.id, got.p.Host)
		require.Len(t, h.summoned(), 1, "the host was asked once")
	})
}
