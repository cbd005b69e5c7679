package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

// cloud starts hosts.
type cloud struct {
	mu       sync.Mutex
	requests []StartRequest
	start    func(ctx context.Context, r *StartRequest) error
}

func (c *cloud) Start(ctx context.Context, r *StartRequest) error {
	c.mu.Lock()
	c.requests = append(c.requests, *r)
	start := c.start
	c.mu.Unlock()
	if start == nil {
		return nil
	}
	return start(ctx, r)
}

func (c *cloud) asked() []StartRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]StartRequest(nil), c.requests...)
}

type placed struct {
	host  string
	err   error
	after time.Duration
}

// asks orchestrates a call of each user at once, in the background.
func (w *world) asks(resource string, users ...string) <-chan placed {
	all := make(chan placed, len(users))
	began := time.Now()
	for _, u := range users {
		c := call(w.connect(user(u), resource))
		go func() {
			p, err := w.orchestrate(c)
			got := placed{err: err, after: time.Since(began)}
			if p != nil {
				got.host = p.Host
			}
			all <- got
		}()
	}
	return all
}

func TestAHostIsStartedOnceForAllWhoWantOne(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := &cloud{}
		w.broker.Starter = c
		h := w.enrol("pc1", "desktops")
		calls := w.asks("desktop", "alice", "bob", "carol")
		time.Sleep(5*time.Second + time.Millisecond)
		require.Len(t, c.asked(), 1)
		require.Equal(t, "desktops", c.asked()[0].Pool)
		require.NotEmpty(t, c.asked()[0].CorrelationID)
		h.run()
		for range 3 {
			got := <-calls
			require.NoError(t, got.err)
			require.Equal(t, h.id, got.host)
			require.Less(t, got.after, 5*time.Second+100*time.Millisecond, "the welcome wakes them")
		}
		require.EqualValues(t, 1, w.broker.Stats().Starts)
		started := w.why(RecordQuery{Step: StepStart})
		require.Len(t, started, 1)
		require.Empty(t, started[0].Code)

		// It came up. When it is gone again another one may be started.
		h.stop()
		got := <-w.asks("desktop", "dora")
		requireCode(t, reachback.CodeNoHost, got.err)
		require.Len(t, c.asked(), 2)
	})
}

func TestAHostThatCameToAnotherBrokerIsFound(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.broker.Starter = &cloud{}
		calls := w.asks("desktop", "alice")
		time.Sleep(2 * time.Second)
		w.broker.mu.Lock()
		clear(w.broker.starts) // so that the welcome wakes nobody
		w.broker.mu.Unlock()
		h := w.up("pc1", "desktops")
		got := <-calls
		require.NoError(t, got.err)
		require.Equal(t, h.id, got.host)
		require.LessOrEqual(t, got.after, 4*time.Second)
	})
}

func TestAStartThatFailsRefusesAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(ctx context.Context, r *StartRequest) error
		after time.Duration
	}{
		{"it fails", func(context.Context, *StartRequest) error { return errors.New("quota of cores exceeded") }, 0},
		{"it fails after a while", func(context.Context, *StartRequest) error {
			time.Sleep(3 * time.Second)
			return errors.New("no capacity in zone 1")
		}, 3 * time.Second},
		{"it takes longer than a call", func(ctx context.Context, _ *StartRequest) error { <-ctx.Done(); return ctx.Err() }, callWithin - startSlack},
		{"no host comes of it", nil, callWithin - startSlack},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := &cloud{start: tt.start}
				w.broker.Starter = c
				calls := w.asks("desktop", "alice", "bob")
				for range 2 {
					got := <-calls
					requireCode(t, reachback.CodeNoHost, got.err)
					require.InDelta(t, tt.after, got.after, float64(100*time.Millisecond))
				}
				require.Len(t, c.asked(), 1)
				if tt.after < callWithin-startSlack {
					<-w.asks("desktop", "carol")
					require.Len(t, c.asked(), 1, "the cloud is not pressed")
					time.Sleep(startFailed)
				} else {
					time.Sleep(startWithin + startAgain)
				}
				<-w.asks("desktop", "alice")
				require.Len(t, c.asked(), 2, "it is tried again some time later")
			})
		})
	}
}

func TestWhoNeedsNoStartGetsNone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := &cloud{}
		w.broker.Starter = c
		h := w.up("pc1", "desktops")
		for i := range 4 {
			w.joined(user(fmt.Sprint("user", i)), "desktop")
		}
		_, err := w.orchestrate(call(w.connect(alice(), "desktop")))
		requireCode(t, reachback.CodeHostsFull, err)
		h.answers(func(context.Context, *Summon) error { return reachback.Refuse(reachback.CodeTargetUnavailable) })
		_, err = w.orchestrate(call(w.connect(user("user1"), "desktop")))
		requireCode(t, reachback.CodeTargetUnavailable, err)
		require.Empty(t, c.asked())
	})
}

func TestAPersonalHostIsStartedForItsUser(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := &cloud{}
		w.broker.Starter = c
		his := w.up("alices", "own")
		w.joined(alice(), "mine")
		his.stop()
		other := w.up("nobodys", "own")
		time.Sleep(time.Minute)
		calls := w.asks("mine", "alice")
		synctest.Wait()
		require.Len(t, c.asked(), 1)
		require.Equal(t, his.id, c.asked()[0].Host)
		time.Sleep(3 * time.Second)
		require.Empty(t, other.summoned())
		his.run()
		got := <-calls
		require.NoError(t, got.err)
		require.Equal(t, his.id, got.host)
	})
}

func TestNobodyWaitsForAHostWhoHasLeft(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.broker.Starter = &cloud{}
		ctx, leave := context.WithTimeout(t.Context(), callWithin)
		c := call(w.connect(alice(), "desktop"))
		done := make(chan error, 1)
		go func() {
			_, err := w.broker.Orchestrate(ctx, c)
			done <- err
		}()
		time.Sleep(time.Second)
		leave()
		require.ErrorIs(t, <-done, context.Canceled)
		time.Sleep(3 * startPoll)
		h := w.up("pc1", "desktops")
		require.Empty(t, h.summoned())
		require.Zero(t, w.desktops(h.id), "and no slot is taken")
		require.Equal(t, reachback.CodeClientLost, w.why(RecordQuery{User: "alice", Step: StepOrchestrate})[0].Code)
	})
}

func TestABrokerThatEndsStopsStarting(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.broker.Starter = &cloud{start: func(ctx context.Context, _ *StartRequest) error { <-ctx.Done(); return ctx.Err() }}
		calls := w.asks("desktop", "alice")
		time.Sleep(time.Second)
		began := time.Now()
		require.NoError(t, w.broker.Close())
		requireCode(t, reachback.CodeDraining, (<-calls).err)
		require.Zero(t, time.Since(began))
	})
}
