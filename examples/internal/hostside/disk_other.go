//go:build !linux && !darwin && !windows

package hostside

import "errors"

// diskFree is not known.
func diskFree(dir string) (int64, error) { return 0, errors.ErrUnsupported }
