package sqldirectory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reachback/reachback/broker"
)

const (
	clearEvery = time.Second
	// clearHosts bounds the hosts that are cleared in one round, and
	// clearAtOnce those at the same time, whose commits then are one.
	clearHosts  = 256
	clearAtOnce = 16
	// deleteBatch bounds the rows that are deleted in one transaction.
	deleteBatch = 1000
)

// keepClear clears what has run out until ctx ends.
func (d *Directory) keepClear(ctx context.Context) {
	tick := time.NewTicker(clearEvery)
	defer tick.Stop()
	failing := false // an outage is told once, and its end
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		err := d.clear(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && !failing:
			d.log().Error("what has run out is not cleared, and tried until it is", "err", err)
		case err == nil && failing:
			d.log().Info("what has run out is cleared again")
		}
		failing = err != nil
	}
}

// clear does everything that is due.
func (d *Directory) clear(ctx context.Context) error {
	var judged error
	if d.shared {
		judged = d.judge(ctx)
	}
	return errors.Join(judged, d.clearDue(ctx), d.forget(ctx))
}

// clearDue gives slots back: those that were never joined, those of user sessions that
// have lingered, and those of hosts that have been absent for too long. One call does it
// at a time, and all find it done.
func (d *Directory) clearDue(ctx context.Context) error {
	select {
	case d.settling <- struct{}{}:
		defer func() { <-d.settling }()
	case <-ctx.Done():
		return fmt.Errorf("sqldirectory: %w", context.Cause(ctx))
	}
	for {
		var hosts []string
		err := d.read(ctx, func(t *tx) (err error) {
			// Hosts of nodes whose lease has ended are found here once
			// that is written down, and at once by judge.
			hosts, err = list(t, func(r row) (id string, err error) { return id, r.Scan(&id) },
				fmt.Sprintf(`SELECT host FROM (SELECT host FROM sessions WHERE state = 0 AND due <= $1 ORDER BY due LIMIT %[1]d) a
				UNION SELECT host FROM (SELECT host FROM desktops WHERE live = 0 AND NOT held AND linger <= $1 ORDER BY linger LIMIT %[1]d) b
				UNION SELECT id FROM (SELECT id FROM hosts WHERE NOT up AND user_sessions > 0 AND absent_since <= $2 ORDER BY absent_since LIMIT %[1]d) c`, clearHosts),
				t.now, t.now-broker.AbsentFor.Microseconds())
			return err
		})
		if err != nil || len(hosts) == 0 {
			return err
		}
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(clearAtOnce)
		for _, host := range hosts {
			g.Go(func() error { return d.clearHost(ctx, host) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
}

func (d *Directory) clearHost(ctx context.Context, host string) error {
	return d.write(ctx, "", func(t *tx) error {
		l, err := d.openLedger(t, host)
		if err != nil || l == nil {
			return err
		}
		if err := l.findAll(); err != nil {
			return err
		}
		l.clear()
		l.store()
		return nil
	})
}

// forget deletes rows whose time is over, some at a time.
func (d *Directory) forget(ctx context.Context) error {
	for _, s := range []struct {
		table, id, due, condition string
		past                      time.Duration
	}{
		{"sessions", "id", "due", "state >= 2 AND due <= $1", 0},
		{"spent", "token", "due", "due <= $1", 0},
		{"kills", "revision", "due", "due > 0 AND due <= $1", 0},
		{"registrations", "id", "expires", "expires <= $1", broker.KeepExpired},
		{"records", "id", "time", "time <= $1", d.recordsFor()},
	} {
		find := fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT %d", s.id, s.table, s.condition, s.due, deleteBatch)
		for more := true; more; {
			var ids []any
			err := d.read(ctx, func(t *tx) (err error) {
				ids, err = list(t, func(r row) (id any, err error) { return id, r.Scan(&id) }, find, t.now-s.past.Microseconds())
				return err
			})
			if err != nil {
				return err
			}
			if more = len(ids) == deleteBatch; len(ids) == 0 {
				continue
			}
			err = d.write(ctx, "", func(t *tx) error {
				params, args := in([]any{t.now - s.past.Microseconds()}, ids)
				t.exec(fmt.Sprintf("DELETE FROM %s WHERE %s IN (%s) AND %s", s.table, s.id, params, s.condition), args...)
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
