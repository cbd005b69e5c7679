package sqldirectory

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/internal/durable"
)

func TestAFileBelongsToOneProcess(t *testing.T) {
	dsn := onSQLite.dsn(t)
	d, err := Open(t.Context(), dsn, nil)
	require.NoError(t, err)
	_, err = Open(t.Context(), dsn, nil)
	require.ErrorIs(t, err, durable.ErrLocked)
	require.NoError(t, d.Close())
	opened(t, dsn, nil)
}

func TestAFileIsForItsOwnerOnly(t *testing.T) {
	dsn := onSQLite.dsn(t)
	opened(t, dsn, nil)
	path := strings.TrimPrefix(dsn, "sqlite:")
	for _, file := range []string{path, path + "-wal", path + ".lock"} {
		fi, err := os.Stat(file)
		require.NoError(t, err)
		require.Zero(t, fi.Mode()&0o077, file)
	}
}

func TestWhatWasUpWhenTheProcessDiedIsAbsentFromThenOn(t *testing.T) {
	dsn := onSQLite.dsn(t)
	d, err := Open(t.Context(), dsn, nil)
	require.NoError(t, err)
	desktopFor(t, d, broker.SeedPool{})
	host := enrol(t, d, "pool")
	_, err = d.Attach(t.Context(), host)
	require.NoError(t, err)
	d.node.id = "" // so that Close marks nothing, as if there had been none
	require.NoError(t, d.Close())

	d = opened(t, dsn, nil)
	hosts, err := d.Hosts(t.Context(), &broker.HostQuery{})
	require.NoError(t, err)
	require.False(t, hosts[0].Up)
}

// Operations that come together share a commit, and one that fails does not take the
// others with it.
func TestOperationsShareACommit(t *testing.T) {
	d := opened(t, onSQLite.dsn(t), nil)
	s := d.db.(*sqlite)
	var wg sync.WaitGroup
	entered, leave := make(chan struct{}), make(chan struct{})
	wg.Go(func() {
		err := s.write(t.Context(), "", func(*tx) error {
			close(entered)
			<-leave
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-entered
	before := d.Stats().Commits
	failure := errors.New("failure")
	const operations = 100
	errs := make([]error, operations)
	for i := range operations {
		wg.Go(func() {
			errs[i] = s.write(t.Context(), "", func(t *tx) error {
				t.exec("INSERT INTO facts (name, value) VALUES ($1, '')", fmt.Sprint("fact", i))
				if i%2 == 1 {
					return failure
				}
				return nil
			})
		})
	}
	for len(s.ops) < operations {
	}
	close(leave)
	wg.Wait()
	require.EqualValues(t, 2, d.Stats().Commits-before, "that of the first, and one for all others")
	for i, err := range errs {
		require.Equal(t, i%2 == 1, err != nil)
	}
	var kept int
	require.NoError(t, d.read(t.Context(), func(t *tx) error {
		_, err := t.get([]any{&kept}, "SELECT count(*) FROM facts WHERE name LIKE 'fact%'")
		return err
	}))
	require.Equal(t, operations/2, kept)
}

func TestF8_AFullDiskRefusesTheChangeAndKeepsTheOldState(t *testing.T) {
	for _, tt := range []struct{ name, full, free string }{
		{"full", "PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000"},
		{"read-only", "PRAGMA query_only = ON", "PRAGMA query_only = OFF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := opened(t, onSQLite.dsn(t), nil)
			desktopFor(t, d, broker.SeedPool{})
			host := enrol(t, d, "pool")
			_, err := d.Attach(t.Context(), host)
			require.NoError(t, err)
			w := d.db.(*sqlite).writer
			require.NoError(t, w.run(tt.full))

			_, err = d.PutIcon(t.Context(), make([]byte, broker.MaxIcon))
			require.Error(t, err)
			require.Equal(t, reachback.CodeInternal, reachback.CodeOf(err), "it is no refusal")
			resources, err := d.Resources(t.Context(), alice())
			require.NoError(t, err)
			require.Len(t, resources, 1, "what is there can be read")

			require.NoError(t, w.run(tt.free))
			_, err = d.PutIcon(t.Context(), make([]byte, broker.MaxIcon))
			require.NoError(t, err)
			reserve(t, d, "desktop")
		})
	}
}

func TestAClosedDirectorySaysSo(t *testing.T) {
	d, err := Open(t.Context(), onSQLite.dsn(t), nil)
	require.NoError(t, err)
	require.NoError(t, d.Close())
	_, err = d.Kills(t.Context(), 0)
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, d.Approve(t.Context(), "host"), net.ErrClosed)
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ name, dsn, want string }{
		{"no scheme", "state.db", "must be"},
		{"another database", "mysql://localhost/x", "must be"},
		{"no path", "sqlite:", "a path is missing"},
		{"a directory that is not there", "sqlite:/nonexistent/x/state.db", "no such file"},
		{"rubbish", "postgres://user:pass%zzword@host", "not a PostgreSQL URL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(t.Context(), tt.dsn, nil)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "\n")
			require.NotContains(t, err.Error(), "zzword")
		})
	}
	path := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("this is no database ", 1000)), 0o600))
	_, err := Open(t.Context(), "sqlite:"+path, nil)
	require.ErrorContains(t, err, "not a database")
	left, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, left, 20_000, "and is left as it is")
}
