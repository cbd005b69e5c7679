package broker

import "context"

// A KeyStore keeps the keys of an installation, for brokers that share them. The
// data hold private keys in the clear; a store that others can read seals them.
type KeyStore interface {
	// LoadKeys returns what was saved last, with its revision; nil and zero
	// when there is nothing.
	LoadKeys(ctx context.Context) (data []byte, revision uint64, err error)
	// SaveKeys replaces what has that revision, durably. It reports false,
	// and changes nothing, when another broker has saved since.
	SaveKeys(ctx context.Context, data []byte, revision uint64) (bool, error)
}
