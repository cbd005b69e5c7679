package oidc

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"
)

const (
	// The issuer is asked once in fetchInterval, and fetchBurst times at once, so
	// that a key that is new when a verifier has just begun is found.
	fetchInterval = 10 * time.Second
	fetchBurst    = 2
	// freshFor is how long keys are used without asking, and keptFor how long
	// while the issuer gives no good answer.
	freshFor = time.Hour
	keptFor  = 24 * time.Hour

	maxKeys    = 64
	minRSABits = 2048
	maxRSABits = 8192
)

// A keySet has public keys that sign. It is never changed.
type keySet struct{ keys []jose.JSONWebKey }

// newKeySet takes the usable keys: for signatures, public, of a size that is
// neither weak nor slow.
func newKeySet(all []jose.JSONWebKey) (*keySet, error) {
	s := &keySet{}
	for _, k := range all {
		if k.Use != "sig" && k.Use != "" || !k.IsPublic() || !k.Valid() {
			continue
		}
		if r, ok := k.Key.(*rsa.PublicKey); ok && (r.N.BitLen() < minRSABits || r.N.BitLen() > maxRSABits) {
			continue
		}
		if s.keys = append(s.keys, k); len(s.keys) == maxKeys {
			break
		}
	}
	if len(s.keys) == 0 {
		return nil, errors.New("there is no public key for signatures among them")
	}
	return s, nil
}

// same reports whether the sets have the same keys in the same order.
func (s *keySet) same(other *keySet) bool {
	return other != nil && slices.EqualFunc(s.keys, other.keys, func(a, b jose.JSONWebKey) bool {
		k, ok := a.Key.(interface{ Equal(crypto.PublicKey) bool })
		return ok && k.Equal(b.Key) && a.KeyID == b.KeyID && a.Algorithm == b.Algorithm
	})
}

// keys are the issuer's, as of its last good answer. One fetch runs at a time, in a
// goroutine that ends with the answer or at fetchTimeout and that close waits for.
type keys struct {
	issuer string
	client *http.Client
	logger *slog.Logger
	fixed  *keySet // used for ever if not nil

	limit  *rate.Limiter   // of fetches
	ctx    context.Context // of fetches; ended by close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu                sync.Mutex
	set               *keySet       // nil before the first good answer
	good              time.Time     // when the fetch of set began
	started           time.Time     // when the last fetch began
	err               error         // of the last fetch that has ended
	running           chan struct{} // closed at the end of the running fetch; nil while none runs
	fetches, failures uint64
}

func newKeys(issuer string, client *http.Client, logger *slog.Logger) *keys {
	k := &keys{issuer: issuer, client: client, logger: logger, limit: rate.NewLimiter(rate.Every(fetchInterval), fetchBurst)}
	if k.logger == nil {
		k.logger = slog.New(slog.DiscardHandler)
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

func (k *keys) close() {
	k.mu.Lock() // no fetch begins after this
	k.cancel()
	k.mu.Unlock()
	k.wg.Wait()
}

// current returns the keys to verify with. It waits for the issuer where there are
// none yet, or where they are old and the issuer is not known to be down.
func (k *keys) current(ctx context.Context) (*keySet, error) {
	if k.fixed != nil {
		return k.fixed, nil
	}
	k.mu.Lock()
	set, age, failed := k.set, time.Since(k.good), k.err != nil
	if set != nil && age < freshFor {
		k.mu.Unlock()
		return set, nil
	}
	fetching := k.fetch()
	k.mu.Unlock()
	if set == nil || !failed || age >= keptFor {
		if err := wait(ctx, fetching); err != nil {
			return nil, err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.set == nil || time.Since(k.good) >= keptFor {
		return nil, k.err
	}
	return k.set, nil
}

// newer asks the issuer again, or waits for who does. It returns old where the
// issuer has no other keys, or was asked too often of late, and an error where its
// last answer was none.
func (k *keys) newer(ctx context.Context, old *keySet) (*keySet, error) {
	if k.fixed != nil {
		return k.fixed, nil
	}
	k.mu.Lock()
	fetching := k.fetch()
	if k.set != old { // since old was looked at
		fetching = nil
	}
	k.mu.Unlock()
	if err := wait(ctx, fetching); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set, k.err
}

// wait waits for the end of a fetch; nil is none.
func wait(ctx context.Context, fetching <-chan struct{}) error {
	if fetching == nil {
		return nil
	}
	select {
	case <-fetching:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fetch starts a fetch unless one runs or there were too many of late. What it
// returns is closed at the end of the fetch that runs now, and nil if none does.
// The caller has k.mu.
func (k *keys) fetch() <-chan struct{} {
	now := time.Now()
	if k.running != nil || k.ctx.Err() != nil || !k.limit.AllowN(now, 1) {
		return k.running
	}
	done := make(chan struct{})
	k.running, k.started = done, now
	k.fetches++
	k.wg.Go(func() {
		defer close(done)
		set, err := fetch(k.ctx, k.client, k.issuer)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.running = nil
		k.took(set, err)
	})
	return done
}

// took takes the answer of the fetch that has just ended. The caller has k.mu.
func (k *keys) took(set *keySet, err error) {
	k.err = err
	if err != nil {
		k.failures++
		k.logger.Warn("the issuer's keys could not be read", "err", err, "kept", k.set != nil)
		return
	}
	k.good = k.started
	if !set.same(k.set) {
		k.set = set
		k.logger.Info("the issuer has other keys", "issuer", k.issuer, "keys", len(set.keys))
	}
}

// Stats are a snapshot of a Verifier.
type Stats struct {
	Keys     int       // that verify now
	Good     time.Time // when the issuer was last asked with success; zero: never
	Fetches  uint64    // requests to the issuer, each discovery and key set
	Failures uint64    // of them, those without a good answer
}

// Stats returns a snapshot.
func (v *Verifier) Stats() Stats {
	if v.init() != nil {
		return Stats{}
	}
	return v.keys.snapshot()
}

func (k *keys) snapshot() Stats {
	if k.fixed != nil {
		return Stats{Keys: len(k.fixed.keys)}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Stats{Good: k.good, Fetches: k.fetches, Failures: k.failures}
	if k.set != nil && time.Since(k.good) < keptFor {
		s.Keys = len(k.set.keys)
	}
	return s
}
