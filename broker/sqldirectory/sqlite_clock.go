package sqldirectory

import (
	"sync"
	"time"
)

// catchUp is how much of the time that goes by a steadyClock may add or leave out.
const catchUp = 10

// A steadyClock shows the machine's wall clock, as far as that goes by itself. When
// the wall clock is set, by an hour or a year, slots must neither run out at once nor
// last so much longer: this clock then runs a tenth faster or slower until it shows the
// same again. Its zero value is ready.
type steadyClock struct {
	mu   sync.Mutex
	last time.Time // monotonic; zero: not read yet
	time int64     // microseconds since 1970, as of last
}

// read returns the time, in microseconds since 1970. wall is what the wall clock says
// at now, of which only the monotonic part counts.
func (c *steadyClock) read(now time.Time, wall int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.IsZero() {
		c.last, c.time = now, wall
		return wall
	}
	gone := now.Sub(c.last).Microseconds()
	if gone <= 0 { // others have read it since now was
		return c.time
	}
	c.last = now
	c.time += gone
	c.time += min(max(wall-c.time, -gone/catchUp), gone/catchUp)
	return c.time
}

// now reads the clock.
func (c *steadyClock) now() int64 {
	t := time.Now()
	return c.read(t, t.UnixMicro())
}
