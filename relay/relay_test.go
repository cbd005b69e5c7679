package relay

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/simnet"
	"github.com/reachback/reachback/internal/token"
)

func TestPairIsJoined(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		client, host := w.pair("alice")
		require.Equal(t, "signed.grant", client.Grant)
		require.Empty(t, host.Grant, "the grant is the client's")
		require.Equal(t, "cid-of-alice", client.CorrelationID)
		require.Equal(t, "cid-of-alice", host.CorrelationID)

		requireCarries(t, client, host, "to the host")
		requireCarries(t, host, client, "to the client")
		s := w.relay.Stats()
		require.Equal(t, 1, s.Joined)
		require.Zero(t, s.Waiting)
		require.EqualValues(t, len("to the host"), s.ToHost)

		// The end of one direction is not the end of the other.
		require.NoError(t, client.CloseWrite())
		_, err := host.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		requireCarries(t, host, client, "still")
		require.NoError(t, host.Close())
		_, err = client.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)

		synctest.Wait()
		events := w.reported()
		require.Len(t, events, 4)
		for i, kind := range []EventKind{EventCalled, EventAnswered, EventJoined, EventEnded} {
			e := events[i]
			require.Equal(t, kind, e.Kind)
			require.Equal(t, []string{gateway, events[0].Call, "alice", "acme", "desktop", "cid-of-alice"},
				[]string{e.Gateway, e.Call, e.User, e.Tenant, e.Resource, e.CorrelationID})
			require.True(t, e.Remote.IsValid())
			require.WithinDuration(t, time.Now(), e.Time, time.Second)
		}
		require.Empty(t, events[0].Session, "it is not permitted yet")
		require.Equal(t, "session-of-"+events[0].Call, events[1].Session)
		ended := events[3]
		require.Equal(t, reachback.CodeClosed, ended.Code)
		require.EqualValues(t, len("to the host"), ended.ToHost)
		require.EqualValues(t, len("to the client")+len("still"), ended.ToClient)
		require.Equal(t, "host-1", ended.Host)
		require.Equal(t, "cid-of-alice", ended.CorrelationID)
		require.Equal(t, map[reachback.Code]int64{reachback.CodeClosed: 1}, w.relay.Stats().Ended)
	})
}

func TestAnswerMayComeBeforeThePermit(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		permit := make(chan struct{})
		w.decide = func(ctx context.Context, c *Call) (*Permit, error) {
			w.summons <- c
			<-permit
			return &Permit{Session: "s", Host: "host-1"}, nil
		}
		called := w.call("alice")
		answered := w.answer(<-w.summons, w.host("host-1"))
		synctest.Wait()
		close(permit)
		requireCarries(t, must(t, called), must(t, answered), "hello")
	})
}

func TestRefusalOfTheOrchestratorReachesTheClient(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.decide = func(context.Context, *Call) (*Permit, error) { return nil, reachback.Refuse(reachback.CodeNoHost) }
		err := (<-w.call("alice")).err
		requireCode(t, reachback.CodeNoHost, err)
		require.Equal(t, "cid-of-alice", reachback.AsError(err).CorrelationID)
		events := w.reported()
		require.Len(t, events, 2)
		require.Equal(t, EventCalled, events[0].Kind)
		require.Equal(t, EventRefused, events[1].Kind)
		require.Equal(t, reachback.CodeNoHost, events[1].Code)
		require.Zero(t, w.relay.Stats().Waiting)

		w.decide = func(context.Context, *Call) (*Permit, error) { return nil, io.ErrUnexpectedEOF }
		requireCode(t, reachback.CodeInternal, (<-w.call("alice")).err)
		require.Contains(t, w.logs.String(), io.ErrUnexpectedEOF.Error(), "our own fault is for the log")
	})
}

func TestClientThatLeavesIsNoticedWhileItWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, leave := context.WithCancel(t.Context())
		permitted := make(chan struct{})
		w.decide = func(ctx context.Context, c *Call) (*Permit, error) {
			w.summons <- c
			<-permitted
			return &Permit{Session: "s", Host: "host-2"}, nil
		}
		go w.dialer().Call(ctx, gateway, w.token("alice"), nonce)
		answered := w.answer(<-w.summons, w.host("host-1"))
		synctest.Wait()
		leave()
		synctest.Wait()
		requireCode(t, reachback.CodeClientLost, (<-answered).err)
		close(permitted)
		synctest.Wait()
		require.Zero(t, w.relay.Stats().Waiting)
		events := w.reported(EventFailed, EventRefused)
		require.Len(t, events, 1, "the orchestrator is told that its permit was for nothing")
		require.Equal(t, EventFailed, events[0].Kind)
		require.Equal(t, reachback.CodeClientLost, events[0].Code)
	})
}

func TestHostThatLeavesWhileParkedMakesRoom(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		permit := make(chan struct{})
		w.decide = func(ctx context.Context, c *Call) (*Permit, error) {
			w.summons <- c
			<-permit
			return &Permit{Session: "s", Host: "host-1"}, nil
		}
		called := w.call("alice")
		c := <-w.summons
		cert := w.host("host-1")
		for range 10 * maxAnswers {
			ctx, leave := context.WithCancel(t.Context())
			go w.dialer().Answer(ctx, gateway, c.ID, c.Ticket, cert)
			synctest.Wait()
			leave()
			synctest.Wait()
		}
		answered := w.answer(c, cert)
		synctest.Wait()
		close(permit)
		requireCarries(t, must(t, called), must(t, answered), "hello")
	})
}

func TestAnswersThatWaitAreBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		permit := make(chan struct{})
		w.decide = func(ctx context.Context, c *Call) (*Permit, error) {
			w.summons <- c
			<-permit
			return &Permit{Session: "s", Host: "host-1"}, nil
		}
		called := w.call("alice")
		c := <-w.summons
		var others []<-chan outcome
		for i := range maxAnswers - 1 {
			others = append(others, w.answer(c, w.host(fmt.Sprint("other-", i))))
			synctest.Wait()
			requireCode(t, reachback.CodeTooManyWaiting, (<-w.answer(c, w.host("other-0"))).err) // each host once
		}
		answered := w.answer(c, w.host("host-1"))
		synctest.Wait()
		requireCode(t, reachback.CodeTooManyWaiting, (<-w.answer(c, w.host("host-2"))).err)
		close(permit)
		requireCarries(t, must(t, called), must(t, answered), "hello")
		for _, o := range others {
			requireCode(t, reachback.CodeWrongHost, (<-o).err)
		}
	})
}

// pendingLeg opens a call as a front door of another protocol does.
func (w *world) open(ctx context.Context) (*Pending, <-chan outcome, error) {
	c := &Call{Token: w.token("alice", func(c *token.Connection) { c.ClientKey = [32]byte{} }), Raw: true, Remote: netip.MustParseAddrPort("192.0.2.1:5000")}
	answered := make(chan outcome, 1)
	go func() {
		leg, err := w.dialer().Answer(w.t.Context(), gateway, (<-w.summons).ID, c.Ticket, w.host("host-1"))
		answered <- outcome{leg, err}
	}()
	p, err := w.relay.Open(ctx, c)
	return p, answered, err
}

func TestOpenAndSplice(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		p, answered, err := w.open(ctx)
		require.NoError(t, err)
		cancel() // it bounds Open only
		client, end := simnet.Pipe("192.0.2.1:5000", "gw.example:443")
		spliced := make(chan error, 1)
		go func() { spliced <- p.Splice(end) }()
		host := must(t, answered)
		requireCarries(t, client, host, "raw RDP")
		require.NoError(t, host.Close())
		_, err = client.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, client.Close())
		require.NoError(t, <-spliced)
		p.Close(reachback.CodeKilled)
		require.Len(t, w.reported(EventJoined, EventEnded, EventFailed), 2, "Close after Splice does nothing")
	})
}

func TestPendingThatIsClosedOrForgottenFreesTheHost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p, answered, err := w.open(t.Context())
		require.NoError(t, err)
		p.Close(reachback.CodeClientLost)
		requireCode(t, reachback.CodeClientLost, (<-answered).err)

		start := time.Now()
		p, answered, err = w.open(t.Context())
		require.NoError(t, err)
		requireCode(t, reachback.CodeTicketInvalid, (<-answered).err)
		require.Equal(t, 15*time.Second, time.Since(start))
		client, end := simnet.Pipe("192.0.2.1:5000", "gw.example:443")
		requireCode(t, reachback.CodeHostTimeout, p.Splice(end))
		_, err = client.Read(make([]byte, 1))
		require.Error(t, err, "the client's leg is closed")
		require.Zero(t, w.relay.Stats().Waiting)
	})
}

func TestDisconnectEndsTheSessionsLegs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		client, host := w.pair("alice")
		synctest.Wait() // the report comes after both 101s
		session := w.reported(EventJoined)[0].Session
		other, otherHost := w.pair("bob")
		require.Equal(t, 1, w.relay.Disconnect(session, reachback.CodeKilled))
		for _, leg := range []*Leg{client, host} {
			_, err := leg.Read(make([]byte, 1))
			require.Error(t, err)
			require.NotErrorIs(t, err, io.EOF, "a cut is no regular end")
		}
		synctest.Wait()
		require.Zero(t, w.relay.Disconnect(session, reachback.CodeKilled))
		require.Equal(t, map[reachback.Code]int64{reachback.CodeKilled: 1}, w.relay.Stats().Ended)
		requireCarries(t, other, otherHost, "undisturbed")
	})
}

func TestPeerThatWasKilledIsNoRegularEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		want reachback.Code
	}{{"client", reachback.CodeClientLost}, {"host", reachback.CodeHostLost}} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				dies, lives := w.pair("alice")
				if tt.name == "host" {
					dies, lives = lives, dies
				}
				require.NoError(t, dies.conn.NetConn().Close()) // what a kernel does for a process that is gone
				_, err := lives.Read(make([]byte, 1))
				require.Error(t, err)
				require.NotErrorIs(t, err, io.EOF)
				synctest.Wait()
				require.Equal(t, map[reachback.Code]int64{tt.want: 1}, w.relay.Stats().Ended)
			})
		})
	}
}

func TestShutdownWaitsForPairsAndRefusesNewCalls(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		client, host := w.pair("alice")
		waits := w.call("bob")
		<-w.summons
		synctest.Wait()
		down := make(chan error, 1)
		go func() { down <- w.relay.Shutdown(t.Context()) }()
		requireCode(t, reachback.CodeDraining, (<-waits).err)
		requireCode(t, reachback.CodeDraining, (<-w.call("carol")).err)
		require.Equal(t, reachback.CodeDraining, w.ask(nil, "GET /reachback/v1/health HTTP/1.1", "Host: gw.example"))
		requireCarries(t, client, host, "still here")
		synctest.Wait()
		require.Empty(t, down)
		require.NoError(t, client.Close())
		require.NoError(t, host.Close())
		require.NoError(t, <-down)
		require.NoError(t, w.relay.Shutdown(t.Context()))
	})
}

func TestShutdownCutsWhatOutlivesItsContext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		client, _ := w.pair("alice")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, w.relay.Shutdown(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
		_, err := client.Read(make([]byte, 1))
		require.Error(t, err)
		require.Equal(t, map[reachback.Code]int64{reachback.CodeDraining: 1}, w.relay.Stats().Ended)
	})
}

func TestCloseOfAnUnusedRelay(t *testing.T) {
	r := &Relay{}
	require.NoError(t, r.Close())
	require.NoError(t, r.Shutdown(t.Context()))
	require.Zero(t, r.Disconnect("s", reachback.CodeKilled))
	_, err := r.Open(t.Context(), &Call{})
	requireCode(t, reachback.CodeInternal, err)
}

func TestOnlyGenuineTokensMakeEvents(t *testing.T) {
	for _, tt := range []struct {
		name  string
		token func(w *world) string
		nonce string
		code  reachback.Code
		told  bool
	}{
		{"expired", func(w *world) string {
			tok := w.token("alice")
			time.Sleep(token.ConnectionLife + token.Leeway + time.Second)
			return tok
		}, nonce, reachback.CodeTokenExpired, true},
		{"in another mode", func(w *world) string {
			return w.token("alice", func(c *token.Connection) { c.ClientKey = [32]byte{} })
		}, nonce, reachback.CodeBadRequest, true},
		{"no token", func(*world) string { return "" }, nonce, reachback.CodeTokenMissing, false},
		{"cut", func(w *world) string { return w.token("alice") + "!" }, nonce, reachback.CodeTokenInvalid, false},
		{"expired and cut", func(w *world) string {
			tok := w.token("alice")
			time.Sleep(time.Hour)
			return tok[:len(tok)-8]
		}, nonce, reachback.CodeTokenInvalid, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				tok := tt.token(w)
				_, err := w.relay.Open(t.Context(), &Call{Token: tok, Nonce: tt.nonce, Remote: netip.MustParseAddrPort("192.0.2.1:5000")})
				requireCode(t, tt.code, err)
				events := w.reported()
				if !tt.told {
					require.Empty(t, events)
					return
				}
				require.Len(t, events, 1)
				require.Equal(t, EventRefused, events[0].Kind)
				require.Equal(t, tt.code, events[0].Code)
				require.Equal(t, "alice", events[0].User)
				require.Equal(t, "cid-of-alice", events[0].CorrelationID)
				require.Equal(t, "cid-of-alice", reachback.AsError(err).CorrelationID)
			})
		})
	}
}
