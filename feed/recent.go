package feed

import "sync"

// A recent is a cache of what was used lately, safe for concurrent use. It keeps two
// generations of at most limit each, in whatever unit put is told: when the younger is
// full the older is dropped. So no single use of it costs more than another.
type recent[K comparable, V any] struct {
	limit int // immutable; zero keeps nothing

	mu         sync.Mutex
	size       int // of young
	young, old map[K]kept[V]
}

type kept[V any] struct {
	value V
	size  int
}

func (c *recent[K, V]) get(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.young[k]
	if !ok {
		if v, ok = c.old[k]; ok {
			c.insert(k, v)
		}
	}
	return v.value, ok
}

func (c *recent[K, V]) put(k K, value V, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insert(k, kept[V]{value, size})
}

// insert is called with mu held. What is larger than the limit is not kept.
func (c *recent[K, V]) insert(k K, v kept[V]) {
	if v.size > c.limit {
		return
	}
	if before, ok := c.young[k]; ok {
		c.size -= before.size
	} else if c.size+v.size > c.limit {
		c.old, c.young, c.size = c.young, nil, 0
	}
	if c.young == nil {
		c.young = make(map[K]kept[V])
	}
	c.young[k] = v
	c.size += v.size
}
