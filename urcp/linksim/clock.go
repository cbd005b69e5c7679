package linksim

import (
	"errors"
	"math"
	"time"

	"github.com/reachback/reachback/urcp"
)

// A Clock is what one end of a flow takes for the time. The zero value shows the
// simulator's.
type Clock struct {
	Offset time.Duration // What it shows at the start.
	PPM    float64       // By how many millionths it runs fast; up to 1000 either way.
	Steps  []ClockStep   // Corrections, in the order of their times.
	// Granularity is the distance of its ticks, such as 15.625 ms for the default
	// timer of older Windows; between ticks it shows the last. Zero means none. A
	// sender whose clock ticks wakes at ticks only.
	Granularity time.Duration
}

// A ClockStep moves a clock at one moment.
type ClockStep struct {
	At time.Duration // on the simulator's clock
	By time.Duration
}

func (c *Clock) check() error {
	if math.IsNaN(c.PPM) || math.Abs(c.PPM) > 1000 {
		return errors.New("it runs more than 1000 ppm off")
	}
	if c.Offset < 0 || c.Offset > 1e6*time.Hour || c.Granularity < 0 || c.Granularity > time.Second {
		return errors.New("an offset below zero or above a million hours, or ticks over a second apart")
	}
	for i, st := range c.Steps {
		if st.At < 0 || i > 0 && st.At < c.Steps[i-1].At {
			return errors.New("steps out of order")
		}
		if st.By < -maxDelay || st.By > maxDelay {
			return errors.New("a step of more than an hour")
		}
	}
	return nil
}

func (c *Clock) plain() bool {
	return c.Offset == 0 && c.PPM == 0 && len(c.Steps) == 0 && c.Granularity == 0
}

// raw is what the clock would show if it had no ticks. The skew is counted in whole
// parts per billion, in integers: a float would lose nanoseconds within days.
func (c *Clock) raw(t time.Duration) time.Duration {
	ppb := int64(math.Round(c.PPM * 1000))
	at := c.Offset + t + skew(t, ppb)
	for _, st := range c.Steps {
		if st.At > t {
			break
		}
		at += st.By
	}
	return at
}

// skew is t*ppb/1e9 without overflow.
func skew(t time.Duration, ppb int64) time.Duration {
	seconds, rest := int64(t)/1e9, int64(t)%1e9
	return time.Duration(seconds*ppb + rest*ppb/1e9)
}

// read is what the clock shows at t.
func (c *Clock) read(t time.Duration) time.Duration {
	if c.plain() {
		return t
	}
	at := c.raw(t)
	if c.Granularity > 0 {
		// Rounded down, also where a step has taken it below zero.
		if rest := at % c.Granularity; rest < 0 {
			at -= rest + c.Granularity
		} else {
			at -= rest
		}
	}
	return at
}

// when is the first moment from now on at which the clock shows at least local.
func (c *Clock) when(now, local time.Duration) time.Duration {
	if local == urcp.Never || c.plain() {
		return max(now, local)
	}
	if g := c.Granularity; g > 0 {
		local = (local + g - 1) / g * g
	}
	// The clock never runs back and at most a thousandth off, so this closes in on
	// the moment from below within a few rounds.
	t := now
	for range 64 {
		short := local - c.raw(t)
		if short <= 0 {
			break
		}
		for _, st := range c.Steps {
			if st.At > t && st.At <= t+short {
				// A step ahead may be what brings it there.
				short = st.At - t
				break
			}
		}
		t += max(1, short-short/500)
	}
	return t
}
