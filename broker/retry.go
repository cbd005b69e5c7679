package broker

import (
	"context"
	"math/rand/v2"
	"time"
)

// What the directory cannot take is tried again after retryFirst, the next time after
// twice as long, retryMost at most, and each time up to a quarter later, so that not
// all come at once when it is back.
const (
	retryFirst = 500 * time.Millisecond
	retryMost  = 10 * time.Second
)

// A retry spaces the attempts at one thing. Its zero value is before the first.
type retry struct{ last time.Duration }

// wait waits until the next attempt is due. It reports false when ctx ends before.
func (r *retry) wait(ctx context.Context) bool {
	r.last = min(max(2*r.last, retryFirst), retryMost)
	t := time.NewTimer(r.last + rand.N(r.last/4))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
