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
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
)

// beside is a relay in the broker's process.
func (w *world) beside() *relay.Relay {
	r := &relay.Relay{Orchestrator: w.broker, URL: gateway, Logger: w.logger()}
	w.t.Cleanup(func() { r.Close() })
	return r
}

// open calls at a relay as a client does, and returns how it was refused.
func open(t *testing.T, r *relay.Relay, tok string, raw bool) *reachback.Error {
	c := &relay.Call{Token: tok, Nonce: nonce, Remote: netip.MustParseAddrPort("192.0.2.1:50000"), Raw: raw}
	if raw {
		c.Nonce = ""
	}
	p, err := r.Open(t.Context(), c)
	if err == nil {
		p.Close(reachback.CodeClosed)
		return nil
	}
	return reachback.AsError(err)
}

// why are the records of a query once everything is written.
func (w *world) why(q RecordQuery) []Record {
	w.t.Helper()
	time.Sleep(2 * recordEvery)
	synctest.Wait()
	got, err := w.dir.FindRecords(w.t.Context(), &q)
	require.NoError(w.t, err)
	return got
}

// TestOneQueryTellsWhyAUserCouldNotConnect asks the question that records are kept
// for, by what the user has: his name, or the correlation id on his screen.
func TestOneQueryTellsWhyAUserCouldNotConnect(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func(t *testing.T, w *world, r *relay.Relay) *reachback.Error
		code reachback.Code
		// What the newest record about the correlation id is, and what else has
		// the code.
		step Step
		by   string
		also []Step
	}{
		{"the token expired before it came to the gateway", func(t *testing.T, w *world, r *relay.Relay) *reachback.Error {
			w.up("pc1", "desktops")
			tok := w.connect(alice(), "desktop")
			time.Sleep(token.ConnectionLife + token.Leeway + time.Second)
			return open(t, r, tok, false)
		}, reachback.CodeTokenExpired, StepCall, partyGateway, nil},
		{"no host is up", func(t *testing.T, w *world, r *relay.Relay) *reachback.Error {
			return open(t, r, w.connect(alice(), "desktop"), false)
		}, reachback.CodeNoHost, StepCall, partyGateway, []Step{StepOrchestrate}},
		{"the RDP server beside the only host is down", func(t *testing.T, w *world, r *relay.Relay) *reachback.Error {
			w.up("pc1", "desktops").answers(func(context.Context, *Summon) error {
				return fmt.Errorf("dial: %w", reachback.Refuse(reachback.CodeTargetUnavailable))
			})
			return open(t, r, w.connect(alice(), "desktop"), false)
		}, reachback.CodeTargetUnavailable, StepCall, partyGateway, []Step{StepOrchestrate, StepSummon}},
		{"the host accepts and never comes", func(t *testing.T, w *world, r *relay.Relay) *reachback.Error {
			w.up("pc1", "desktops")
			return open(t, r, w.connect(alice(), "desktop"), false)
		}, reachback.CodeHostTimeout, StepJoined, partyGateway, nil},
		{"it is not assigned", func(t *testing.T, w *world, r *relay.Relay) *reachback.Error {
			_, err := w.broker.Connect(t.Context(), alice(), "secret", clientKey)
			return reachback.AsError(err)
		}, reachback.CodeNotAssigned, StepConnect, partyBroker, nil},
		{"it was assigned when the token was issued", func(t *testing.T, w *world, r *relay.Relay) *reachback.Error {
			w.up("pc1", "desktops")
			tok := w.connect(alice(), "desktop")
			seed, err := ParseSeed([]byte(strings.Replace(seedText, `"user:alice", "group:staff"`, `"user:bob"`, 1)))
			require.NoError(t, err)
			require.NoError(t, w.dir.Apply(t.Context(), seed))
			return open(t, r, tok, false)
		}, reachback.CodeNotAssigned, StepCall, partyGateway, []Step{StepOrchestrate}},
		{"an operator killed his session", func(t *testing.T, w *world, r *relay.Relay) *reachback.Error {
			w.up("pc1", "open")
			tok := w.connectRaw(alice(), "stock")
			p, err := w.orchestrate(rawCall(tok, "192.0.2.1:50000"))
			require.NoError(t, err)
			require.NoError(t, w.broker.Kill(ByOperator(t.Context(), "olga"), p.Session))
			return open(t, r, tok, true)
		}, reachback.CodeKilled, StepCall, partyGateway, []Step{StepOrchestrate}},
		{"his client is a stock one and the pool admits none", func(t *testing.T, w *world, r *relay.Relay) *reachback.Error {
			_, err := w.broker.Connect(t.Context(), alice(), "desktop", [32]byte{})
			return reachback.AsError(err)
		}, reachback.CodeRawNotAllowed, StepConnect, partyBroker, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				refused := tt.fail(t, w, w.beside())
				require.NotNil(t, refused)
				require.NotEmpty(t, refused.CorrelationID, "the user has something to tell the operator")

				for _, q := range []RecordQuery{{CorrelationID: refused.CorrelationID}, {User: "alice", Code: tt.code}} {
					got := w.why(q)
					require.NotEmpty(t, got)
					last := got[0]
					require.Equal(t, tt.step, last.Step)
					require.Equal(t, tt.by, last.Party)
					require.Equal(t, tt.code, last.Code)
					require.Equal(t, "alice", last.User)
					require.Equal(t, refused.CorrelationID, last.CorrelationID)
					for _, step := range tt.also {
						require.Contains(t, steps(got, tt.code), step)
					}
				}
			})
		})
	}
}

// steps are those of the records with the code.
func steps(records []Record, c reachback.Code) (steps []Step) {
	for _, r := range records {
		if r.Code == c {
			steps = append(steps, r.Step)
		}
	}
	return steps
}

func TestARecordOfEveryStep(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		_, err := w.broker.Resources(t.Context(), alice())
		require.NoError(t, err)
		conn, err := w.broker.Connect(t.Context(), alice(), "desktop", clientKey)
		require.NoError(t, err)
		c := call(conn.Token)
		p, err := w.orchestrate(c)
		require.NoError(t, err)
		e := relay.Event{
			Call: c.ID, Session: p.Session, Host: p.Host, Gateway: gateway, User: "alice", Resource: "desktop",
			CorrelationID: conn.CorrelationID, Remote: c.Remote, Time: time.Now(),
		}
		for _, kind := range []relay.EventKind{relay.EventCalled, relay.EventAnswered, relay.EventJoined} {
			e.Kind = kind
			w.broker.Report(e)
		}
		h.agent.Report(SessionReport{Session: p.Session, State: ReportActive})
		synctest.Wait()
		h.agent.Report(SessionReport{Session: p.Session, State: ReportEnded, Code: reachback.CodeClosed})
		time.Sleep(time.Second)
		e.Kind, e.Code, e.ToHost, e.ToClient = relay.EventEnded, reachback.CodeClosed, 12, 34
		e.Time = time.Now().Add(-time.Hour)
		w.broker.Report(e)

		var got []string
		for _, r := range w.why(RecordQuery{CorrelationID: conn.CorrelationID}) {
			require.Equal(t, "alice", r.User)
			require.Equal(t, "desktop", r.Resource)
			if r.Step != StepConnect && r.Step != StepCall {
				require.Equal(t, h.id, r.Host)
				require.Equal(t, p.Session, r.Session)
			}
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Party, r.Step, r.Code)))
		}
		require.ElementsMatch(t, []string{
			"broker connect", "gateway call", "broker summon", "broker orchestrate", "gateway answer", "gateway joined",
			"host joined", "host end closed", "gateway end closed",
		}, got)
		ends := w.why(RecordQuery{Step: StepEnd})
		require.Equal(t, "12 bytes to the host, 34 to the client; the gateway's time was "+e.Time.UTC().Format(time.RFC3339), ends[0].Detail)
		require.Len(t, w.why(RecordQuery{User: "alice", Step: StepFeed}), 1)

		h.stop()
		channel := w.why(RecordQuery{Host: h.id, Step: StepChannel})
		require.Len(t, channel, 2)
		require.Equal(t, reachback.CodeClosed, channel[0].Code)
		require.Contains(t, channel[1].Detail, "connected as pc1")
		require.NotContains(t, fmt.Sprint(w.why(RecordQuery{})), conn.Token)
		require.NotContains(t, fmt.Sprint(w.why(RecordQuery{})), ticketText(c.Ticket))
	})
}

func TestOnlyGenuineTokensAreRecorded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		tok := w.connect(alice(), "desktop")
		time.Sleep(token.ConnectionLife + token.Leeway + time.Second)
		// From a gateway that does not look, or whose clock is wrong.
		_, err := w.orchestrate(call(tok))
		requireCode(t, reachback.CodeTokenExpired, err)
		got := w.why(RecordQuery{Step: StepOrchestrate})
		require.Len(t, got, 1)
		require.Equal(t, "alice", got[0].User)
		require.Equal(t, reachback.CodeTokenExpired, got[0].Code)

		for _, forged := range []string{"", "x.y.z", tok[:len(tok)-8], tok + "AAAA"} {
			_, err := w.orchestrate(call(forged))
			require.Error(t, err)
		}
		require.Len(t, w.why(RecordQuery{Step: StepOrchestrate}), 1, "or anybody could fill the record")
	})
}

func TestEnrolmentsAreRecordedAndGuessesAreNot(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.enrol("pc1", "desktops")
		got := w.why(RecordQuery{Step: StepEnrol})
		require.Len(t, got, 1)
		require.Equal(t, h.id, got[0].Host)
		require.Empty(t, got[0].Code)
		require.Contains(t, got[0].Detail, "asked for the name pc1")

		tok, _, err := w.broker.NewRegistrationToken(t.Context(), TokenOptions{Pool: "desktops", Life: time.Hour, Uses: 1})
		require.NoError(t, err)
		enrol := func(tok string) error {
			id, err := NewIdentity()
			require.NoError(t, err)
			_, err = w.host(id).agent.Enrol(t.Context(), EnrolOptions{Token: tok, Name: "pc1"})
			return err
		}
		require.NoError(t, enrol(tok))
		requireCode(t, reachback.CodeRegistrationUsedUp, enrol(tok))
		requireCode(t, reachback.CodeRegistrationInvalid, enrol(tok+"x"))
		got = w.why(RecordQuery{Step: StepEnrol})
		require.Len(t, got, 3)
		require.Equal(t, reachback.CodeRegistrationUsedUp, got[0].Code)
		require.Equal(t, reachback.CodeNameTaken, got[1].Code)
		_, secret, _ := strings.Cut(strings.TrimPrefix(tok, registrationPrefix), "_")
		require.NotContains(t, fmt.Sprint(got), secret)
	})
}

func TestAFloodOfRefusalsIsNoFloodOfRecords(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops")
		tok := w.connect(alice(), "desktop")
		for range 1000 {
			w.orchestrate(call(tok)) // spent after the first
			w.broker.Connect(t.Context(), alice(), "desktop", clientKey)
			w.broker.Resources(t.Context(), alice())
		}
		require.LessOrEqual(t, len(w.why(RecordQuery{User: "alice", Step: StepOrchestrate})), repeatBurst+1)
		require.LessOrEqual(t, len(w.why(RecordQuery{User: "alice", Step: StepConnect})), connectBurst+1)
		require.Len(t, w.why(RecordQuery{User: "alice", Step: StepConnect, Code: reachback.CodeRateLimited}), 1)
		require.Len(t, w.why(RecordQuery{User: "alice", Step: StepFeed}), 1)

		// Another user's records do not suffer.
		_, err := w.orchestrate(call(w.connect(user("bob"), "desktop")))
		require.NoError(t, err)
		require.Len(t, w.why(RecordQuery{User: "bob", Step: StepOrchestrate}), 1)
		require.Zero(t, w.broker.Stats().RecordsDropped)
	})
}

// Where no host will do, the record says what is the matter with those that there are.
func TestTheRecordSaysWhatIsTheMatterWithTheHosts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.beside()
		detail := func() string {
			refused := open(t, r, w.connect(alice(), "desktop"), false)
			require.NotNil(t, refused)
			got := w.why(RecordQuery{CorrelationID: refused.CorrelationID, Step: StepOrchestrate})
			require.Len(t, got, 1)
			return got[0].Detail
		}
		require.Equal(t, "pool desktops: no host is enrolled", detail())
		one, two, three := w.up("pc1", "desktops"), w.up("pc2", "desktops"), w.up("pc3", "desktops")
		require.NoError(t, w.broker.SetDrain(t.Context(), one.id, true))
		require.NoError(t, w.broker.SetDrain(t.Context(), two.id, true))
		three.stop()
		synctest.Wait()
		require.Equal(t, "pool desktops: 2 in drain, 1 not connected", detail())
	})
}
