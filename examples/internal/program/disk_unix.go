//go:build linux || darwin

package program

import (
	"math"

	"golang.org/x/sys/unix"
)

// DiskFree returns how many bytes an ordinary user can still write on dir's volume; an
// error that is errors.ErrUnsupported where the system does not say.
func DiskFree(dir string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return int64(min(fs.Bavail, math.MaxInt64/uint64(fs.Bsize))) * int64(fs.Bsize), nil
}
