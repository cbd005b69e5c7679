package devidp

import (
	"container/list"
	"crypto/rand"
	"time"
)

// maxEntries bounds each table. When one is full the oldest entry goes: whoever
// fills it is on this machine, and can do worse.
const maxEntries = 1024

// A table keeps what was begun, by secret, until its time is over. Entries all
// live for as long, so the oldest ends first.
type table[V any] struct {
	life    time.Duration
	entries map[string]*list.Element
	order   *list.List // of *entry[V], oldest first
}

type entry[V any] struct {
	key   string
	value V
	ends  time.Time
}

func newTable[V any](life time.Duration) table[V] {
	return table[V]{life, make(map[string]*list.Element), list.New()}
}

// add keeps v under a new secret, which it returns.
func (t *table[V]) add(v V, now time.Time) (secret string) {
	t.expire(now)
	if t.order.Len() >= maxEntries {
		t.remove(t.order.Front().Value.(*entry[V]).key)
	}
	secret = rand.Text()
	t.entries[secret] = t.order.PushBack(&entry[V]{secret, v, now.Add(t.life)})
	return secret
}

// get returns what is kept under the secret, or the zero value.
func (t *table[V]) get(secret string, now time.Time) (v V, ok bool) {
	t.expire(now)
	e, ok := t.entries[secret]
	if !ok {
		return v, false
	}
	return e.Value.(*entry[V]).value, true
}

func (t *table[V]) remove(secret string) {
	if e, ok := t.entries[secret]; ok {
		t.order.Remove(e)
		delete(t.entries, secret)
	}
}

// find returns the first entry that fits.
func (t *table[V]) find(fits func(V) bool, now time.Time) (v V, ok bool) {
	t.expire(now)
	for e := t.order.Front(); e != nil; e = e.Next() {
		if v := e.Value.(*entry[V]).value; fits(v) {
			return v, true
		}
	}
	return v, false
}

func (t *table[V]) expire(now time.Time) {
	for e := t.order.Front(); e != nil && !now.Before(e.Value.(*entry[V]).ends); e = t.order.Front() {
		t.remove(e.Value.(*entry[V]).key)
	}
}
