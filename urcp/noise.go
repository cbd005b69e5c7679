package urcp

import (
	"math"
	"slices"
	"time"
)

const (
	// A block of blockRounds round trips, and blockTime at least, is long enough for
	// the queue to have been empty in it once.
	blockRounds = 6
	blockTime   = 250 * time.Millisecond
	lowBlocks   = 8
	// highLow is how far above the base a queue is that does not seem to empty.
	highLow = 0.0007
	// clearLow is how near to the base a queue comes on paths without much noise.
	clearLow = 0.002
	// maxBias bounds what is taken for the path's own.
	maxBias = 0.030
	// lumpy is from where on a path counts as one with delays of its own.
	lumpy = 0.05
	// lumpiest is from where on most packets come in lumps, as on Wi-Fi.
	lumpiest = 0.8
	// Over how many packets, sent over what time at least, it is seen whether they come
	// in lumps.
	spanPackets = 6
	spanLeast   = time.Millisecond
	// quietSamples bounds what a drain keeps.
	quietSamples = 32
)

// noise learns what a path's delay is without any queue: radio and Wi-Fi links add
// delays of their own, which the base, as the lowest that ever was, does not show.
// It is measured in drains, when the queue is empty.
type noise struct {
	bias   float64 // of the standing delay above the base
	spread float64 // mean difference between feedbacks
	recent float64 // delay of the latest feedback
	last   float64
	moved  float64 // sum of differences in a measurement

	group span    // packets of which it is still to be seen
	lumps float64 // part of the feedbacks whose packets arrived in lumps

	block  time.Duration // when the block began
	rounds int
	low    float64
	lows   [lowBlocks]float64
	n      int

	quiet [quietSamples]float64
	q     int
}

// sample takes in a standing delay above the base, and that of one feedback.
func (z *noise) sample(standing, v float64) {
	z.low = min(z.low, standing)
	z.recent = v
}

// jitter is how much delays move from one feedback to the next, where the path makes
// them do so, and zero elsewhere.
func (z *noise) jitter() float64 {
	if z.lumps <= lumpy {
		return 0
	}
	return z.spread
}

// spans takes in over what time packets arrived, and over what time they were sent. A
// queue that all fill evenly keeps the two about equal, however long it is; a link that
// holds packets back releases them together.
func (z *noise) spans(b *batch) {
	g := &z.group
	g.join(b.span)
	if g.n < spanPackets {
		return
	}
	arrived, sent := g.received-g.earliest, g.last-g.first
	g.n = 0
	if sent < spanLeast {
		return
	}
	v := 0.0
	if arrived < sent*2/5 {
		v = 1
	}
	z.lumps += (v - z.lumps) / 32
}

// round closes a block where it is over.
func (z *noise) round(t time.Duration, v float64) {
	if z.rounds++; z.rounds < blockRounds || t-z.block < blockTime {
		return
	}
	copy(z.lows[1:], z.lows[:])
	z.lows[0] = z.low
	z.n = min(z.n+1, lowBlocks)
	z.low, z.block, z.rounds = v, t, 0
	if z.n == lowBlocks {
		// What it was taken for was a queue, if delays are often lower.
		z.bias = min(z.bias, slices.Max(z.lows[:])+clearLow)
		if z.typical() < clearLow && z.lumps < lumpiest {
			z.spread /= 2
		}
	}
}

// typical is the lowest delay above the base that most blocks have come down to.
func (z *noise) typical() float64 {
	v := z.lows
	slices.Sort(v[:])
	return v[lowBlocks/2]
}

// high says that the queue does not seem to empty, which a drain should look into.
func (z *noise) high() bool {
	return z.n == lowBlocks && z.lumps > lumpy && z.typical() > z.bias+highLow
}

// begin starts a measurement.
func (z *noise) begin() { z.q, z.moved, z.last = 0, 0, z.recent }

// add takes in a standing delay of a drain. Every sample is kept until there is no
// more room, then every second, and so on.
func (z *noise) add(v float64) {
	if z.q < quietSamples {
		z.quiet[z.q] = v
		z.q++
		z.moved += math.Abs(z.recent - z.last)
		z.last = z.recent
	}
}

// end closes a measurement; base is what the base has become by it, above the base
// that the samples are relative to.
func (z *noise) end(base float64) {
	if z.q < 4 {
		return
	}
	v := z.quiet[:z.q]
	z.spread = z.moved / float64(z.q)
	slices.Sort(v)
	z.bias = 0
	if z.lumps > lumpy {
		z.bias = min(max(v[len(v)/2]-base, 0), maxBias)
	}
	z.n, z.rounds = 0, 0
	z.low = v[len(v)/2]
}
