package linksim

import (
	"math"
	"time"
)

// The constants of RFC 9406 section 4.3.
const (
	hystartMinThreshold = 4 * time.Millisecond
	hystartMaxThreshold = 16 * time.Millisecond
	hystartDivisor      = 8
	hystartSamples      = 8
	hystartCSSDivisor   = 4
	hystartCSSRounds    = 5
	// hystartLimit is how many segments one acknowledgement may add, for a sender
	// that does not pace.
	hystartLimit = 8
)

// A hystart is HyStart++ (RFC 9406): it ends the first slow start when the round
// trips of a round are longer than those of the one before, after five rounds of
// slower growth in which that might turn out to be an error.
type hystart struct {
	over bool // slow start has ended once

	started          bool
	roundEnd         uint64
	lastMin, current time.Duration
	samples          int
	css              bool
	baseline         time.Duration
	rounds           int     // of the slower growth
	budget           float64 // segments that the feedback at hand may still add
}

func (h *hystart) begin() { h.budget = hystartLimit }

// acked takes in an acknowledged packet during slow start; next is that which is
// sent next. It returns by how many segments the window grows and whether slow
// start is over.
func (h *hystart) acked(p *sentPacket, roundTrip time.Duration, next uint64) (grow float64, done bool) {
	grow = min(1, h.budget)
	h.budget -= grow
	if h.over {
		return grow, false
	}
	if !h.started || p.seq >= h.roundEnd {
		if h.css {
			h.rounds++
		}
		h.lastMin, h.current = h.current, math.MaxInt64
		if !h.started {
			h.lastMin = math.MaxInt64
		}
		h.started, h.roundEnd, h.samples = true, next, 0
	}
	if roundTrip > 0 {
		h.current = min(h.current, roundTrip)
		h.samples++
	}
	switch known := h.samples >= hystartSamples; {
	case !h.css:
		if known && h.lastMin != math.MaxInt64 {
			threshold := min(max(h.lastMin/hystartDivisor, hystartMinThreshold), hystartMaxThreshold)
			if h.current >= h.lastMin+threshold {
				h.css, h.baseline, h.rounds = true, h.current, 0
			}
		}
	case known && h.current < h.baseline:
		h.css = false
	case h.rounds >= hystartCSSRounds:
		h.over = true
		return 0, true
	default:
		grow /= hystartCSSDivisor
	}
	return grow, false
}
