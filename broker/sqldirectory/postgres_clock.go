package sqldirectory

import (
	"sync"
	"time"
)

// clockTolerance is how far the server's clock may be from where it is expected. It is
// more than what any two clocks drift apart while none is read.
const clockTolerance = 250 * time.Millisecond

// A serverClock tells the time of the server's clock without waiting for the answer:
// each transaction asks for the time together with its first statement, and is run
// again should it be another than expected. Between two answers it counts on by this
// machine's monotonic clock; how this machine's wall clock is set does not matter.
type serverClock struct {
	ahead func() int64 // by how much the clock is moved, in tests

	mu    sync.Mutex
	known bool
	time  int64     // microseconds, as of at
	at    time.Time // monotonic
}

const askClock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

// read gives t its time.
func (c *serverClock) read(t *tx) error {
	ahead := c.ahead()
	asked := time.Now()
	expected, known := c.expect(asked)
	if !known {
		if _, err := t.get([]any{&expected}, askClock); err != nil {
			return err
		}
		c.set(expected, asked, time.Now())
		t.now = expected + ahead
		return nil
	}
	t.now = expected + ahead
	t.later(func(r row) error {
		var actual int64
		if err := r.Scan(&actual); err != nil {
			return err
		}
		if !c.set(actual, asked, time.Now()) {
			return errAgain
		}
		return nil
	}, askClock)
	return nil
}

// expect returns the server's time as it should be now.
func (c *serverClock) expect(now time.Time) (server int64, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time + now.Sub(c.at).Microseconds(), c.known
}

// set notes the server's time, which was read between two moments here, and reports
// whether it was as expected.
func (c *serverClock) set(server int64, asked, answered time.Time) (expected bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known {
		// It is right when it fits in between; otherwise it is put right by
		// the least that does.
		early := c.time + asked.Sub(c.at).Microseconds()
		late := c.time + answered.Sub(c.at).Microseconds()
		off := max(early-server, server-late, 0)
		if off == 0 {
			return true
		}
		if off < clockTolerance.Microseconds() {
			if server < early {
				c.time -= off
			} else {
				c.time += off
			}
			return true
		}
	}
	c.known, c.time, c.at = true, server, answered
	return false
}
