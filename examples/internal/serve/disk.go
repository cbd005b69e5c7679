package serve

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/reachback/reachback/examples/internal/program"
)

// leastDisk is how much of the disk of -dir must be free. The database stops at none,
// and an operator is to hear of it before.
const leastDisk = 32 << 20

// A disk is checked for what the process still has to write to it.
type disk struct {
	dir   string
	least int64 // bytes that must be free

	// trying is full while a file is being written. On a disk that hangs that may
	// be for ever, and then nobody waits for it, and no other is begun.
	trying chan struct{}
}

func newDisk(dir string, least int64) *disk {
	return &disk{dir: dir, least: least, trying: make(chan struct{}, 1)}
}

var errDiskHangs = errors.New("the disk of -dir does not answer")

// check returns an error when little is left, or a file cannot be written.
func (d *disk) check(ctx context.Context) error {
	select {
	case d.trying <- struct{}{}:
	default:
		return errDiskHangs
	}
	result := make(chan error, 1)
	go func() { // ends with the disk's answer
		result <- d.try()
		<-d.trying
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return errDiskHangs
	}
}

func (d *disk) try() error {
	free, err := program.DiskFree(d.dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
	case err != nil:
		return fmt.Errorf("disk of -dir: %w", err)
	case free < d.least:
		return fmt.Errorf("disk of -dir: %d MiB are free, %d must be", free>>20, d.least>>20)
	}
	// There are quotas, and disks that have become read-only.
	f, err := os.CreateTemp(d.dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("disk of -dir: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 4096))
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("disk of -dir: %w", err)
	}
	return nil
}
