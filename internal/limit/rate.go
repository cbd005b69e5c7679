package limit

import (
	"sync"
	"time"
)

// A Rate limits how often each key gets something: Burst times at once, and
// PerSecond for ever. Both must be set. It is not to be copied after use.
type Rate[K comparable] struct {
	PerSecond, Burst int

	mu    sync.Mutex
	table table[K]
}

// Allow reports whether the key may have one more now, and counts it if so.
func (r *Rate[K]) Allow(key K, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.table.take(key, r.PerSecond, r.Burst, now)
}
