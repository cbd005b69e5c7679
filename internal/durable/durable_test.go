package durable

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWriteFileReplacesForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	require.NoError(t, os.WriteFile(path+".tmp", []byte("left by a crash, and longer"), 0o644))
	require.NoError(t, WriteFile(path, []byte("one")))
	require.NoError(t, WriteFile(path, []byte("two")))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "two", string(got))
	fi, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.Equal(t, os.FileMode(0o600), fi.Mode())
	}
	require.NoFileExists(t, path+".tmp")
}

func TestWriteFileKeepsTheOldOneWhenItFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	require.NoError(t, WriteFile(path, []byte("one")))
	require.NoError(t, os.Mkdir(path+".tmp", 0o700)) // nothing can be written under this name now
	require.Error(t, WriteFile(path, []byte("two")))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "one", string(got))
}

func TestLockIsHeldOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l, err := NewLock(path)
	require.NoError(t, err)
	_, err = NewLock(path)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, l.Close())
	l, err = NewLock(path)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}
