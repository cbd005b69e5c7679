package linksim

import (
	"errors"
	"time"
)

// A Policer drops what exceeds a rate, without a queue: a token bucket, full at the
// start.
type Policer struct {
	Rate  int64 // bits per second
	Bytes int   // what the bucket holds
}

func (p *Policer) check() error {
	if p.Rate <= 0 || p.Rate > maxRate || p.Bytes <= 0 || p.Bytes > 1<<30 {
		return errors.New("policer: an impossible rate or bucket")
	}
	return nil
}

// bucket counts tokens in bit-nanoseconds, so that none is lost to rounding.
type bucket struct {
	rate   int64
	full   int64
	tokens int64
	at     time.Duration
}

func newBucket(p *Policer) *bucket {
	b := &bucket{rate: p.Rate, full: int64(p.Bytes) * 8e9}
	b.tokens = b.full
	return b
}

// take reports whether the bucket holds the packet, and takes its tokens if so.
func (b *bucket) take(now time.Duration, bytes int32) bool {
	elapsed := int64(now - b.at)
	b.at = now
	// Divided and not multiplied, which a long rest would make overflow.
	if missing := b.full - b.tokens; elapsed > missing/b.rate {
		b.tokens = b.full
	} else {
		b.tokens += elapsed * b.rate
	}
	need := int64(bytes) * 8e9
	if need > b.tokens {
		return false
	}
	b.tokens -= need
	return true
}
