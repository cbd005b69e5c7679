package sqldirectory

import (
	"bytes"
	"crypto/rand"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/broker"
)

func randomSecret() []byte {
	b := make([]byte, MinKeySecret)
	rand.Read(b)
	return b
}

// keysAt opens a database with a secret and returns its keys.
func keysAt(t *testing.T, dsn string, secret []byte) (*Directory, *broker.Keys) {
	t.Helper()
	d := openedWith(t, dsn, &Options{KeySecret: secret, idle: true})
	k, err := d.Keys(t.Context())
	require.NoError(t, err)
	return d, k
}

func published(t *testing.T, k *broker.Keys) string {
	t.Helper()
	set, err := k.JWKS()
	require.NoError(t, err)
	return string(set)
}

func TestKeysOutliveTheBrokerAndAreSealed(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		dsn, secret := k.dsn(t), randomSecret()
		d, err := Open(t.Context(), dsn, &Options{KeySecret: secret})
		require.NoError(t, err)
		first, err := d.Keys(t.Context())
		require.NoError(t, err)
		var sealed []byte
		require.NoError(t, d.read(t.Context(), func(t *tx) error {
			_, err := t.get([]any{&sealed}, "SELECT sealed FROM keys")
			return err
		}))
		require.NotContains(t, string(sealed), "tokens", "what is in the row is not the keys' JSON")
		require.NoError(t, d.Close())

		_, err = Open(t.Context(), dsn, &Options{KeySecret: randomSecret()})
		require.ErrorContains(t, err, "sealed with another secret")

		d, again := keysAt(t, dsn, secret)
		require.Equal(t, published(t, first), published(t, again))
		require.Equal(t, first.ServerCA(), again.ServerCA())

		require.NoError(t, d.write(t.Context(), "", func(t *tx) error {
			t.exec("UPDATE keys SET revision = revision + 1") // an old row under a new number
			return nil
		}))
		_, _, err = d.LoadKeys(t.Context())
		require.ErrorIs(t, err, errSecret)
	})
}

func TestKeysWithoutASecretAreRefused(t *testing.T) {
	d := opened(t, onSQLite.dsn(t), nil)
	_, err := d.Keys(t.Context())
	require.ErrorIs(t, err, errNoSecret)
}

func TestBrokersThatShareADatabaseHaveTheSameKeys(t *testing.T) {
	dsn, secret := onPostgres.dsn(t), randomSecret()
	const brokers = 4
	var wg sync.WaitGroup
	all := make([]*broker.Keys, brokers)
	for i := range all {
		wg.Go(func() {
			d, err := Open(t.Context(), dsn, &Options{KeySecret: secret})
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { d.Close() })
			if all[i], err = d.Keys(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range all {
		require.NotNil(t, k)
		require.Equal(t, published(t, all[0]), published(t, k))
	}
	for _, k := range all { // only the first of them does so
		wg.Go(func() {
			if err := k.Rotate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range all {
		require.NoError(t, k.Refresh(t.Context()))
		require.Equal(t, published(t, all[0]), published(t, k))
		require.Equal(t, 2, strings.Count(published(t, k), `"kid"`))
	}
}

func TestA10_ADefaultOrShortSecretIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		secret []byte
	}{
		{"empty", []byte{}},
		{"short", randomSecret()[1:]},
		{"zeros", make([]byte, 64)},
		{"one letter", bytes.Repeat([]byte("x"), 64)},
		{"a word over and over", bytes.Repeat([]byte("changeme"), 8)},
		{"a word in capitals", []byte("CHANGEME-CHANGEME-CHANGEME-CHANGEME")},
		{"a password", []byte("my very own password for the broker!")},
		{"digits in order", []byte("01234567890123456789012345678901234567")},
		{"bytes that count", func() (b []byte) {
			for i := range 64 {
				b = append(b, byte(i))
			}
			return b
		}()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(t.Context(), onSQLite.dsn(t), &Options{KeySecret: tt.secret})
			require.ErrorContains(t, err, "the secret for the keys")
			if len(tt.secret) > 0 {
				require.NotContains(t, err.Error(), string(tt.secret))
			}
		})
	}
	for _, good := range [][]byte{randomSecret(), []byte(rand.Text() + rand.Text())} {
		_, err := newSealer(good)
		require.NoError(t, err)
	}
}

// A kept secret must be the one that works: A11 for what this package takes.
func TestA11_TheSecretIsEffective(t *testing.T) {
	text := []byte("text")
	one, err := newSealer(randomSecret())
	require.NoError(t, err)
	other, err := newSealer(randomSecret())
	require.NoError(t, err)
	sealed := one.close(text, 1)
	got, err := one.open(sealed, 1)
	require.NoError(t, err)
	require.Equal(t, text, got)
	_, err = other.open(sealed, 1)
	require.ErrorIs(t, err, errSecret)
	for i := range sealed {
		_, err := one.open(sealed[:i], 1)
		require.ErrorIs(t, err, errSecret)
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		_, err = one.open(changed, 1)
		require.ErrorIs(t, err, errSecret)
	}
	require.NotEqual(t, sealed, one.close(text, 1))
}
