package broker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/reachback/reachback"
)

// maxIcons bounds the pictures of a directory in memory, in bytes together.
const maxIcons = 64 << 20

// setup is what is set up for a tenant, as it is asked for. A change makes
// another one.
type setup struct {
	seed      *Seed // without users
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
	seed *SeedResource
	pool *pool
}

// newSetup makes a setup of a seed that was checked, which is its own from now
// on. What is as it was in old has not been updated.
func newSetup(s *Seed, old *setup, now time.Time) *setup {
	next := &setup{seed: s, pools: make(map[string]*pool), resources: make(map[string]*resource)}
	for _, p := range s.Pools {
		next.pools[p.Name] = &pool{p, p.GrantPolicy()}
	}
	for i := range s.Resources {
		r := &s.Resources[i]
		p := next.pools[r.Pool]
		res := &resource{r.Resource(&p.SeedPool), r, p}
		if old != nil && old.resources[r.ID] != nil {
			res.UpdatedAt = old.resources[r.ID].UpdatedAt
		}
		if old == nil || old.resources[r.ID] == nil || !reflect.DeepEqual(old.resources[r.ID].Resource, res.Resource) {
			res.UpdatedAt = now.UTC().Truncate(time.Second)
		}
		next.resources[r.ID] = res
		next.sorted = append(next.sorted, res)
	}
	slices.SortFunc(next.sorted, func(a, b *resource) int {
		return cmp.Or(cmp.Compare(a.Title, b.Title), cmp.Compare(a.ID, b.ID))
	})
	return next
}

// Apply implements [Catalogue].
func (d *MemoryDirectory) Apply(_ context.Context, s *Seed) error {
	if err := s.Check(); err != nil {
		return fmt.Errorf("broker: seed: %w", err)
	}
	return d.change(s.Tenant, func(next *Seed) error {
		*next = *s.clone()
		return nil
	})
}

// change puts a tenant's setup in force as edit leaves it.
func (d *MemoryDirectory) change(tenant string, edit func(s *Seed) error) error {
	now := d.begin()
	defer d.mu.Unlock()
	s := d.setup(tenant)
	if err := edit(s); err != nil {
		return err
	}
	s.Users = nil
	slices.SortFunc(s.Pools, func(a, b SeedPool) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Resources, func(a, b SeedResource) int { return cmp.Compare(a.ID, b.ID) })
	d.setups[tenant] = newSetup(s, d.setups[tenant], now)
	return nil
}

// setup returns a copy of what is set up for a tenant.
func (d *MemoryDirectory) setup(tenant string) *Seed {
	if s := d.setups[tenant]; s != nil {
		return s.seed.clone()
	}
	return &Seed{Tenant: tenant}
}

// pool returns a pool, nil where there is none.
func (d *MemoryDirectory) pool(tenant, name string) *pool {
	if s := d.setups[tenant]; s != nil {
		return s.pools[name]
	}
	return nil
}

// Setup implements [Catalogue].
func (d *MemoryDirectory) Setup(_ context.Context, tenant string) (*Seed, error) {
	d.begin()
	defer d.mu.Unlock()
	return d.setup(tenant), nil
}

// Workspace implements [Catalogue].
func (d *MemoryDirectory) Workspace(_ context.Context, tenant string) (string, error) {
	d.begin()
	defer d.mu.Unlock()
	if s := d.setups[tenant]; s != nil {
		return s.seed.Workspace, nil
	}
	return "", nil
}

// PutPool implements [Catalogue].
func (d *MemoryDirectory) PutPool(_ context.Context, tenant string, p *SeedPool) error {
	if err := p.Check(); err != nil {
		return err
	}
	return d.change(tenant, func(s *Seed) error {
		s.Pools = put(s.Pools, p.clone(), func(o *SeedPool) bool { return o.Name == p.Name })
		return nil
	})
}

// PutResource implements [Catalogue].
func (d *MemoryDirectory) PutResource(_ context.Context, tenant string, r *SeedResource) error {
	if err := r.Check(); err != nil {
		return err
	}
	return d.change(tenant, func(s *Seed) error {
		if !slices.ContainsFunc(s.Pools, func(p SeedPool) bool { return p.Name == r.Pool }) {
			return reachback.Refuse(reachback.CodePoolNotFound)
		}
		s.Resources = put(s.Resources, r.clone(), func(o *SeedResource) bool { return o.ID == r.ID })
		return nil
	})
}

// put replaces the row that is the same one, or adds it.
func put[T any](rows []T, row T, same func(*T) bool) []T {
	for i := range rows {
		if same(&rows[i]) {
			rows[i] = row
			return rows
		}
	}
	return append(rows, row)
}

// DeletePool implements [Catalogue].
func (d *MemoryDirectory) DeletePool(_ context.Context, tenant, name string) error {
	return d.change(tenant, func(s *Seed) error {
		i := slices.IndexFunc(s.Pools, func(p SeedPool) bool { return p.Name == name })
		if i < 0 {
			return reachback.Refuse(reachback.CodeNotFound)
		}
		used := slices.ContainsFunc(s.Resources, func(r SeedResource) bool { return r.Pool == name })
		for _, h := range d.hostRows {
			used = used || h.Tenant == tenant && h.Pool == name && !h.Revoked
		}
		if used {
			return reachback.Refuse(reachback.CodeInUse)
		}
		s.Pools = slices.Delete(s.Pools, i, i+1)
		return nil
	})
}

// DeleteResource implements [Catalogue].
func (d *MemoryDirectory) DeleteResource(_ context.Context, tenant, id string) error {
	return d.change(tenant, func(s *Seed) error {
		i := slices.IndexFunc(s.Resources, func(r SeedResource) bool { return r.ID == id })
		if i < 0 {
			return reachback.Refuse(reachback.CodeNotFound)
		}
		s.Resources = slices.Delete(s.Resources, i, i+1)
		return nil
	})
}

// Assign implements [Catalogue].
func (d *MemoryDirectory) Assign(_ context.Context, tenant, id, to string) error {
	return d.assign(tenant, id, to, func(a []string) []string {
		if slices.Contains(a, to) {
			return a
		}
		return append(a, to)
	})
}

// Unassign implements [Catalogue].
func (d *MemoryDirectory) Unassign(_ context.Context, tenant, id, to string) error {
	return d.assign(tenant, id, to, func(a []string) []string {
		return slices.DeleteFunc(a, func(o string) bool { return o == to })
	})
}

func (d *MemoryDirectory) assign(tenant, id, to string, edit func([]string) []string) error {
	if err := CheckAssignment(to); err != nil {
		return err
	}
	return d.change(tenant, func(s *Seed) error {
		for i := range s.Resources {
			if r := &s.Resources[i]; r.ID == id {
				r.Assign = edit(r.Assign)
				return nil
			}
		}
		return reachback.Refuse(reachback.CodeNotFound)
	})
}

// Resources implements [Catalogue].
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

// Assigned implements [Catalogue].
func (d *MemoryDirectory) Assigned(_ context.Context, u *reachback.User, id string) (*Assignment, error) {
	d.begin()
	defer d.mu.Unlock()
	r, err := d.assigned(u, id)
	if err != nil {
		return nil, err
	}
	return &Assignment{r.copy(), r.pool.policy, r.seed.groupsOf(u)}, nil
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

// PutIcon implements [Catalogue].
func (d *MemoryDirectory) PutIcon(_ context.Context, data []byte) (string, error) {
	if len(data) == 0 || len(data) > MaxIcon {
		return "", bad("an icon has 1 to %d bytes", MaxIcon)
	}
	sum := sha256.Sum256(data)
	hash := hex.EncodeToString(sum[:])
	d.begin()
	defer d.mu.Unlock()
	switch {
	case d.icons[hash] != nil:
	case d.iconSize+len(data) > maxIcons:
		return "", bad("all icons together would have over %d bytes", maxIcons)
	default:
		d.icons[hash] = slices.Clone(data)
		d.iconSize += len(data)
	}
	return hash, nil
}

// Icon implements [Catalogue].
func (d *MemoryDirectory) Icon(_ context.Context, hash string) ([]byte, error) {
	d.begin()
	defer d.mu.Unlock()
	if d.icons[hash] == nil {
		return nil, reachback.Refuse(reachback.CodeNotFound)
	}
	return slices.Clone(d.icons[hash]), nil
}
