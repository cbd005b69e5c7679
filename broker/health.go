package broker

import (
	"math"
	"time"

	"github.com/reachback/reachback/internal/printable"
)

const (
	// healthTold is how far apart two messages about load and disk alone are at
	// least; loadStep and diskStep are what change is worth one, because each is
	// a write in the broker's database.
	healthTold = 30 * time.Second
	loadStep   = 0.1
	diskStep   = 0.02 // of what was free
)

// hangs is what a host says whose own probe does not answer.
var hangs = Health{Problem: "the host's own probe did not answer within " + HealthWithin.String()}

// tidy bounds what a probe, or a host, has said.
func (h *Health) tidy() {
	h.Problem = printable.Text(h.Problem, printable.MaxLen)
	if h.Load = math.Round(h.Load*100) / 100; !(h.Load >= 0 && h.Load <= 1e6) { // NaN is neither
		h.Load = 0
	}
	h.DiskFree = max(h.DiskFree, 0)
}

// worthTelling reports whether the broker is to hear of h, which heard last was told
// that long ago.
func (h *Health) worthTelling(last *Health, ago time.Duration) bool {
	if h.Fit != last.Fit || h.Problem != last.Problem || h.Target != last.Target {
		return true
	}
	disk := math.Abs(float64(h.DiskFree) - float64(last.DiskFree))
	return ago >= healthTold && (math.Abs(h.Load-last.Load) >= loadStep || disk > diskStep*float64(last.DiskFree))
}

// watchHealth tells the broker how the host is, after the welcome and when it has
// changed, until the channel ends. serve waits for it.
func (c *agentChannel) watchHealth(l *lookout[Health]) {
	var told *Health
	var at time.Time
	for {
		h, err := l.look(c.ctx, HealthWithin)
		if c.ctx.Err() != nil {
			return
		}
		if err != nil {
			h = hangs
		}
		h.tidy()
		if told == nil || h.worthTelling(told, time.Since(at)) {
			if !h.Fit && (told == nil || told.Fit || told.Problem != h.Problem) {
				c.agent.log().Warn("the host takes no new users", "problem", h.Problem)
			}
			if c.send(&healthMessage{Health: h}) != nil {
				return
			}
			told, at = &h, time.Now()
		}
		select {
		case <-time.After(HealthEvery):
		case <-c.ctx.Done():
			return
		}
	}
}
