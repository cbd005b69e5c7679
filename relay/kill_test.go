package relay

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

func TestA6_KilledSessionIsRefusedAndCut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		client, _ := w.pair("alice")
		synctest.Wait() // the report comes after both 101s
		session := w.reported(EventJoined)[0].Session
		w.kills <- Kill{Session: session}
		_, err := client.Read(make([]byte, 1))
		require.Error(t, err)
		synctest.Wait()
		require.Equal(t, map[reachback.Code]int64{reachback.CodeKilled: 1}, w.relay.Stats().Ended)

		// A permit that was on its way when the kill came.
		w.decide = func(context.Context, *Call) (*Permit, error) { return &Permit{Session: session, Host: "host-1"}, nil }
		requireCode(t, reachback.CodeKilled, (<-w.call("alice")).err)

		// A call that waits for its host.
		w.decide = func(context.Context, *Call) (*Permit, error) { return &Permit{Session: "s2", Host: "host-1"}, nil }
		called := w.call("alice")
		synctest.Wait()
		w.kills <- Kill{Session: "s2"}
		requireCode(t, reachback.CodeKilled, (<-called).err)
	})
}

func TestRevokedHostIsCutAndRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		client, _ := w.pair("alice")
		w.kills <- Kill{Host: "host-1"}
		_, err := client.Read(make([]byte, 1))
		require.Error(t, err)
		requireCode(t, reachback.CodeHostRevoked, (<-w.call("alice")).err)
		<-w.summons
		synctest.Wait()
		require.Equal(t, map[reachback.Code]int64{reachback.CodeHostRevoked: 1}, w.relay.Stats().Ended)

		w.trust.Revoked = func(host string) bool { return host == "host-2" }
		w.decide = func(ctx context.Context, c *Call) (*Permit, error) {
			w.summons <- c
			return &Permit{Session: "s", Host: "host-2"}, nil
		}
		w.call("bob")
		requireCode(t, reachback.CodeHostRevoked, (<-w.answer(<-w.summons, w.host("host-2"))).err)
	})
}

func TestKillArrivesAfterABrokenWatch(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		client, _ := w.pair("alice")
		synctest.Wait()
		w.watches <- io.ErrUnexpectedEOF
		synctest.Wait()
		require.Contains(t, w.logs.String(), io.ErrUnexpectedEOF.Error(), "the operator hears of it")
		start := time.Now()
		w.kills <- Kill{Session: w.reported(EventJoined)[0].Session} // is taken when the relay watches again
		require.Equal(t, rewatch, time.Since(start))
		_, err := client.Read(make([]byte, 1))
		require.Error(t, err)
		synctest.Wait()
		require.Equal(t, map[reachback.Code]int64{reachback.CodeKilled: 1}, w.relay.Stats().Ended)
	})
}

func TestRememberedKillsAreBounded(t *testing.T) {
	var k kills
	for i := range 3 * maxKills {
		k.add(fmt.Sprint("session ", i), reachback.CodeKilled)
	}
	require.Len(t, k.codes, maxKills)
	require.Len(t, k.order, maxKills)
	require.NoError(t, k.check(&Permit{Session: "0"}))
	require.Error(t, k.check(&Permit{Session: fmt.Sprint(2 * maxKills)}))
}
