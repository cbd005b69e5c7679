package broker

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/reachback/reachback"
)

// A MemoryDirectory is a [Directory] for one broker. Its zero value is empty and
// keeps nothing over the process's end; that of a [File] keeps hosts,
// registration tokens, revocations and personal assignments.
//
// What it holds is bounded: a used token is forgotten when it has expired, a
// session an hour after it was lost, a quarter of an hour after it ended, or a
// day after it was killed.
type MemoryDirectory struct {
	// Linger is how long a user session counts after its last connection has
	// ended, because the desktop goes on; zero means five minutes.
	Linger time.Duration

	mu    sync.Mutex
	saved durableState
	save  func(*durableState) error // makes a change durable; nil keeps nothing

	// The rest lives as long as the process. All of it is guarded by mu.

	instance string // prefix of the token ids drawn here
	setups   map[string]*setup
	hosts    map[string]*hostState
	desktops map[desktopKey]map[string]*desktop // the inner map by host
	sessions map[string]*session
	tokens   map[string]*session // the last session that began with the token
	spent    map[string]*spending
	kills    []Kill // by revision
	revision uint64
	agenda   agenda
}

var _ Directory = (*MemoryDirectory)(nil)

// durableState is what survives the process. A change makes a copy, has it
// saved, and puts it in force only then.
type durableState struct {
	Boot          uint64                  `json:"boot"` // starts so far: the upper half of epochs
	Revision      uint64                  `json:"revision"`
	Hosts         map[string]*Host        `json:"hosts"` // replaced, never changed
	Registrations map[string]Registration `json:"registrations"`
}

func (s *durableState) clone() *durableState {
	c := *s
	c.Hosts, c.Registrations = maps.Clone(s.Hosts), maps.Clone(s.Registrations)
	return &c
}

// setup is a tenant's seed, as it is asked for. It is not changed.
type setup struct {
	pools     map[string]*pool
	resources map[string]*resource
	sorted    []*resource // by title
}

type pool struct {
	SeedPool
	policy reachback.Policy
}

type resource struct {
	reachback.Resource
	seed SeedResource
	pool *pool
}

// begin starts a transaction: it locks, does what is due and returns the time.
// The caller unlocks.
func (d *MemoryDirectory) begin() time.Time {
	d.mu.Lock()
	now := time.Now()
	if d.sessions == nil {
		d.instance = randomID(8)
		d.setups = make(map[string]*setup)
		d.hosts = make(map[string]*hostState)
		d.desktops = make(map[desktopKey]map[string]*desktop)
		d.sessions = make(map[string]*session)
		d.tokens = make(map[string]*session)
		d.spent = make(map[string]*spending)
		if d.saved.Hosts == nil {
			d.saved.Hosts = make(map[string]*Host)
		}
		if d.saved.Registrations == nil {
			d.saved.Registrations = make(map[string]Registration)
		}
		d.revision = d.saved.Revision
		d.kills = revocations(d.saved.Hosts)
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

// Apply implements [Catalogue].
func (d *MemoryDirectory) Apply(_ context.Context, s *Seed) error {
	if at, problem := s.check(); problem != "" {
		return fmt.Errorf("broker: seed: %s: %s", at, problem)
	}
	now := d.begin()
	defer d.mu.Unlock()
	old := d.setups[s.Tenant]
	next := &setup{pools: make(map[string]*pool), resources: make(map[string]*resource)}
	for _, p := range s.Pools {
		next.pools[p.Name] = &pool{p, p.GrantPolicy()}
	}
	for _, r := range s.Resources {
		p := next.pools[r.Pool]
		res := &resource{seed: r, pool: p, Resource: reachback.Resource{
			ID: r.ID, Title: cmp.Or(r.Title, r.ID), Kind: cmp.Or(r.Kind, reachback.KindDesktop), Pool: r.Pool,
			Program: r.Program, Icon: r.Icon, Folder: cmp.Or(r.Folder, "/"), RDP: maps.Clone(p.RDP),
		}}
		if old != nil && old.resources[r.ID] != nil {
			res.UpdatedAt = old.resources[r.ID].UpdatedAt
		}
		if old == nil || !reflect.DeepEqual(old.resources[r.ID], res) {
			res.UpdatedAt = now.UTC().Truncate(time.Second)
		}
		next.resources[r.ID] = res
		next.sorted = append(next.sorted, res)
	}
	slices.SortFunc(next.sorted, func(a, b *resource) int {
		return cmp.Or(cmp.Compare(a.Title, b.Title), cmp.Compare(a.ID, b.ID))
	})
	d.setups[s.Tenant] = next
	return nil
}

// Resources implements [Directory].
func (d *MemoryDirectory) Resources(_ context.Context, u *reachback.User) ([]reachback.Resource, error) {
	d.begin()
	defer d.mu.Unlock()
	var found []reachback.Resource
	if s := d.setups[u.Tenant]; s != nil {
		for _, r := range s.sorted {
			if r.seed.admits(u) {
				found = append(found, r.copy())
			}
		}
	}
	return found, nil
}

// Assigned implements [Directory].
func (d *MemoryDirectory) Assigned(_ context.Context, u *reachback.User, id string) (*Assignment, error) {
	d.begin()
	defer d.mu.Unlock()
	r, err := d.assigned(u, id)
	if err != nil {
		return nil, err
	}
	return &Assignment{r.copy(), r.pool.policy}, nil
}

func (d *MemoryDirectory) assigned(u *reachback.User, id string) (*resource, error) {
	s := d.setups[u.Tenant]
	if s == nil || s.resources[id] == nil {
		return nil, reachback.Refuse(reachback.CodeResourceNotFound)
	}
	if r := s.resources[id]; r.seed.admits(u) {
		return r, nil
	}
	return nil, reachback.Refuse(reachback.CodeNotAssigned)
}

func (r *resource) copy() reachback.Resource {
	c := r.Resource
	c.RDP = maps.Clone(c.RDP)
	return c
}

// randomID returns n random bytes in hexadecimal.
func randomID(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}
