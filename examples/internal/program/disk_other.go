//go:build !linux && !darwin && !windows

package program

import "errors"

// DiskFree is not known here.
func DiskFree(dir string) (int64, error) { return 0, errors.ErrUnsupported }
