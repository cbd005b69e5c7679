package sqldirectory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// Resources implements broker.Catalogue.
func (d *Directory) Resources(ctx context.Context, u *reachback.User) ([]reachback.Resource, error) {
	var found []reachback.Resource
	err := d.read(ctx, func(t *tx) (err error) {
		params, args := in([]any{u.Tenant}, assignees(u))
		found, err = list(t, func(r row) (v reachback.Resource, err error) {
			var view string
			var updated int64
			if err := r.Scan(&view, &updated); err != nil {
				return v, err
			}
			err = json.Unmarshal([]byte(view), &v)
			v.UpdatedAt = atMicros(updated)
			return v, err
		}, `SELECT r.view, r.updated_at FROM resources r WHERE r.tenant = $1 AND r.id IN
			(SELECT a.resource FROM assignments a WHERE a.tenant = $1 AND a.assignee IN (`+params+`)) ORDER BY r.title, r.id`, args...)
		return err
	})
	return found, err
}

// Assigned implements broker.Catalogue.
func (d *Directory) Assigned(ctx context.Context, u *reachback.User, resource string) (*broker.Assignment, error) {
	a := &broker.Assignment{}
	err := d.read(ctx, func(t *tx) error {
		params, args := in([]any{u.Tenant, resource}, assignees(u))
		assigned, err := list(t, func(r row) (to string, err error) {
			err = r.Scan(&to)
			return to, err
		}, "SELECT a.assignee FROM assignments a WHERE a.tenant = $1 AND a.resource = $2 AND a.assignee IN ("+params+")", args...)
		if err != nil {
			return err
		}
		var view, policy string
		var updated int64
		found, err := t.get([]any{&view, &updated, &policy}, `SELECT r.view, r.updated_at, p.policy
			FROM resources r JOIN pools p ON p.tenant = r.tenant AND p.name = r.pool WHERE r.tenant = $1 AND r.id = $2`, u.Tenant, resource)
		switch {
		case err != nil:
			return err
		case !found:
			return reachback.Refuse(reachback.CodeResourceNotFound)
		case len(assigned) == 0:
			return reachback.Refuse(reachback.CodeNotAssigned)
		}
		a.Groups = nil // of an attempt before
		for _, g := range u.Groups {
			if slices.Contains(assigned, "group:"+g) {
				a.Groups = append(a.Groups, g)
			}
		}
		if err := json.Unmarshal([]byte(view), &a.Resource); err != nil {
			return err
		}
		a.Resource.UpdatedAt = atMicros(updated)
		return json.Unmarshal([]byte(policy), &a.Policy)
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Workspace implements broker.Catalogue.
func (d *Directory) Workspace(ctx context.Context, tenant string) (string, error) {
	title := ""
	err := d.read(ctx, func(t *tx) error {
		_, err := t.get([]any{&title}, "SELECT workspace FROM tenants WHERE tenant = $1", tenant)
		return err
	})
	return title, err
}

// PutIcon implements broker.Catalogue.
func (d *Directory) PutIcon(ctx context.Context, data []byte) (string, error) {
	if len(data) == 0 || len(data) > broker.MaxIcon {
		return "", bad(fmt.Sprintf("an icon has 1 to %d bytes", broker.MaxIcon))
	}
	sum := sha256.Sum256(data)
	hash := hex.EncodeToString(sum[:])
	err := d.write(ctx, "", func(t *tx) error {
		t.exec("INSERT INTO icons (hash, data) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING", hash, data)
		return nil
	})
	if err != nil {
		return "", err
	}
	return hash, nil
}

// Icon implements broker.Catalogue.
func (d *Directory) Icon(ctx context.Context, hash string) ([]byte, error) {
	var data []byte
	err := d.read(ctx, func(t *tx) error {
		found, err := t.get([]any{&data}, "SELECT data FROM icons WHERE hash = $1", hash)
		if err == nil && !found {
			err = reachback.Refuse(reachback.CodeNotFound)
		}
		return err
	})
	return data, err
}
