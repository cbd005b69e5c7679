package sqldirectory

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestANewerSchemaIsRefused(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		dsn := k.dsn(t)
		d, err := Open(t.Context(), dsn, nil)
		require.NoError(t, err)
		require.NoError(t, d.write(t.Context(), "", func(t *tx) error {
			t.exec("INSERT INTO schema_version (version_id, is_applied) VALUES (99, TRUE)")
			return nil
		}))
		require.NoError(t, d.Close())
		_, err = Open(t.Context(), dsn, nil)
		require.ErrorContains(t, err, "the schema has version 99 and this program knows up to 1")
	})
}

func TestBrokersThatStartAtOnceMigrateOnce(t *testing.T) {
	dsn := onPostgres.dsn(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			d, err := Open(t.Context(), dsn, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
