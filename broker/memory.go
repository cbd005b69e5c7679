package broker

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"
)

// A MemoryDirectory is a [Directory] for one broker. Its zero value is empty, and it
// keeps nothing over the process's end: package sqldirectory has those that do.
//
// What it holds is bounded: a used token is forgotten when it has expired, a
// session that stands for no user session after [KeepEnded], [KeepLost] or
// [KeepKilled], and of records the last 10,000 are kept. Icons may have 64 MiB
// together.
type MemoryDirectory struct {
	mu sync.Mutex // guards the rest

	// Of what has enrolled; rows are replaced, never changed.
	hostRows      map[string]*Host
	gatewayRows   map[string]*Gateway
	registrations map[string]Registration

	instance string // prefix of the token ids drawn here
	setups   map[string]*setup
	icons    map[string][]byte
	iconSize int // of all icons
	hosts    map[string]*hostState
	gateways map[string]*gatewayState
	desktops map[desktopKey]map[string]*desktop // the inner map by host
	sessions map[string]*session
	tokens   map[string]*session // the last session that began with the token
	spent    map[string]*spending
	kills    []Kill // by revision
	revision uint64
	records  []Record // by id
	recorded uint64   // id of the last one
	agenda   agenda
}

var _ Directory = (*MemoryDirectory)(nil)

// begin starts a transaction: it locks, does what is due and returns the time.
// The caller unlocks.
func (d *MemoryDirectory) begin() time.Time {
	d.mu.Lock()
	now := time.Now()
	if d.sessions == nil {
		d.instance = randomID(8)
		d.setups = make(map[string]*setup)
		d.icons = make(map[string][]byte)
		d.hosts = make(map[string]*hostState)
		d.gateways = make(map[string]*gatewayState)
		d.desktops = make(map[desktopKey]map[string]*desktop)
		d.sessions = make(map[string]*session)
		d.tokens = make(map[string]*session)
		d.spent = make(map[string]*spending)
		d.hostRows = make(map[string]*Host)
		d.gatewayRows = make(map[string]*Gateway)
		d.registrations = make(map[string]Registration)
	}
	d.agenda.run(now)
	return now
}

// revoked tells of a revocation, which has the next revision.
func (d *MemoryDirectory) revoked(k Kill) {
	d.revision = k.Revision
	d.kills = append(d.kills, k)
}

// page is how many rows a list may have that was asked for with that limit.
func page(limit int) int {
	if limit <= 0 || limit > MaxPage {
		return MaxPage
	}
	return limit
}

// randomID returns n random bytes in hexadecimal.
func randomID(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}
