package broker

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// A MemoryDirectory is a [Directory] for one broker. Its zero value is empty and
// keeps nothing over the process's end; that of a [File] keeps hosts, gateways,
// registration tokens, revocations and personal assignments.
//
// What it holds is bounded: a used token is forgotten when it has expired, a
// session that stands for no user session after [KeepEnded], [KeepLost] or
// [KeepKilled], and of records the last 10,000 are kept. Icons may have 64 MiB
// together.
type MemoryDirectory struct {
	mu    sync.Mutex
	saved durableState
	save  func(*durableState) error // makes a change durable; nil keeps nothing

	// The rest lives as long as the process. All of it is guarded by mu.

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

// durableState is what survives the process. A change makes a copy, has it
// saved, and puts it in force only then.
type durableState struct {
	Boot          uint64                  `json:"boot"` // starts so far: the upper half of epochs
	Revision      uint64                  `json:"revision"`
	Hosts         map[string]*Host        `json:"hosts"` // replaced, never changed
	Gateways      map[string]*Gateway     `json:"gateways,omitempty"`
	Registrations map[string]Registration `json:"registrations"`
}

func (s *durableState) clone() *durableState {
	c := *s
	c.Hosts, c.Gateways, c.Registrations = maps.Clone(s.Hosts), maps.Clone(s.Gateways), maps.Clone(s.Registrations)
	return &c
}

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
		if d.saved.Hosts == nil {
			d.saved.Hosts = make(map[string]*Host)
		}
		if d.saved.Gateways == nil {
			d.saved.Gateways = make(map[string]*Gateway)
		}
		if d.saved.Registrations == nil {
			d.saved.Registrations = make(map[string]Registration)
		}
		d.revision = d.saved.Revision
		d.kills = d.saved.revocations()
	}
	d.agenda.run(now)
	return now
}

// commit makes next durable and then puts it in force.
func (d *MemoryDirectory) commit(next *durableState) error {
	if d.save != nil {
		if err := d.save(next); err != nil {
			return fmt.Errorf("broker: save state: %w", err)
		}
	}
	d.saved = *next
	return nil
}

// revoke commits next, in which a host or gateway is revoked with the next
// revision, and tells of it.
func (d *MemoryDirectory) revoke(next *durableState, k Kill) error {
	next.Revision = k.Revision
	if err := d.commit(next); err != nil {
		return err
	}
	d.revision = k.Revision
	d.kills = append(d.kills, k)
	return nil
}

func hostRevocation(h *Host) Kill {
	return Kill{Kill: relay.Kill{Revision: h.Revision, Host: h.ID, Code: reachback.CodeHostRevoked}}
}

func gatewayRevocation(g *Gateway) Kill {
	return Kill{Kill: relay.Kill{Revision: g.Revision, Code: reachback.CodeGatewayRevoked}, Gateway: g.ID}
}

func (s *durableState) revocations() []Kill {
	var ks []Kill
	for _, h := range s.Hosts {
		if h.Revoked {
			ks = append(ks, hostRevocation(h))
		}
	}
	for _, g := range s.Gateways {
		if g.Revoked {
			ks = append(ks, gatewayRevocation(g))
		}
	}
	slices.SortFunc(ks, func(a, b Kill) int { return cmp.Compare(a.Revision, b.Revision) })
	return ks
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
