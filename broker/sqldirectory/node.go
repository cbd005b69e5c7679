package sqldirectory

import (
	"context"
	"sync"
	"time"
)

// lapseBatch is how many hosts of a node are marked absent in one transaction.
const lapseBatch = 500

// A node is this directory's place among those that use the database.
type node struct {
	id string

	mu sync.Mutex
	// judgeFrom is when other nodes' leases may be found ended, by this
	// machine's monotonic clock; zero while the database is away.
	judgeFrom time.Time
}

func (d *Directory) lease() time.Duration {
	if d.options.Lease > 0 {
		return d.options.Lease
	}
	return DefaultLease
}

// floor is the time until which a lease must reach to be in force. While leases are
// not judged it is the beginning of time.
func (d *Directory) floor(t *tx) int64 {
	if !d.shared {
		return 0
	}
	d.node.mu.Lock()
	defer d.node.mu.Unlock()
	if d.node.judgeFrom.IsZero() || time.Now().Before(d.node.judgeFrom) {
		return 0
	}
	return t.now
}

// reached notes whether the database could be reached. After it could not, the other
// nodes get time to renew their leases.
func (d *Directory) reached(ok bool) {
	d.node.mu.Lock()
	defer d.node.mu.Unlock()
	switch {
	case !ok:
		d.node.judgeFrom = time.Time{}
	case d.node.judgeFrom.IsZero():
		d.node.judgeFrom = time.Now().Add(d.lease())
	}
}

// join makes this directory a node. A database that is not shared has no other, so
// whatever is up there was left by a process that has died.
func (d *Directory) join(ctx context.Context) error {
	d.node.id = randomID(8)
	d.reached(true)
	return d.writeAll(ctx, func(t *tx) error {
		until := never
		if d.shared {
			until = t.now + d.lease().Microseconds()
		} else {
			t.exec("UPDATE hosts SET up = FALSE, absent_since = $1 WHERE up", t.now)
			t.exec("UPDATE gateways SET up = FALSE WHERE up")
			t.exec("DELETE FROM nodes")
		}
		t.exec("INSERT INTO nodes (id, lease_until) VALUES ($1, $2)", d.node.id, until)
		return nil
	})
}

// part gives the place up. Where that fails the lease ends by itself.
func (d *Directory) part() {
	err := d.writeAll(context.Background(), func(t *tx) error {
		t.exec("UPDATE hosts SET up = FALSE, absent_since = $1 WHERE node = $2 AND up", t.now, d.node.id)
		t.exec("UPDATE gateways SET up = FALSE WHERE node = $1 AND up", d.node.id)
		t.exec("DELETE FROM nodes WHERE id = $1", d.node.id)
		return nil
	})
	if err != nil {
		d.log().Warn("place not given up", "node", d.node.id, "err", err)
	}
}

// keepLease renews the lease until ctx ends.
func (d *Directory) keepLease(ctx context.Context) {
	renew := time.NewTicker(d.lease() / 3)
	defer renew.Stop()
	for {
		select {
		case <-renew.C:
		case <-ctx.Done():
			return
		}
		err := d.renew(ctx)
		if err != nil && ctx.Err() == nil {
			d.log().Error("lease not renewed", "node", d.node.id, "err", err)
		}
		d.reached(err == nil)
	}
}

// renew prolongs the lease. A node whose row another has deleted puts its hosts back
// that were marked absent for that.
func (d *Directory) renew(ctx context.Context) error {
	return d.writeAll(ctx, func(t *tx) error {
		until := t.now + d.lease().Microseconds()
		there, err := t.exists("UPDATE nodes SET lease_until = $1 WHERE id = $2 RETURNING id", until, d.node.id)
		if there || err != nil {
			return err
		}
		t.exec("INSERT INTO nodes (id, lease_until) VALUES ($1, $2)", d.node.id, until)
		t.exec("UPDATE hosts SET up = TRUE, lapsed = FALSE WHERE node = $1 AND lapsed AND NOT up", d.node.id)
		t.exec("UPDATE gateways SET up = TRUE, lapsed = FALSE WHERE node = $1 AND lapsed AND NOT up", d.node.id)
		return nil
	})
}

// judge marks what belongs to nodes whose lease has ended as absent since then.
func (d *Directory) judge(ctx context.Context) error {
	type ended struct {
		id    string
		since int64
	}
	var nodes []ended
	err := d.read(ctx, func(t *tx) (err error) {
		nodes, err = list(t, func(r row) (e ended, err error) {
			return e, r.Scan(&e.id, &e.since)
		}, "SELECT id, lease_until FROM nodes WHERE lease_until <= $1", d.floor(t))
		return err
	})
	for _, n := range nodes {
		for more := true; more && err == nil; {
			more, err = d.lapse(ctx, n.id)
		}
		if err == nil {
			d.log().Warn("a broker's lease has ended", "node", n.id, "since", atMicros(n.since))
		}
	}
	return err
}

// lapse marks some of what belongs to a node as absent, and deletes its row when that
// was all. It reports whether there is more.
func (d *Directory) lapse(ctx context.Context, id string) (more bool, err error) {
	err = d.writeAll(ctx, func(t *tx) error {
		var since int64
		found, err := t.get([]any{&since}, "SELECT lease_until FROM nodes n WHERE id = $1 AND lease_until <= $2 {lock n}", id, d.floor(t))
		if !found || err != nil {
			more = false
			return err
		}
		hosts, err := list(t, func(r row) (id string, err error) { return id, r.Scan(&id) },
			"SELECT h.id FROM hosts h WHERE h.node = $1 AND h.up ORDER BY h.id LIMIT $2 {lock h}", id, lapseBatch)
		if err != nil {
			return err
		}
		if more = len(hosts) > 0; more {
			ids, args := in([]any{since}, hosts)
			t.exec("UPDATE hosts SET up = FALSE, lapsed = TRUE, absent_since = $1 WHERE id IN ("+ids+")", args...)
			return nil
		}
		t.exec("UPDATE gateways SET up = FALSE, lapsed = TRUE WHERE node = $1 AND up", id)
		t.exec("DELETE FROM nodes WHERE id = $1", id)
		return nil
	})
	return more, err
}
