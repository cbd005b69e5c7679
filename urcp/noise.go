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
	// in lumps. Packets that are sent far apart show only the longest delays, so of those
	// that take spanLong spanFew are enough: a flow that noise keeps from sending more
	// would be the last to see it.
	spanPackets = 6
	spanLeast   = time.Millisecond
	spanFew     = 4
	spanLong    = 10 * time.Millisecond
	// slackSwings swings are about what separates the lowest delays of one moment from
	// those of another where nothing but noise does, and maxSlack bounds what that is
	// worth in a queue.
	slackSwings = 4
	maxSlack    = 0.012
	// linkSway is by what part round trip and rate both sway, in the geometric mean, where
	// it is the link's rate that changes. Noise is seen in the one more than in the other.
	linkSway = 0.105
	// quietSamples bounds what a drain keeps.
	quietSamples = 32
)

// noise learns what a path's delay is without any queue: radio and Wi-Fi links add
// delays of their own, which the base, as the lowest that ever was, does not show.
// The lowest of them are measured in drains, when the queue is empty. How far they go up
// and down is seen at any time, as a queue takes round trips to change.
type noise struct {
	bias   float64 // of the standing delay above the base
	swing  float64 // mean difference from one feedback to the next
	recent float64 // delay of the latest feedback
	rtt    sway
	rate   sway // at which packets are delivered

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
	z.swing += (math.Abs(v-z.recent) - z.swing) / 32
	z.recent = v
}

// slack is what noise alone may add to the standing delay, beyond the bias.
func (z *noise) slack() float64 {
	if z.lumps <= lumpy || z.varies() {
		return 0
	}
	return min(slackSwings*z.swing, maxSlack)
}

// sway is how far something is from its mean over some round trips, as a part of it.
type sway struct{ mean, part float64 }

// add takes in a round's value. With anew, which is for what is changed on purpose, the
// mean begins there.
func (s *sway) add(v float64, anew bool) {
	if s.mean == 0 || anew {
		s.mean = v
	}
	if s.mean > 0 {
		s.part += (math.Abs(v-s.mean)/s.mean - s.part) / 16
		s.mean += (v - s.mean) / 8
	}
}

// varies says that it is the link whose rate changes: what the delays then show is a
// queue, and no noise.
func (z *noise) varies() bool { return z.rtt.part*z.rate.part > linkSway*linkSway }

// spans takes in over what time packets arrived, and over what time they were sent. A
// queue that all fill evenly keeps the two about equal, however long it is; a link that
// holds packets back releases them together.
func (z *noise) spans(b *batch) {
	g := &z.group
	g.join(b.span)
	if g.n < spanPackets && (g.n < spanFew || g.last-g.first < spanLong) {
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
func (z *noise) begin() { z.q = 0 }

// add takes in a standing delay of a drain. Every sample is kept until there is no
// more room, then every second, and so on.
func (z *noise) add(v float64) {
	if z.q < quietSamples {
		z.quiet[z.q] = v
		z.q++
	}
}

// end closes a measurement; base is what the base has become by it, above the base
// that the samples are relative to.
func (z *noise) end(base float64) {
	if z.q < 4 {
		return
	}
	v := z.quiet[:z.q]
	slices.Sort(v)
	z.bias = 0
	if z.lumps > lumpy {
		rest := v[len(v)/2]
		if z.varies() {
			// While the link was slow the queue was not empty.
			rest = v[0]
		}
		z.bias = min(max(rest-base, 0), maxBias)
	}
	z.n, z.rounds = 0, 0
	z.low = v[len(v)/2]
}
