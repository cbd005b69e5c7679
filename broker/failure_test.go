package broker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
)

func TestA5_ATokenThatEndsDuringItsSessionDoesNotEndIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		last := token.ConnectionLife + token.Leeway
		late, tooLate := w.connect(alice(), "desktop"), w.connect(user("bob"), "desktop")
		time.Sleep(last)
		p, err := w.orchestrate(call(late))
		require.NoError(t, err, "to the second")
		w.broker.Report(relay.Event{Kind: relay.EventJoined, Call: "c", Session: p.Session, Host: p.Host})
		time.Sleep(time.Second)
		_, err = w.orchestrate(call(tooLate))
		requireCode(t, reachback.CodeTokenExpired, err)
		time.Sleep(24 * time.Hour)
		require.Equal(t, SessionActive, w.state(p.Session))
		require.Empty(t, h.ended(p.Session))
	})
}

func TestB12_InDrainOnlyThoseReturnWhoHaveAUserSession(t *testing.T) {
	for _, tt := range []struct {
		name  string
		drain func(w *world, h *host, on bool)
	}{
		{"the operator's", func(w *world, h *host, on bool) { require.NoError(w.t, w.broker.SetDrain(w.t.Context(), h.id, on)) }},
		{"the host's own", func(w *world, h *host, on bool) { h.agent.Drain(on); synctest.Wait() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				h := w.up("pc1", "desktops")
				c, p := w.joined(alice(), "desktop")
				tt.drain(w, h, true)
				w.broker.Report(relay.Event{Kind: relay.EventEnded, Call: c.ID, Session: p.Session, Host: h.id})
				synctest.Wait()

				_, again := w.joined(alice(), "desktop")
				require.Equal(t, h.id, again.Host)
				_, err := w.orchestrate(call(w.connect(user("bob"), "desktop")))
				requireCode(t, reachback.CodeNoHost, err)

				tt.drain(w, h, false)
				_, err = w.orchestrate(call(w.connect(user("bob"), "desktop")))
				require.NoError(t, err)
			})
		})
	}
}

func TestG12_UsersOfADeadHostArePlacedElsewhereAndItsSlotsComeBackOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		names := []string{"u0", "u1", "u2", "u3"}
		dead := w.up("a-dies", "desktops")
		sessions := make(map[string]string)
		for _, u := range names {
			_, p := w.joined(user(u), "desktop")
			require.Equal(t, dead.id, p.Host)
			sessions[u] = p.Session
		}
		dead.stop()
		spare := w.up("b-lives", "desktops")
		for _, u := range names {
			_, p := w.joined(user(u), "desktop")
			require.Equal(t, spare.id, p.Host, "he does not wait for the dead")
		}
		require.Equal(t, 4, w.desktops(dead.id), "they may still be there")
		time.Sleep(AbsentFor)
		require.Zero(t, w.desktops(dead.id))

		// It was cut off, and all its sessions go on: they count again, once each.
		var live []SessionReport
		for _, s := range sessions {
			live = append(live, SessionReport{Session: s, State: ReportActive})
		}
		dead.lives(live...)
		dead.run()
		synctest.Wait()
		require.Equal(t, 4, w.desktops(dead.id))
		for _, s := range sessions {
			dead.agent.Report(SessionReport{Session: s, State: ReportEnded})
			dead.agent.Report(SessionReport{Session: s, State: ReportEnded})
		}
		time.Sleep(DefaultLinger + time.Second)
		synctest.Wait()
		require.Zero(t, w.desktops(dead.id))
		for i := range 5 { // four places, not eight and not three
			_, err := w.orchestrate(call(w.connect(user(string(rune('v'+i))), "desktop")))
			if i < 4 {
				require.NoError(t, err)
			} else {
				requireCode(t, reachback.CodeHostsFull, err)
			}
		}
	})
}

// A gateway that dies between the permit and the join says nothing any more, and so
// may the host.
func TestAGrantThatNobodyUsesIsGivenBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		p, err := w.orchestrate(call(w.connect(alice(), "desktop")))
		require.NoError(t, err)
		time.Sleep(JoinWithin - time.Millisecond)
		require.Equal(t, 1, w.desktops(h.id))
		time.Sleep(time.Millisecond)
		require.Zero(t, w.desktops(h.id))
		require.Equal(t, SessionEnded, w.state(p.Session))
	})
}

// Wall clocks are set, monotonic ones are not. Times that the broker waits for have a
// monotonic part, by which the standard library then goes, so that no jump counts.
func TestF7_DeadlinesGoByTheMonotonicClockAndTokensByTheWall(t *testing.T) {
	d := decisions{byCall: make(map[string]*decision)}
	d.keep(&decision{call: "c"}, time.Now())
	var told sparse
	told.first("k", time.Now())
	var r redial
	(&agentChannel{redial: &r, welcomed: true}).handle(&restartingMessage{ReconnectInMS: 1000, TryForMS: 1000})
	dir := &MemoryDirectory{}
	dir.begin()
	dir.mu.Unlock()
	dir.hosts["h"] = &hostState{id: "h", up: true, epoch: 1}
	require.NoError(t, dir.Detach(t.Context(), "h", 1))
	for what, at := range map[string]time.Time{
		"a decision":                      d.made[0].at,
		"what was recorded lately":        told.seen["k"],
		"when a broker wants to be asked": r.notUntil,
		"when a host is lost":             dir.hosts["h"].lost.at,
	} {
		require.Contains(t, at.String(), " m=", what)
	}

	// Tokens follow wall time.
	keys := newWorldKeys(t)
	now := time.Now()
	kid, key := keys.signer(now)
	tok, err := token.SignConnection(kid, key, &token.Connection{ID: "1", User: *alice(), Resource: "desktop", ClientKey: clientKey}, now)
	require.NoError(t, err)
	_, err = token.VerifyConnection(keys.set(now), tok, now.Round(0).Add(time.Hour))
	requireCode(t, reachback.CodeTokenExpired, err)
	_, err = token.VerifyConnection(keys.set(now), tok, now.Round(0).Add(-time.Hour))
	requireCode(t, reachback.CodeTokenNotYetValid, err)
}

func TestACallThatWaitsForNothingIsBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} { // more than fit in the time
			w.up(name, "desktops").answers(func(ctx context.Context, _ *Summon) error {
				<-ctx.Done()
				time.Sleep(time.Second)
				return nil
			})
		}
		began := time.Now()
		_, err := w.broker.Orchestrate(t.Context(), call(w.connect(alice(), "desktop")))
		requireCode(t, reachback.CodeHostTimeout, err)
		require.Equal(t, callWithin, time.Since(began), "though its relay set no bound")
	})
}

func TestAnAgentGivesUpAnAttemptThatStandsStill(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.enrol("pc1", "desktops")
		w.server.Close() // and what listens then accepts nobody
		w.serving.Wait()
		l, err := w.net.Listen("broker.example:443")
		require.NoError(t, err)
		defer l.Close()
		h.run()
		time.Sleep(attemptWithin - time.Millisecond)
		require.NotContains(t, w.logs.String(), "control channel lost")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.Contains(t, w.logs.String(), "control channel lost")
	})
}
