//go:build unix

package feed

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// tryLock takes the lock at path, or returns nil where somebody else has it. It
// ends when it is closed, at the latest with the process.
func tryLock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, err
}
