package sqldirectory

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/directorytest"
	"github.com/reachback/reachback/internal/peertest"
)

// A kind is a database that tests run on.
type kind struct {
	name string
	// dsn names an empty database that ends with the test.
	dsn func(t testing.TB) string
}

var (
	onSQLite   = kind{"SQLite", func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "state.db") }}
	onPostgres = kind{"PostgreSQL", peertest.Postgres}
	kinds      = []kind{onSQLite, onPostgres}
)

// each runs a test on every kind of database.
func each(t *testing.T, f func(t *testing.T, k kind)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { f(t, k) })
	}
}

// opened opens a database until the end of the test. Nothing that has run out is
// cleared but when the test says so, or a method needs it.
func opened(t testing.TB, dsn string, ahead *atomic.Int64) *Directory {
	t.Helper()
	return openedWith(t, dsn, &Options{ahead: ahead, idle: true})
}

func openedWith(t testing.TB, dsn string, o *Options) *Directory {
	t.Helper()
	d, err := Open(t.Context(), dsn, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// A shared database is one that the conformance test opens twice.
type sharedDatabase struct {
	dsn   string
	ahead *atomic.Int64
}

// harness lets the conformance test run on a kind of database.
func (k kind) harness(t *testing.T) directorytest.Harness {
	if k.name == onPostgres.name {
		k.dsn(t) // so that the server runs for all cases
	}
	databases := make(map[broker.Directory]sharedDatabase)
	h := directorytest.Harness{
		New: func(t *testing.T) broker.Directory {
			s := sharedDatabase{k.dsn(t), &atomic.Int64{}}
			d := opened(t, s.dsn, s.ahead)
			databases[d] = s
			return d
		},
		// What has run out is cleared within a second; here it is at once.
		Advance: func(t *testing.T, d broker.Directory, by time.Duration) {
			databases[d].ahead.Add(by.Microseconds())
			require.NoError(t, d.(*Directory).clear(t.Context()))
		},
	}
	if k.name == onPostgres.name {
		h.Second = func(t *testing.T, d broker.Directory) broker.Directory {
			return opened(t, databases[d].dsn, databases[d].ahead)
		}
	}
	return h
}

func TestDirectory(t *testing.T) {
	each(t, func(t *testing.T, k kind) { directorytest.Run(t, k.harness(t)) })
}
