//go:build unix

package program

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Lock keeps a second process off dir for as long as this one lives, or until
// the returned function is called.
func Lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is in use by another process", dir)
	}
	return func() { f.Close() }, nil
}
