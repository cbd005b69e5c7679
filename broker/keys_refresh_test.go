package broker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/token"
)

// safe is a store of keys in memory, which can be away.
type safe struct {
	mu       sync.Mutex
	data     []byte
	revision uint64
	away     bool
	loads    int
}

func (s *safe) LoadKeys(context.Context) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	if s.away {
		return nil, 0, errors.New("the store is away")
	}
	return s.data, s.revision, nil
}

func (s *safe) SaveKeys(_ context.Context, data []byte, revision uint64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if revision != s.revision {
		return false, nil
	}
	s.data, s.revision = data, revision+1
	return true, nil
}

func TestKeysOfAnotherBrokerAreTakenOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		store := &safe{}
		mine, err := OpenKeys(t.Context(), store)
		require.NoError(t, err)
		others, err := OpenKeys(t.Context(), store)
		require.NoError(t, err)
		w.broker.Keys = mine

		require.NoError(t, others.Rotate(t.Context()))
		require.Len(t, w.broker.Trust().Keys.Keys, 1)
		time.Sleep(refreshKeys + time.Second) // from here on never in the moment of a look
		require.Len(t, w.broker.Trust().Keys.Keys, 2, "well before it first signs")

		// A token of a key that has not been seen yet.
		time.Sleep(PublishAhead + time.Hour)
		require.NoError(t, others.Rotate(t.Context()))
		id, err := w.dir.NewTokenID(t.Context())
		require.NoError(t, err)
		next := others.tokens[len(others.tokens)-1]
		sign := func() string {
			tok, err := token.SignConnection(next.ID, next.Key, &token.Connection{ID: id, User: *alice(), Resource: "desktop", ClientKey: clientKey}, time.Now())
			require.NoError(t, err)
			return tok
		}
		store.mu.Lock()
		store.away = true
		store.mu.Unlock()
		_, err = w.orchestrate(call(sign()))
		requireCode(t, reachback.CodeTokenInvalid, err)
		store.mu.Lock()
		store.away = false
		store.loads = 0
		store.mu.Unlock()
		for range 100 {
			_, err = w.orchestrate(call(sign()))
			requireCode(t, reachback.CodeTokenInvalid, err)
		}
		require.Zero(t, store.loads, "strangers do not press on the store")
		time.Sleep(refetchKeys)
		_, err = w.orchestrate(call(sign()))
		requireCode(t, reachback.CodeNoHost, err, "the key is known now")

		require.False(t, token.UnknownKey(mine.set(time.Now()), strings.Repeat("x", 20_000)))
	})
}
