package peertest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/peertest"
)

func TestPostgresGivesEachTestATableSpaceOfItsOwn(t *testing.T) {
	one, other := peertest.Postgres(t), peertest.Postgres(t)
	for _, dsn := range []string{one, other} {
		c, err := pgx.Connect(t.Context(), dsn)
		require.NoError(t, err)
		_, err = c.Exec(t.Context(), "CREATE TABLE t (n INT)")
		require.NoError(t, err)
		require.NoError(t, c.Close(t.Context()))
	}
}

func TestPostgresEndsAndStarts(t *testing.T) {
	s := peertest.StartPostgres(t)
	for _, end := range []func(testing.TB){s.Stop, s.Crash} {
		end(t)
		_, err := pgx.Connect(t.Context(), s.DSN)
		require.Error(t, err)
		s.Start(t)
		c, err := pgx.Connect(t.Context(), s.DSN)
		require.NoError(t, err)
		require.NoError(t, c.Close(t.Context()))
	}
}
