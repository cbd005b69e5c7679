package broker

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestIdentityFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.pem")
	i, err := OpenIdentity(path)
	require.NoError(t, err)
	require.Empty(t, i.Host())
	require.Nil(t, i.Certificate())
	der, err := newWorldKeys(t).hosts.identityCertificate(RoleHost, "h1", &i.key.PublicKey, time.Now())
	require.NoError(t, err)
	require.NoError(t, i.store(der, RoleHost))

	again, err := OpenIdentity(path)
	require.NoError(t, err)
	require.Equal(t, "h1", again.Host())
	require.True(t, i.key.Equal(again.key))
	require.Equal(t, der, again.Certificate().Certificate[0])
	other, err := NewIdentity()
	require.NoError(t, err)
	require.Error(t, other.store(der, RoleHost), "another's certificate")

	good := mustRead(t, path)
	for _, bad := range [][]byte{{}, []byte("hello"), good[:len(good)/4], good[:len(good)*3/4], append(good, good...)} {
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		_, err := OpenIdentity(path)
		require.ErrorContains(t, err, path)
		require.Equal(t, bad, mustRead(t, path), "it is not replaced")
	}
	_, err = OpenIdentity(filepath.Join(t.TempDir(), "no", "folder"))
	require.Error(t, err)
}

func mustRead(t testing.TB, path string) []byte {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}
