package sqldirectory

import (
	"context"
	"errors"
)

var errNoSecret = errors.New("sqldirectory: no secret was given to seal the keys with")

// LoadKeys implements broker.KeyStore.
func (d *Directory) LoadKeys(ctx context.Context) (data []byte, revision uint64, err error) {
	if d.seal == nil {
		return nil, 0, errNoSecret
	}
	var sealed []byte
	var rev int64
	var found bool
	err = d.read(ctx, func(t *tx) (err error) {
		found, err = t.get([]any{&sealed, &rev}, "SELECT sealed, revision FROM keys WHERE id = 1")
		return err
	})
	if err != nil || !found {
		return nil, 0, err
	}
	if data, err = d.seal.open(sealed, uint64(rev)); err != nil {
		return nil, 0, err
	}
	return data, uint64(rev), nil
}

// SaveKeys implements broker.KeyStore.
func (d *Directory) SaveKeys(ctx context.Context, data []byte, revision uint64) (bool, error) {
	if d.seal == nil {
		return false, errNoSecret
	}
	sealed := d.seal.close(data, revision+1)
	saved := false
	err := d.write(ctx, "", func(t *tx) (err error) {
		if revision == 0 {
			saved, err = t.exists("INSERT INTO keys (id, revision, sealed) VALUES (1, 1, $1) ON CONFLICT (id) DO NOTHING RETURNING id", sealed)
		} else {
			saved, err = t.exists("UPDATE keys SET revision = revision + 1, sealed = $1 WHERE id = 1 AND revision = $2 RETURNING id", sealed, int64(revision))
		}
		return err
	})
	return saved && err == nil, err
}
