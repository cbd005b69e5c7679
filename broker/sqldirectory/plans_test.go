package sqldirectory

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/broker"
)

// A watched database notes the statements that are run on it, with the parameters of
// the last time.
type watched struct {
	database
	seen map[string][]any
}

func (w *watched) write(ctx context.Context, person string, f func(t *tx) error) error {
	return w.database.write(ctx, person, func(t *tx) error { return f(&tx{t.now, &watchedStatements{t, w}}) })
}

func (w *watched) read(ctx context.Context, f func(t *tx) error) error {
	return w.database.read(ctx, func(t *tx) error { return f(&tx{t.now, &watchedStatements{t, w}}) })
}

type watchedStatements struct {
	t *tx
	w *watched
}

func (s *watchedStatements) later(each func(r row) error, sql string, args ...any) {
	s.w.seen[sql] = slices.Clone(args)
	s.t.later(each, sql, args...)
}

func (s *watchedStatements) query(each func(r row) error, sql string, args ...any) error {
	s.w.seen[sql] = slices.Clone(args)
	return s.t.query(each, sql, args...)
}

// small are the tables that may be read whole.
var small = []string{"nodes", "counters", "facts", "keys", "tenants", "pools", "gateways"}

// What a user, a gateway or a host has done often reads no big table from end to end.
func TestHotStatementsUseIndexes(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a database")
	}
	each(t, func(t *testing.T, k kind) {
		d := opened(t, k.dsn(t), nil)
		fill(t, d, 20)
		fillMore(t, d)
		analyze(t, d)
		w := &watched{d.db, make(map[string][]any)}
		d.db = w
		hot(t, d)
		d.db = w.database
		require.Greater(t, len(w.seen), 30)
		for _, sql := range slices.Sorted(maps.Keys(w.seen)) {
			for _, table := range scanned(t, d, sql, w.seen[sql]) {
				require.Contains(t, small, table, "%s is read whole by\n%s", table, sql)
			}
		}
	})
}

// hot does what is done often, once.
func hot(t *testing.T, d *Directory) {
	ctx := t.Context()
	u := benchUser(1)
	resources, err := d.Resources(ctx, u)
	require.NoError(t, err)
	_, err = d.Assigned(ctx, u, resources[0].ID)
	require.NoError(t, err)
	for range 2 { // the second time he has a user session
		s := reserveFor(t, d, u, resources[0].ID)
		require.NoError(t, d.Joined(ctx, s.ID, "call"))
		require.NoError(t, d.Left(ctx, s.ID, "call"))
		s = reserveFor(t, d, u, resources[0].ID)
		require.NoError(t, d.Release(ctx, s.ID))
		a, err := d.Attach(ctx, s.Host)
		require.NoError(t, err)
		require.NoError(t, d.Health(ctx, s.Host, a.Epoch, &broker.Health{Fit: true}))
		_, err = d.HostReport(ctx, s.Host, a.Epoch, true, []broker.SessionReport{{Session: s.ID, State: broker.ReportEnded}})
		require.NoError(t, err)
		require.NoError(t, d.Drain(ctx, s.Host, a.Epoch, false))
		_, err = d.Session(ctx, s.ID)
		require.NoError(t, err)
		_, err = d.Host(ctx, s.Host)
		require.NoError(t, err)
	}
	_, err = d.Kills(ctx, 1)
	require.NoError(t, err)
	require.NoError(t, d.AddRecords(ctx, []broker.Record{{Time: time.Now(), CorrelationID: "c"}}))
	_, err = d.FindRecords(ctx, &broker.RecordQuery{CorrelationID: "c"})
	require.NoError(t, err)
	require.NoError(t, d.clearDue(ctx))
	require.NoError(t, d.forget(ctx))
}

// fillMore makes the tables big that calls, and other tenants, make grow.
func fillMore(t *testing.T, d *Directory) {
	const rows = 20_000
	require.NoError(t, d.Apply(t.Context(), &broker.Seed{Tenant: "other", Pools: []broker.SeedPool{{Name: "pool"}}}))
	insert(t, d, "resources", "tenant, id, pool, title, setup, view, updated_at", rows, func(n int) string {
		return fmt.Sprintf(`('other', 'resource%d', 'pool', 'resource', '{}', '{}', 1)`, n)
	})
	later := time.Now().Add(time.Hour).UnixMicro()
	insert(t, d, "sessions", "id, tenant, subject, person, pool, host, token, state, epoch, host_key, joined, calls, created, changed, due, body", rows, func(n int) string {
		due := later
		state := n % 5
		return fmt.Sprintf(`('session%d', '', 'user%06d', 'person%d', '%s', 'host%05d', 'token%d', %d, 1, '', TRUE, '', %d, 1, %d, '{}')`,
			n, n, n, benchPool(n), n%500, n, state, n+1, due)
	})
	insert(t, d, "desktops", "host, person, tenant, pool, live, used, last, held, linger", rows, func(n int) string {
		return fmt.Sprintf(`('host%05d', 'person%d', '', '%s', %d, 1, '', FALSE, %d)`, n%500, n, benchPool(n), n%2, later)
	})
	insert(t, d, "spent", "token, call, raw, address, since, due, session, killed", rows, func(n int) string {
		return fmt.Sprintf(`('token%d', '', FALSE, '', 1, %d, '', FALSE)`, n, later)
	})
	insert(t, d, "kills", "revision, session, on_host, host, gateway, code, due", rows, func(n int) string {
		return fmt.Sprintf(`(%d, 'session%d', 'host%05d', '', '', 'killed', %d)`, -n, n, n%500, later)
	})
	insert(t, d, "registrations", "id, hash, role, tenant, pool, expires, uses, made", rows, func(n int) string {
		return fmt.Sprintf(`('registration%d', '', '', '', '', %d, 1, 1)`, n, later)
	})
	insert(t, d, "records", "id, time, tenant, subject, host, session, correlation, step, code, body", rows, func(n int) string {
		return fmt.Sprintf(`(%d, %d, '', 'user%06d', 'host%05d', 'session%d', 'correlation%d', 'end', '', '{}')`, -n, later, n, n%500, n, n)
	})
}

// scanned are the tables that a statement reads whole, as the database plans it.
func scanned(t *testing.T, d *Directory, sql string, args []any) []string {
	if p, ok := d.db.(*postgres); ok {
		return scannedByPostgres(t, p, sql, args)
	}
	var tables []string
	for _, line := range explain(t, d, sql, args) {
		if m := regexp.MustCompile(`^SCAN (\w+)`).FindStringSubmatch(line); m != nil {
			tables = append(tables, tableOf(sql, m[1]))
		}
	}
	return tables
}

func explain(t *testing.T, d *Directory, sql string, args []any) []string {
	var plan []string
	require.NoError(t, d.read(t.Context(), func(t *tx) error {
		return t.query(func(r row) error {
			var id, parent, unused int
			var detail string
			err := r.Scan(&id, &parent, &unused, &detail)
			plan = append(plan, detail)
			return err
		}, "EXPLAIN QUERY PLAN "+sql, args...)
	}), sql)
	return plan
}

// tableOf is the table that a name in a statement stands for.
func tableOf(sql, name string) string {
	if m := regexp.MustCompile(`(?:FROM|JOIN|UPDATE) (\w+) ` + name + `\b`).FindStringSubmatch(sql); m != nil {
		return m[1]
	}
	if m := regexp.MustCompile(`FROM (\w+) [^()]*\) ` + name + `\b`).FindStringSubmatch(sql); m != nil {
		return "nodes" // a result of its own, with a LIMIT
	}
	return name
}

// scannedByPostgres asks for the plan by which the statement is run, whatever its
// parameters.
func scannedByPostgres(t *testing.T, p *postgres, sql string, args []any) []string {
	conn, err := p.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), "DEALLOCATE ALL; PREPARE hot AS "+postgresSQL(sql))
	require.NoError(t, err, sql)
	call := "EXPLAIN (FORMAT TEXT) EXECUTE hot"
	if len(args) > 0 {
		call += "(" + strings.Join(literals(t, args), ",") + ")"
	}
	rows, err := conn.Query(t.Context(), call, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err, call)
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "DEALLOCATE ALL")
	require.NoError(t, err)
	conn.Conn().DeallocateAll(t.Context())
	var tables []string
	for _, line := range plan {
		if m := regexp.MustCompile(`Seq Scan on (\w+)`).FindStringSubmatch(line); m != nil {
			tables = append(tables, m[1])
		}
	}
	return tables
}

func literals(t *testing.T, args []any) []string {
	var all []string
	for _, a := range args {
		switch v := a.(type) {
		case string:
			all = append(all, "'"+strings.ReplaceAll(v, "'", "''")+"'")
		case []byte:
			all = append(all, `'\x`+hex.EncodeToString(v)+"'")
		case int64, int, bool:
			all = append(all, fmt.Sprint(v))
		default:
			require.Fail(t, "a parameter of another type", "%T", a)
		}
	}
	return all
}
