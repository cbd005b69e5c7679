package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

func TestBothEndsKnowTheSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.listen(w.config())
		c, h := w.pair(l)
		require.Equal(t, c.Grant(), h.Grant())
		g := c.Grant()
		require.Equal(t, "alice", g.User)
		require.Equal(t, "desktop", g.Resource)
		require.Equal(t, l.Addr().String(), g.Host)
		require.Equal(t, l.Welcome().Host, g.Host)
		for _, end := range []*Conn{c, h} {
			require.Equal(t, gateway, end.Gateway())
			require.Equal(t, "relay", end.Path())
			require.False(t, end.Raw())
			require.Equal(t, "gw.example:443", end.RemoteAddr().String())
			require.NoError(t, end.Err())
		}
		_, err := c.Write([]byte("question"))
		require.NoError(t, err)
		require.NoError(t, c.CloseWrite())
		require.Equal(t, "question", readAll(t, h))
		_, err = h.Write([]byte("answer"))
		require.NoError(t, err)
		require.NoError(t, h.Close())
		require.Equal(t, "answer", readAll(t, c))
		require.NoError(t, c.Close())
		requireCode(t, reachback.CodeClosed, c.Err())
		requireCode(t, reachback.CodeClosed, h.Err())
		require.EqualValues(t, 8, c.Stats().BytesOut)
		require.EqualValues(t, 6, c.Stats().BytesIn)
		synctest.Wait()
		require.EqualValues(t, 1, w.relay.Stats().Ended[reachback.CodeClosed], "the gateway saw a regular end")
		require.EqualValues(t, 0, w.relay.Stats().Joined)
	})
}

func TestShortSessionCanStillBeRead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.listen(w.config())
		c, err := w.dialer().DialContext(t.Context(), "tcp", "desktop:3389")
		require.NoError(t, err)
		_, err = c.Write([]byte("one shot"))
		require.NoError(t, err)
		require.NoError(t, c.Close())
		h, err := l.Accept()
		require.NoError(t, err)
		require.Equal(t, "one shot", readAll(t, h))
		require.NoError(t, h.Close())
	})
}

func TestLossOfTheGatewayEndsBothEndsAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c, h := w.pair(w.listen(w.config()))
		start := time.Now()
		w.relay.Close()
		for _, end := range []*Conn{c, h} {
			_, err := end.Read(make([]byte, 1))
			requireCode(t, reachback.CodePathLost, err)
			require.Equal(t, c.Grant().CorrelationID, reachback.AsError(err).CorrelationID)
			require.NoError(t, end.Close())
		}
		require.Equal(t, start, time.Now())
	})
}

func TestSessionsNeedNoBroker(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.listen(w.config())
		c, h := w.pair(l)
		w.broker.Close()
		time.Sleep(time.Minute)
		_, err := c.Write([]byte("still here"))
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.Equal(t, "still here", readAll(t, h))
		require.NoError(t, h.Close())
	})
}

// The gateway cuts the legs as the broker tells the host, so that an end hears that
// it was killed or that its path was lost, whichever comes first.
func TestKillEndsBothEndsWithItsCode(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c, h := w.pair(w.listen(w.config()))
		require.NoError(t, w.broker.Kill(t.Context(), c.Grant().Session))
		start := time.Now()
		<-h.Done()
		<-c.Done()
		require.LessOrEqual(t, time.Since(start), 2*time.Second)
		for _, end := range []*Conn{c, h} {
			require.Equal(t, reachback.CodeKilled, reachback.CodeOf(end.Err()))
			end.Close()
		}
	})
}

func TestRawSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.listen(w.config())
		conn, err := w.connect(t.Context(), "desktop", [32]byte{})
		require.NoError(t, err)
		leg, err := w.relayDialer().Call(t.Context(), gateway, conn.Token, "")
		require.NoError(t, err)
		a, err := l.Accept()
		require.NoError(t, err)
		h := a.(*Conn)
		require.True(t, h.Raw())
		_, err = leg.Write([]byte("\x03\x00\x00\x13"))
		require.NoError(t, err)
		require.NoError(t, leg.CloseWrite())
		require.Equal(t, "\x03\x00\x00\x13", readAll(t, h))
		_, err = h.Write([]byte("as it is"))
		require.NoError(t, err)
		require.NoError(t, h.Close())
		require.Equal(t, "as it is", readAll(t, leg))
		requireCode(t, reachback.CodeClosed, h.Err())
		leg.Close()
	})
}

func TestRawCallsAreTakenOnlyWhereAllowed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lc := w.config()
		lc.AllowRaw = false
		w.listen(lc)
		conn, err := w.connect(t.Context(), "desktop", [32]byte{})
		require.NoError(t, err)
		_, err = w.relayDialer().Call(t.Context(), gateway, conn.Token, "")
		requireCode(t, reachback.CodeRawNotAllowed, err)
	})
}

func TestAdmitRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want reachback.Code
	}{
		{"with a code", fmt.Errorf("dial: %w", reachback.Refuse(reachback.CodeTargetUnavailable)), reachback.CodeTargetUnavailable},
		{"without", errors.New("no mood"), reachback.CodeHostRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				lc := w.config()
				lc.Admit = func(context.Context, *broker.Summon) error { return tt.err }
				w.listen(lc)
				_, err := w.dialer().DialContext(t.Context(), "tcp", "desktop")
				requireCode(t, tt.want, err)
				require.NotEmpty(t, reachback.AsError(err).CorrelationID)
				require.True(t, strings.HasPrefix(err.Error(), "transport: dial desktop: "), err)
				require.NotContains(t, err.Error(), "mood")
			})
		})
	}
}

func TestListenerCloses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.listen(w.config())
		c, h := w.pair(l)
		unaccepted, err := w.dialer().DialContext(t.Context(), "tcp", "desktop")
		require.NoError(t, err)
		synctest.Wait()
		accepting := make(chan error)
		closed := make(chan struct{})
		go func() {
			require.NoError(t, l.Close())
			close(closed)
		}()
		_, err = unaccepted.Read(make([]byte, 1))
		requireCode(t, reachback.CodeDraining, err)
		<-closed
		go func() {
			_, err := l.Accept()
			accepting <- err
		}()
		require.ErrorIs(t, <-accepting, net.ErrClosed)
		require.NoError(t, l.Close())
		unaccepted.Close()

		// What was accepted is its owner's.
		_, err = c.Write([]byte("x"))
		require.NoError(t, err)
		_, err = io.ReadFull(h, make([]byte, 1))
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.NoError(t, h.Close())
		_, err = w.dialer().DialContext(t.Context(), "tcp", "desktop")
		requireCode(t, reachback.CodeNoHost, err)
	})
}

func TestListenReportsAFinalRefusal(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lc := w.config()
		l := w.listen(lc)
		require.NoError(t, w.broker.RevokeHost(t.Context(), l.Welcome().Host))
		_, err := l.Accept()
		requireCode(t, reachback.CodeHostRevoked, err)
		l.Close()
		_, err = lc.Listen(t.Context())
		requireCode(t, reachback.CodeHostRevoked, err)
	})
}

func TestListenEndsWithItsContext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lc := w.config()
		lc.Agent.Server = "https://nobody.example"
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, cause)
		defer cancel()
		_, err := lc.Listen(ctx)
		require.ErrorIs(t, err, cause)
	})
}

// A gateway that takes the connection and says nothing holds places of the host,
// but no more than there are, and for 20 s.
func TestPlacesOfAHostAreBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lc := w.config()
		lc.Relay.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		l := w.listen(lc)
		summon := func() error {
			return handler{l}.Summon(t.Context(), &broker.Summon{Session: "s", Call: "c", Gateway: gateway, Ticket: "t"})
		}
		for range maxAnswering {
			require.NoError(t, summon())
		}
		requireCode(t, reachback.CodeUnavailable, summon())
		time.Sleep(answerTimeout)
		synctest.Wait()
		require.Zero(t, l.pending)
		require.NoError(t, summon())
		require.NoError(t, l.Close())
		requireCode(t, reachback.CodeDraining, summon())
		require.Zero(t, l.pending)
	})
}

func TestHostReportsItsSessions(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.listen(w.config())
		require.Empty(t, handler{l}.Sessions())
		c, h := w.pair(l)
		require.Equal(t, []broker.SessionReport{{Session: c.Grant().Session, State: broker.ReportActive}}, handler{l}.Sessions())
		c.Close()
		h.Close()
		require.Empty(t, handler{l}.Sessions())
	})
}

// The policy of the pool reaches both ends as it is.
func TestPolicyReachesBothEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		require.NoError(t, w.dir.Apply(w.t.Context(), &broker.Seed{
			Pools: []broker.SeedPool{{Name: "desktops", Raw: true, Policy: broker.SeedPolicy{
				Shortpath: true, Networks: []string{"10.0.0.0/8"}, DSCP: 46, MaxRate: 5_000_000,
			}}},
			Resources: []broker.SeedResource{{ID: "desktop", Title: "Desktop", Pool: "desktops", Kind: reachback.KindDesktop, Assign: []string{"group:everybody"}}},
		}))
		c, h := w.pair(w.listen(w.config()))
		require.Equal(t, c.Grant().Policy, h.Grant().Policy)
		require.EqualValues(t, 5_000_000, h.Grant().Policy.MaxRate)
		c.Close()
		h.Close()
	})
}
