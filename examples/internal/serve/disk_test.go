package serve

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/examples/internal/program"
)

func TestADiskThatIsNearlyFullIsNoHealth(t *testing.T) {
	dir := t.TempDir()
	if _, err := program.DiskFree(dir); err != nil {
		t.Skip(err)
	}
	require.NoError(t, newDisk(dir, 1).check(t.Context()))
	require.ErrorContains(t, newDisk(dir, math.MaxInt64).check(t.Context()), "MiB are free")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "the check leaves nothing behind")
}

func TestADiskThatTakesNoFileIsNoHealth(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	require.ErrorContains(t, newDisk(gone, 0).check(t.Context()), "-dir")
}

// Whoever asks waits for as long as he said, and not for a disk that hangs.
func TestADiskThatHangsIsNoHealth(t *testing.T) {
	d := newDisk(t.TempDir(), 0)
	d.trying <- struct{}{} // an earlier check's
	require.ErrorIs(t, d.check(t.Context()), errDiskHangs)
	<-d.trying
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, d.check(ctx))
	cancel()
}
