package sqldirectory

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// lockTenant has whoever else changes the tenant's setup wait.
func (t *tx) lockTenant(tenant string) error {
	t.exec("INSERT INTO tenants (tenant, workspace) VALUES ($1, '') ON CONFLICT (tenant) DO NOTHING", tenant)
	_, err := t.exists("SELECT 1 FROM tenants t WHERE tenant = $1 {lock t}", tenant)
	return err
}

// Apply implements broker.Catalogue.
func (d *Directory) Apply(ctx context.Context, s *broker.Seed) error {
	if err := s.Check(); err != nil {
		return fmt.Errorf("sqldirectory: seed: %w", err)
	}
	return d.writeAll(ctx, func(t *tx) error {
		if err := t.lockTenant(s.Tenant); err != nil {
			return err
		}
		t.exec("UPDATE tenants SET workspace = $2 WHERE tenant = $1", s.Tenant, s.Workspace)
		old, err := t.setup(s.Tenant)
		if err != nil {
			return err
		}
		for i := range s.Pools {
			t.putPool(s.Tenant, &s.Pools[i])
		}
		for i := range s.Resources {
			r := &s.Resources[i]
			p := s.Pools[slices.IndexFunc(s.Pools, func(p broker.SeedPool) bool { return p.Name == r.Pool })]
			t.putResource(s.Tenant, r, &p)
			before := slices.IndexFunc(old.Resources, func(o broker.SeedResource) bool { return o.ID == r.ID })
			if before < 0 || !slices.Equal(old.Resources[before].Assign, r.Assign) {
				t.putAssignments(s.Tenant, r)
			}
		}
		for _, o := range old.Resources {
			if !slices.ContainsFunc(s.Resources, func(r broker.SeedResource) bool { return r.ID == o.ID }) {
				t.exec("DELETE FROM resources WHERE tenant = $1 AND id = $2", s.Tenant, o.ID)
			}
		}
		for _, o := range old.Pools {
			if !slices.ContainsFunc(s.Pools, func(p broker.SeedPool) bool { return p.Name == o.Name }) {
				t.exec("DELETE FROM pools WHERE tenant = $1 AND name = $2", s.Tenant, o.Name)
			}
		}
		return nil
	})
}

// putPool makes a pool or changes it.
func (t *tx) putPool(tenant string, p *broker.SeedPool) {
	t.exec(`INSERT INTO pools (tenant, name, personal, raw, approval, depth, max_sessions, linger, setup, policy)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (tenant, name) DO UPDATE SET personal = excluded.personal, raw = excluded.raw, approval = excluded.approval,
			depth = excluded.depth, max_sessions = excluded.max_sessions, linger = excluded.linger,
			setup = excluded.setup, policy = excluded.policy`,
		tenant, p.Name, p.Kind == broker.PoolPersonal, p.Raw, p.Approval, p.Balance == broker.DepthFirst, int64(p.MaxSessions),
		p.LingerFor().Microseconds(), toJSON(p), toJSON(p.GrantPolicy()))
	rank := "user_sessions"
	switch {
	case p.Kind == broker.PoolPersonal:
		rank = "CASE assigned_to WHEN '' THEN 0 ELSE 1 END"
	case p.Balance == broker.DepthFirst:
		rank = "-user_sessions"
	}
	// Of a pool that is as it was, none.
	t.exec("UPDATE hosts SET rank = "+rank+" WHERE tenant = $1 AND pool = $2 AND rank <> "+rank, tenant, p.Name)
}

// putResource makes a resource or changes it. One that users see as before was not
// updated.
func (t *tx) putResource(tenant string, r *broker.SeedResource, p *broker.SeedPool) {
	setup := *r
	setup.Assign = nil
	view := r.Resource(p)
	t.exec(`INSERT INTO resources (tenant, id, pool, title, setup, view, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (tenant, id) DO UPDATE SET pool = excluded.pool, title = excluded.title, setup = excluded.setup, view = excluded.view,
			updated_at = CASE WHEN resources.view = excluded.view THEN resources.updated_at ELSE excluded.updated_at END`,
		tenant, r.ID, r.Pool, view.Title, toJSON(&setup), toJSON(&view), second(t.now))
}

// putAssignments puts a resource's assignments in the place of all that it had.
func (t *tx) putAssignments(tenant string, r *broker.SeedResource) {
	t.exec("DELETE FROM assignments WHERE tenant = $1 AND resource = $2", tenant, r.ID)
	for i, to := range r.Assign {
		t.exec("INSERT INTO assignments (tenant, assignee, resource, place) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, assignee, resource) DO NOTHING",
			tenant, to, r.ID, int64(i))
	}
}

// Setup implements broker.Catalogue.
func (d *Directory) Setup(ctx context.Context, tenant string) (*broker.Seed, error) {
	var s *broker.Seed
	err := d.within(ctx, bulkTimeout, func(ctx context.Context) error {
		return d.db.read(ctx, func(t *tx) (err error) {
			s, err = t.setup(tenant)
			return err
		})
	})
	return s, err
}

func (t *tx) setup(tenant string) (*broker.Seed, error) {
	s := &broker.Seed{Tenant: tenant}
	t.later(func(r row) error { return r.Scan(&s.Workspace) }, "SELECT workspace FROM tenants WHERE tenant = $1", tenant)
	t.later(func(r row) error {
		var p broker.SeedPool
		s.Pools = append(s.Pools, p)
		return scanJSON(r, &s.Pools[len(s.Pools)-1])
	}, "SELECT setup FROM pools WHERE tenant = $1 ORDER BY name", tenant)
	index := make(map[string]int)
	t.later(func(r row) error {
		var v broker.SeedResource
		err := scanJSON(r, &v)
		index[v.ID] = len(s.Resources)
		s.Resources = append(s.Resources, v)
		return err
	}, "SELECT setup FROM resources WHERE tenant = $1 ORDER BY id", tenant)
	err := t.query(func(r row) error {
		var id, to string
		if err := r.Scan(&id, &to); err != nil {
			return err
		}
		a := &s.Resources[index[id]].Assign
		*a = append(*a, to)
		return nil
	}, "SELECT resource, assignee FROM assignments WHERE tenant = $1 ORDER BY resource, place, assignee", tenant)
	return s, err
}

func scanJSON(r row, v any) error {
	var text string
	if err := r.Scan(&text); err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), v)
}

// PutPool implements broker.Catalogue.
func (d *Directory) PutPool(ctx context.Context, tenant string, p *broker.SeedPool) error {
	if err := p.Check(); err != nil {
		return err
	}
	return d.writeAll(ctx, func(t *tx) error {
		if err := t.lockTenant(tenant); err != nil {
			return err
		}
		t.putPool(tenant, p)
		// What the users of its resources see may be another thing now.
		resources, err := list(t, func(r row) (v broker.SeedResource, err error) { return v, scanJSON(r, &v) },
			"SELECT setup FROM resources WHERE tenant = $1 AND pool = $2", tenant, p.Name)
		for i := range resources {
			t.putResource(tenant, &resources[i], p)
		}
		return err
	})
}

// PutResource implements broker.Catalogue.
func (d *Directory) PutResource(ctx context.Context, tenant string, r *broker.SeedResource) error {
	if err := r.Check(); err != nil {
		return err
	}
	return d.writeAll(ctx, func(t *tx) error {
		if err := t.lockTenant(tenant); err != nil {
			return err
		}
		pools, err := list(t, func(r row) (p broker.SeedPool, err error) { return p, scanJSON(r, &p) },
			"SELECT setup FROM pools WHERE tenant = $1 AND name = $2", tenant, r.Pool)
		if err != nil {
			return err
		}
		if len(pools) == 0 {
			return reachback.Refuse(reachback.CodePoolNotFound)
		}
		t.putResource(tenant, r, &pools[0])
		t.putAssignments(tenant, r)
		return nil
	})
}

// DeletePool implements broker.Catalogue.
func (d *Directory) DeletePool(ctx context.Context, tenant, name string) error {
	return d.writeAll(ctx, func(t *tx) error {
		if err := t.lockTenant(tenant); err != nil {
			return err
		}
		used, err := t.exists(`SELECT 1 FROM resources WHERE tenant = $1 AND pool = $2
			UNION ALL SELECT 1 FROM hosts WHERE tenant = $1 AND pool = $2 AND NOT revoked LIMIT 1`, tenant, name)
		if err != nil {
			return err
		}
		there, err := t.exists("SELECT 1 FROM pools WHERE tenant = $1 AND name = $2", tenant, name)
		switch {
		case err != nil:
			return err
		case !there:
			return reachback.Refuse(reachback.CodeNotFound)
		case used:
			return reachback.Refuse(reachback.CodeInUse)
		}
		t.exec("DELETE FROM pools WHERE tenant = $1 AND name = $2", tenant, name)
		return nil
	})
}

// DeleteResource implements broker.Catalogue.
func (d *Directory) DeleteResource(ctx context.Context, tenant, id string) error {
	return d.onResource(ctx, tenant, id, func(t *tx) {
		t.exec("DELETE FROM resources WHERE tenant = $1 AND id = $2", tenant, id)
	})
}

// Assign implements broker.Catalogue.
func (d *Directory) Assign(ctx context.Context, tenant, resource, to string) error {
	if err := broker.CheckAssignment(to); err != nil {
		return err
	}
	return d.onResource(ctx, tenant, resource, func(t *tx) {
		t.exec(`INSERT INTO assignments (tenant, assignee, resource, place)
			SELECT $1, $2, $3, COALESCE(max(place), 0) + 1 FROM assignments WHERE tenant = $1 AND resource = $3
			ON CONFLICT (tenant, assignee, resource) DO NOTHING`, tenant, to, resource)
	})
}

// Unassign implements broker.Catalogue.
func (d *Directory) Unassign(ctx context.Context, tenant, resource, to string) error {
	if err := broker.CheckAssignment(to); err != nil {
		return err
	}
	return d.onResource(ctx, tenant, resource, func(t *tx) {
		t.exec("DELETE FROM assignments WHERE tenant = $1 AND assignee = $2 AND resource = $3", tenant, to, resource)
	})
}

// onResource runs f for a resource that is there.
func (d *Directory) onResource(ctx context.Context, tenant, id string, f func(t *tx)) error {
	return d.writeAll(ctx, func(t *tx) error {
		if err := t.lockTenant(tenant); err != nil {
			return err
		}
		there, err := t.exists("SELECT 1 FROM resources WHERE tenant = $1 AND id = $2", tenant, id)
		if err != nil {
			return err
		}
		if !there {
			return reachback.Refuse(reachback.CodeNotFound)
		}
		f(t)
		return nil
	})
}
