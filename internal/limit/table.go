// Package limit counts what addresses do wrong and how often users ask, in tables
// of fixed size.
package limit

import (
	"container/list"
	"time"

	"golang.org/x/time/rate"
)

// maxKeys bounds a table. The key that was used longest ago is forgotten first,
// so filling the table takes that many keys, and it then forgives none but the
// ones that rested longest.
const maxKeys = 4096

// A table has a bucket for each of the keys that were used last. Its zero value
// is empty; its owner guards it.
type table[K comparable] struct {
	byKey  map[K]*list.Element
	recent list.List // of *entry[K], used last first
}

type entry[K comparable] struct {
	key    K
	bucket *rate.Limiter
}

// empty reports whether the key has a bucket in which nothing is left. That is no
// use of it.
func (t *table[K]) empty(key K, now time.Time) bool {
	e, ok := t.byKey[key]
	return ok && e.Value.(*entry[K]).bucket.TokensAt(now) < 1
}

// take takes one from the key's bucket, and reports whether one was left.
func (t *table[K]) take(key K, perSecond, burst int, now time.Time) bool {
	e, ok := t.byKey[key]
	if !ok {
		if t.byKey == nil {
			t.byKey = make(map[K]*list.Element)
		}
		if t.recent.Len() >= maxKeys {
			delete(t.byKey, t.recent.Remove(t.recent.Back()).(*entry[K]).key)
		}
		e = t.recent.PushFront(&entry[K]{key, rate.NewLimiter(rate.Limit(perSecond), burst)})
		t.byKey[key] = e
	}
	t.recent.MoveToFront(e)
	return e.Value.(*entry[K]).bucket.AllowN(now, 1)
}
