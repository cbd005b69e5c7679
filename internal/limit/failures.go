package limit

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// Burst failures are forgiven at once, and PerSecond for ever. A host or
	// client with a wrong clock or token tries far less often.
	Burst     = 64
	PerSecond = 16
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

// Failures counts what addresses do wrong. Its zero value is ready.
type Failures struct {
	mu    sync.Mutex
	table table[netip.Prefix]
}

// Blocked reports whether the address has failed more often than is forgiven.
// It costs a look into a map, and records nothing.
func (f *Failures) Blocked(a netip.Addr, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.table.empty(Prefix(a), now)
}

// Fail records a failed attempt of the address.
func (f *Failures) Fail(a netip.Addr, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.table.take(Prefix(a), PerSecond, Burst, now)
}
