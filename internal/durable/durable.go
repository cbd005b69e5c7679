// Package durable keeps small files that must survive a crash: each is replaced
// whole or not at all, and held by one process at a time.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// ErrLocked is in the tree of the error of a [Lock] that another process holds.
var ErrLocked = errors.New("in use by another process")

// WriteFile replaces the file at path by data, for its owner's eyes only. When it
// returns nil the new content is on the disk; when it returns an error the old
// content is in force, unless only the last step, to make the new name durable,
// has failed. Callers that share path hold a [Lock].
func WriteFile(path string, data []byte) (err error) {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(tmp)
		}
	}()
	if err := f.Chmod(0o600); err != nil && runtime.GOOS != "windows" {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename durable. Windows has no such call, and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// A Lock is a file held open and locked. The system frees it when the process
// ends, however it ends; the empty file stays.
type Lock struct{ f *os.File }

// NewLock locks the file at path, making it where it is missing, and fails at
// once with [ErrLocked] when another process, or another Lock of this one, has it.
func NewLock(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Lock{f}, nil
}

// Close gives the lock back.
func (l *Lock) Close() error { return l.f.Close() }
