package session

import (
	"os"
	"sync"
	"time"
)

// errTimeout is what calls return after their deadline.
var errTimeout error = timeoutError{}

type timeoutError struct{}

func (timeoutError) Error() string   { return os.ErrDeadlineExceeded.Error() }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }
func (timeoutError) Unwrap() error   { return os.ErrDeadlineExceeded }

// A deadline is one direction's. Deadlines are kept here and not given to the
// path, because crypto/tls is dead after one Write that timed out.
type deadline struct {
	timer   *time.Timer
	round   int // which setting a running timer belongs to
	expired bool
}

// set is called with mu held. At time t it sets expired and wakes the waiters.
func (d *deadline) set(mu *sync.Mutex, waiters *sync.Cond, t time.Time) {
	d.round++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.expired = false
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.expired = true
		waiters.Broadcast()
		return
	}
	round := d.round
	d.timer = time.AfterFunc(left, func() {
		mu.Lock()
		defer mu.Unlock()
		if d.round == round {
			d.expired = true
			waiters.Broadcast()
		}
	})
}
