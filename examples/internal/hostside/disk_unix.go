//go:build linux || darwin

package hostside

import (
	"math"

	"golang.org/x/sys/unix"
)

// diskFree returns how many bytes an ordinary user can still write on dir's volume.
func diskFree(dir string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return int64(min(fs.Bavail, math.MaxInt64/uint64(fs.Bsize))) * int64(fs.Bsize), nil
}
