package broker

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// A gateway that somebody has taken over says more than could happen, about users whom
// it makes up: it does not fill the records, and others' stay.
func TestAGatewayFillsNoRecords(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		good, bad := w.upGate(apart), w.upGate("https://bad.example")
		began := time.Now()
		const said = 3 * gatewayEvents
		for i := range said {
			u := "alice"
			if i%2 == 0 {
				u = fmt.Sprint("nobody", i)
			}
			bad.link.Report(relay.Event{Kind: relay.EventRefused, Call: fmt.Sprint("c", i), User: u, Code: reachback.CodeNoHost, Remote: netip.MustParseAddrPort("192.0.2.1:1")})
			if i%1000 == 999 {
				time.Sleep(100 * time.Millisecond) // more than that does not fit into its link
				synctest.Wait()
			}
		}
		time.Sleep(2 * recordEvery)
		synctest.Wait()
		require.Zero(t, bad.link.Stats().Events, "all were taken")
		s := w.broker.Stats()
		most := gatewayEvents + int64(time.Since(began).Seconds()*gatewayEventsPerSecond)
		require.LessOrEqual(t, s.RecordsWritten, most+100)
		require.GreaterOrEqual(t, s.DroppedEvents, said-most)
		require.Zero(t, s.RecordsDropped, "of others there would be some")

		_, err := good.ask(call(w.connect(alice(), "desktop")))
		requireCode(t, reachback.CodeNoHost, err)
		good.link.Report(relay.Event{Kind: relay.EventRefused, Call: "genuine", User: "alice", Code: reachback.CodeNoHost})
		found := w.why(RecordQuery{User: "alice", Code: "*", Limit: 2})
		require.Equal(t, []Step{StepCall, StepOrchestrate}, []Step{found[0].Step, found[1].Step})
		require.Equal(t, apart, found[0].Gateway)
	})
}

// What a later version of a gateway may say leaves nothing, however long it is.
func TestAnEventOfAnUnknownKindIsIgnored(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops")
		g := w.upGate(apart)
		c := call(w.connect(alice(), "desktop"))
		p, err := g.ask(c)
		require.NoError(t, err)
		g.link.Report(relay.Event{Kind: relay.EventKind("exploded\n" + strings.Repeat("x", 1000)), Call: c.ID, Session: p.Session, Host: p.Host})
		synctest.Wait()
		require.Zero(t, g.link.Stats().Events)
		require.NotContains(t, w.logs.String(), "exploded")
	})
}

// A gateway has a session, and says that ever other calls of it carry bytes.
func TestCallsOfASessionAreBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops")
		g := w.upGate(apart)
		p, err := g.ask(call(w.connect(alice(), "desktop")))
		require.NoError(t, err)
		for i := range 10 * MaxSessionCalls {
			g.link.Report(relay.Event{Kind: relay.EventJoined, Call: fmt.Sprint("c", i), Session: p.Session, Host: p.Host})
		}
		synctest.Wait()
		require.Equal(t, SessionActive, w.state(p.Session))
		w.dir.begin()
		calls := len(w.dir.sessions[p.Session].calls)
		w.dir.mu.Unlock()
		require.Equal(t, MaxSessionCalls, calls)
		for i := range MaxSessionCalls {
			g.link.Report(relay.Event{Kind: relay.EventEnded, Call: fmt.Sprint("c", i), Session: p.Session, Host: p.Host})
		}
		synctest.Wait()
		require.Equal(t, SessionEnded, w.state(p.Session))
	})
}

func TestRenewalsAreFew(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g := w.upGate(apart)
		csr, err := g.link.Identity.csr()
		require.NoError(t, err)
		for range repeatBurst {
			_, err := w.broker.renewFor(RoleGateway, g.id, Thumbprint(mustThumbprint(t, g.link.Identity)), csr)
			require.NoError(t, err)
		}
		_, err = w.broker.renewFor(RoleGateway, g.id, Thumbprint(mustThumbprint(t, g.link.Identity)), csr)
		requireCode(t, reachback.CodeRateLimited, err)
	})
}

func mustThumbprint(t testing.TB, i *Identity) [32]byte {
	key, err := thumbprint(&i.key.PublicKey)
	require.NoError(t, err)
	return key
}

// hasty revokes whoever is attached, before his broker has heard that he is.
type hasty struct {
	*MemoryDirectory
	revoke func(id string)
}

func (h *hasty) Attach(ctx context.Context, id string) (*Attachment, error) {
	a, err := h.MemoryDirectory.Attach(ctx, id)
	h.revoke(id)
	return a, err
}

func (h *hasty) AttachGateway(ctx context.Context, id string) (*GatewayAttachment, error) {
	a, err := h.MemoryDirectory.AttachGateway(ctx, id)
	h.revoke(id)
	return a, err
}

func TestARevocationDuringTheWelcomeEndsTheChannel(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := &hasty{MemoryDirectory: w.dir}
		w.broker.Directory = d
		h, g := w.enrol("pc1", "desktops"), w.gate(apart)
		d.revoke = func(id string) {
			if id == g.id {
				require.NoError(t, w.broker.RevokeGateway(t.Context(), id))
			} else {
				require.NoError(t, w.broker.RevokeHost(t.Context(), id))
			}
			time.Sleep(time.Millisecond) // in which everything is done that follows from it
		}
		h.run()
		g.run()
		time.Sleep(2 * pollKills)
		synctest.Wait()
		require.Zero(t, w.broker.Stats().Channels)
		require.Zero(t, w.broker.Stats().Gateways)
		for _, done := range []chan struct{}{h.done, g.done} {
			select {
			case <-done:
			default:
				require.Fail(t, "the channel still stands")
			}
		}
		requireCode(t, reachback.CodeHostRevoked, h.err)
		requireCode(t, reachback.CodeGatewayRevoked, g.err)
	})
}
