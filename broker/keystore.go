package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// A KeyStore keeps the keys of an installation, for brokers that share them. The
// data hold private keys in the clear; a store that others can read seals them.
type KeyStore interface {
	// LoadKeys returns what was saved last, with its revision; nil and zero
	// when there is nothing.
	LoadKeys(ctx context.Context) (data []byte, revision uint64, err error)
	// SaveKeys replaces what has that revision, durably, and what replaces it
	// has the next one. It reports false, and changes nothing, when another
	// broker has saved since.
	SaveKeys(ctx context.Context, data []byte, revision uint64) (bool, error)
}

// keyTries bounds how often a change is tried that others come before.
const keyTries = 5

var (
	errKeysChanged = errors.New("others change the keys all the time")
	errKeysForeign = errors.New("the store has the keys of another installation now")
)

// OpenKeys returns the keys of a store, and makes new ones where it has none. Brokers
// that do so at the same time get the same.
func OpenKeys(ctx context.Context, store KeyStore) (*Keys, error) {
	for range keyTries {
		k, err := loadKeys(ctx, store)
		if err == nil && k == nil {
			k, err = firstKeys(ctx, store)
		}
		if err != nil {
			return nil, fmt.Errorf("broker: open keys: %w", err)
		}
		if k != nil {
			return k, nil
		}
	}
	return nil, fmt.Errorf("broker: open keys: %w", errKeysChanged)
}

// loadKeys returns nil where the store is empty.
func loadKeys(ctx context.Context, store KeyStore) (*Keys, error) {
	data, revision, err := store.LoadKeys(ctx)
	if err != nil || revision == 0 {
		return nil, err
	}
	k := &Keys{store: store, revision: revision}
	if err := json.Unmarshal(data, k); err != nil {
		return nil, err
	}
	return k, nil
}

// firstKeys returns nil where another broker has come before.
func firstKeys(ctx context.Context, store KeyStore) (*Keys, error) {
	k, err := NewKeys()
	if err != nil {
		return nil, err
	}
	k.store = store
	err = k.saveTo(ctx, k.tokens)
	if errors.Is(err, errKeysChanged) {
		return nil, nil
	}
	return k, err
}

// saveTo saves the keys with those token keys in the place of what was loaded or saved
// last. The caller holds changing, or has the keys alone.
func (k *Keys) saveTo(ctx context.Context, tokens []tokenKey) error {
	data, err := json.Marshal(keysJSON{tokens, k.hosts, k.server})
	if err != nil {
		return err
	}
	saved, err := k.store.SaveKeys(ctx, data, k.revision)
	if err != nil {
		return err
	}
	if !saved {
		return errKeysChanged
	}
	k.revision++
	return nil
}

// Refresh takes over what other brokers have changed in the store. Keys that no store
// keeps are as they are.
func (k *Keys) Refresh(ctx context.Context) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	if err := k.refresh(ctx); err != nil {
		return fmt.Errorf("broker: refresh keys: %w", err)
	}
	return nil
}

// refresh does so. The caller holds changing.
func (k *Keys) refresh(ctx context.Context) error {
	if k.store == nil {
		return nil
	}
	now, err := loadKeys(ctx, k.store)
	switch {
	case err != nil:
		return err
	case now == nil, !bytes.Equal(now.hosts.pem(), k.hosts.pem()), !bytes.Equal(now.server.pem(), k.server.pem()):
		return errKeysForeign // with them no host of ours could be known
	}
	k.revision = now.revision
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tokens = now.tokens
	return nil
}
