package sqldirectory

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/internal/peertest"
)

// The installation of the benchmarks: each user has ten resources of his own, and
// sixteen by his groups.
const (
	benchHosts       = 10_000
	benchPools       = 20
	benchUsers       = 100_000
	benchAssignments = 1_000_000
	benchResources   = 2_000
	benchAtOnce      = 64
)

// benchPart is by how much the installation is smaller: with -short it is.
func benchPart() int {
	if testing.Short() {
		return 20
	}
	return 1
}

func benchUser(n int) *reachback.User {
	u := &reachback.User{Issuer: "https://idp.example", Subject: fmt.Sprintf("user%06d", n)}
	for i := range 8 {
		u.Groups = append(u.Groups, fmt.Sprintf("group%04d", (n+i*7)%1000))
	}
	return u
}

func benchPool(n int) string { return fmt.Sprintf("pool%02d", n%benchPools) }

// fill sets the installation up, or a part of it, by a few statements of its own: through
// the methods it would take as long as to enrol ten thousand hosts does.
func fill(t testing.TB, d *Directory, part int) {
	s := &broker.Seed{}
	for n := range benchPools {
		s.Pools = append(s.Pools, broker.SeedPool{Name: benchPool(n), MaxSessions: 100})
	}
	for n := range benchResources {
		s.Resources = append(s.Resources, broker.SeedResource{
			ID: fmt.Sprintf("resource%04d", n), Pool: benchPool(n), Assign: []string{fmt.Sprintf("group:group%04d", n%1000)},
		})
	}
	require.NoError(t, d.Apply(t.Context(), s))
	blob := `X'%064x'`
	if d.shared {
		blob = `'\x%064x'`
	}
	insert(t, d, "hosts", hostInsert, benchHosts/part, func(n int) string {
		return fmt.Sprintf(`('host%05d', '', 'host%05d', '%s', `+blob+`, '', TRUE, FALSE, FALSE, 0, 1, TRUE, '%s', FALSE, 1, 0, FALSE, '', 0, TRUE, '', 0, 0)`,
			n, n, benchPool(n), n, d.node.id)
	})
	insert(t, d, "assignments", "tenant, assignee, resource, place", benchAssignments/part, func(n int) string {
		user, nth := n%(benchUsers/part), n/(benchUsers/part)
		return fmt.Sprintf(`('', 'user:user%06d', 'resource%04d', %d)`, user, (user*7+nth*11)%benchResources, n)
	})
}

// hostInsert are the columns of hosts.
const hostInsert = `id, tenant, name, pool, key, assigned_to, approved, drain, revoked, revision, enrolled_at,
	up, node, lapsed, epoch, absent_since, draining, replaced, duplicate_until, fit, health, user_sessions, rank`

// insert fills a table with what row says, the values of one in parentheses.
func insert(t testing.TB, d *Directory, table, columns string, rows int, row func(n int) string) {
	const atOnce, inOne = 50_000, 500 // in a transaction, and in a statement
	for from := 0; from < rows; from += atOnce {
		require.NoError(t, d.writeAll(t.Context(), func(t *tx) error {
			for at := from; at < min(from+atOnce, rows); at += inOne {
				var values []string
				for n := at; n < min(at+inOne, rows); n++ {
					values = append(values, row(n))
				}
				t.exec("INSERT INTO " + table + " (" + columns + ") VALUES " + strings.Join(values, ","))
			}
			return nil
		}))
	}
}

// analyze has PostgreSQL look at what it holds, as it does by itself a minute after a
// table has grown. SQLite never does.
func analyze(t testing.TB, d *Directory) {
	if d.shared {
		require.NoError(t, d.writeAll(t.Context(), func(t *tx) error { t.exec("ANALYZE"); return nil }))
	}
}

// benchKinds have a database that waits for the disk, and one that does not.
var benchKinds = []struct {
	name string
	open func(b *testing.B) *Directory
}{
	{"SQLite", func(b *testing.B) *Directory { return openedWith(b, onSQLite.dsn(b), nil) }},
	{"PostgreSQL", func(b *testing.B) *Directory { return openedWith(b, peertest.StartPostgres(b).DSN, nil) }},
	{"SQLite-no-fsync", func(b *testing.B) *Directory {
		d := openedWith(b, onSQLite.dsn(b), nil)
		require.NoError(b, d.db.(*sqlite).writer.run("PRAGMA synchronous = OFF"))
		return d
	}},
	{"PostgreSQL-no-fsync", func(b *testing.B) *Directory { return openedWith(b, peertest.Postgres(b), nil) }},
}

// BenchmarkOrchestrations has as many calls at once go from the reservation to their
// end. It prints the disk's fsyncs per second beside, each for itself, and the longest
// reservation of all but one in a hundred.
func BenchmarkOrchestrations(b *testing.B) {
	for _, k := range benchKinds {
		b.Run(k.name, func(b *testing.B) {
			d := k.open(b)
			fill(b, d, benchPart())
			orchestrations(b, d, 0, 2000)
			analyze(b, d)
			syncs := fsyncs(b)
			b.ResetTimer()
			all := orchestrations(b, d, 2000, b.N)
			b.StopTimer()
			b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "calls/s")
			b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(syncs, "fsyncs/s")
			b.ReportMetric(float64(d.Stats().Retries)/float64(b.N), "retries/op")
		})
	}
}

// orchestrations are n calls from one on, benchAtOnce at a time. It returns how long
// their reservations took, sorted.
func orchestrations(b *testing.B, d *Directory, from, n int) []time.Duration {
	took := make([][]time.Duration, benchAtOnce)
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range benchAtOnce {
		wg.Go(func() {
			for {
				at := int(next.Add(1))
				if at > n {
					return
				}
				took[w] = append(took[w], orchestrate(b, d, from+at))
			}
		})
	}
	wg.Wait()
	return slices.Sorted(slices.Values(slices.Concat(took...)))
}

// orchestrate is a call: reserved, joined and left. One in ten is not taken by its
// host but released. It returns how long the reservation took.
func orchestrate(b *testing.B, d *Directory, n int) time.Duration {
	ctx := b.Context()
	token, err := d.NewTokenID(ctx)
	if err != nil {
		b.Error(err)
		return 0
	}
	user := (n * 7919) % (benchUsers / benchPart())
	r := &broker.Reservation{
		User: *benchUser(user), Resource: fmt.Sprintf("resource%04d", (user*7)%benchResources), Token: token,
		Expires: time.Now().Add(10 * time.Minute), Call: token, CorrelationID: token,
	}
	began := time.Now()
	s, err := d.Reserve(ctx, r)
	took := time.Since(began)
	switch {
	case err != nil:
	case n%10 == 0:
		err = d.Release(ctx, s.ID)
	default:
		if err = d.Joined(ctx, s.ID, token); err == nil {
			err = d.Left(ctx, s.ID, token)
		}
	}
	if err != nil {
		b.Error(err)
	}
	return took
}

// BenchmarkResources reads the feed of one user after the other.
func BenchmarkResources(b *testing.B) {
	for _, k := range benchKinds[:2] {
		b.Run(k.name, func(b *testing.B) {
			d := k.open(b)
			fill(b, d, benchPart())
			analyze(b, d)
			var took []time.Duration
			n, found := 0, 0
			for b.Loop() {
				began := time.Now()
				rs, err := d.Resources(b.Context(), benchUser((n*7919)%(benchUsers/benchPart())))
				took = append(took, time.Since(began))
				if err != nil {
					b.Fatal(err)
				}
				n++
				found += len(rs)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(found)/float64(n), "resources/op")
		})
	}
}

// fsyncs measures how often a second the disk makes one block durable.
func fsyncs(b *testing.B) float64 {
	f, err := os.Create(filepath.Join(b.TempDir(), "sync"))
	require.NoError(b, err)
	defer f.Close()
	block := make([]byte, 4096)
	n := 0
	began := time.Now()
	for time.Since(began) < 500*time.Millisecond {
		_, err := f.WriteAt(block, int64(n%256)*4096)
		require.NoError(b, err)
		require.NoError(b, f.Sync())
		n++
	}
	return float64(n) / time.Since(began).Seconds()
}
