// Package limit counts what addresses do wrong, in a table of fixed size.
package limit

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// Burst failures are forgiven at once, and PerSecond for ever. A host or
	// client with a wrong clock or token tries far less often.
	Burst     = 64
	PerSecond = 16

	// MaxAddresses bounds the table. The address whose last failure is
	// longest ago is forgotten first, so filling the table takes an attacker
	// that many addresses, and then slows him down at none but the old ones.
	MaxAddresses = 4096
)

// Prefix is the part of an address that one party commonly holds: the whole of
// an IPv4 address, a /64 of IPv6.
func Prefix(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // of an invalid address it is the zero prefix, one bucket for all such
	return p
}

// Failures is a table of addresses with failed attempts. Its zero value is ready.
type Failures struct {
	mu     sync.Mutex
	byAddr map[netip.Prefix]*list.Element
	recent list.List // of *entry, last failure first
}

type entry struct {
	prefix netip.Prefix
	bucket *rate.Limiter
}

// Blocked reports whether the address has failed more often than is forgiven.
// It costs a look into a map, and records nothing.
func (f *Failures) Blocked(a netip.Addr, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.byAddr[Prefix(a)]
	return ok && e.Value.(*entry).bucket.TokensAt(now) < 1
}

// Fail records a failed attempt of the address.
func (f *Failures) Fail(a netip.Addr, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := Prefix(a)
	e, ok := f.byAddr[p]
	if !ok {
		if f.byAddr == nil {
			f.byAddr = make(map[netip.Prefix]*list.Element)
		}
		if f.recent.Len() >= MaxAddresses {
			delete(f.byAddr, f.recent.Remove(f.recent.Back()).(*entry).prefix)
		}
		e = f.recent.PushFront(&entry{p, rate.NewLimiter(PerSecond, Burst)})
		f.byAddr[p] = e
	}
	f.recent.MoveToFront(e)
	e.Value.(*entry).bucket.AllowN(now, 1)
}
