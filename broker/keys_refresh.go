package broker

import (
	"context"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/token"
)

const (
	// refreshKeys is how often a broker looks for keys that another one has
	// published. They first sign a day later, so this is more than enough.
	refreshKeys = time.Minute
	// A token of an unknown key makes the broker look at once, but not more often
	// than every refetchKeys and for no longer than refetchWithin.
	refetchKeys   = 10 * time.Second
	refetchWithin = 2 * time.Second
)

// keepKeys takes over other brokers' keys until the broker is closed.
func (b *Broker) keepKeys() {
	tick := time.NewTicker(refreshKeys)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.refresh(b.ctx, directoryWithin)
		case <-b.ctx.Done():
			return
		}
	}
}

// refresh asks the store for its keys. Without an answer those of before stay.
func (b *Broker) refresh(ctx context.Context, within time.Duration) bool {
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := b.keys.Refresh(bounded); err != nil {
		if ctx.Err() == nil {
			b.log().Error("keys not read", "err", err)
		}
		return false
	}
	return true
}

// verifyToken checks a connection token. Where its key is unknown the keys are read
// again first, for it may be another broker's.
func (b *Broker) verifyToken(ctx context.Context, t string) (*token.Connection, error) {
	now := time.Now()
	keys := b.keys.set(now)
	c, err := token.VerifyConnection(keys, t, now)
	if reachback.CodeOf(err) != reachback.CodeTokenInvalid || !token.UnknownKey(keys, t) || !b.mayRefetch(now) {
		return c, err
	}
	if !b.refresh(ctx, refetchWithin) {
		return c, err
	}
	return token.VerifyConnection(b.keys.set(now), t, now)
}

// mayRefetch reports whether the keys have not been asked for lately because of a token
// of an unknown key, and takes note that they are now.
func (b *Broker) mayRefetch(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.refetched) < refetchKeys {
		return false
	}
	b.refetched = now
	return true
}
