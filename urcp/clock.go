package urcp

import (
	"slices"
	"time"
)

const (
	// clockStep is from where on a jump counts as a step of the peer's clock.
	// Smaller ones are left to the base delay's renewal.
	clockStep = 0.010
	// clockBlock and clockBlocks are the samples of the slope: one minute of them.
	clockBlock  = 5 * time.Second
	clockBlocks = 12
	// clockEnough is how many have to be there before a slope is believed.
	clockEnough = 6
	// clockBack is from where on a queue on the way back that never empties in a block hides
	// what the clocks do: as it changes, so does the largest value.
	clockBack = 0.005
	// maxDrift and minDrift bound the slope that is corrected (parts of one):
	// crystals stay under 300 ppm; under 10 ppm is not worth it.
	maxDrift = 300e-6
	minDrift = 10e-6
)

// clock watches how the peer's clock goes beside ours. A one-way delay less its
// round trip holds no queue towards the peer; what is left is the offset less the
// way back, so its largest value over a while moves only with the clocks.
type clock struct {
	drift   float64 // seconds per second
	since   time.Duration
	sum     float64 // correction as of since
	block   time.Duration
	cur     float64
	back    float64 // the shortest queue on the way back in the block
	have    bool
	offs    [clockBlocks]float64
	n       int
	longMax [2]float64 // largest offset of the two last runs of samples
	longRTT [2]float64 // smallest round trip of these
	run     int
}

// correction is what drift has added to delays up to now.
func (k *clock) correction(now time.Duration) float64 {
	return k.sum + k.drift*(now-k.since).Seconds()
}

// sample takes in an offset and its round trip and returns the step, in seconds,
// that the peer's clock seems to have made. Only steps that make delays longer are
// reported: shorter delays renew the base by themselves.
func (k *clock) sample(now time.Duration, off, rtt, back float64) (step float64) {
	if !k.have {
		k.have = true
		k.block, k.since = now, now
		k.cur = off
		k.longMax = [2]float64{off, off}
		k.longRTT = [2]float64{rtt, rtt}
	}
	known := max(k.longMax[0], k.longMax[1])
	quickest := min(k.longRTT[0], k.longRTT[1])
	if k.n+k.run > 4 && off > known+clockStep && rtt > quickest-clockStep/3 {
		step = off - known
		k.cur += step
		for i := range k.n {
			k.offs[i] += step
		}
		k.longMax[0] += step
		k.longMax[1] += step
	}
	k.cur = max(k.cur, off)
	k.back = min(k.back, back)
	k.longMax[1] = max(k.longMax[1], off)
	k.longRTT[1] = min(k.longRTT[1], rtt)
	if k.run++; k.run == 64 {
		k.run = 0
		k.longMax = [2]float64{k.longMax[1], off}
		k.longRTT = [2]float64{k.longRTT[1], rtt}
	}
	if now-k.block >= clockBlock {
		if k.back > clockBack {
			k.n = 0
		}
		k.back = back
		k.turn(now, off)
	}
	return step
}

// turn closes a block and works the slope out anew: the median of those between
// any two blocks (Theil and Sen), which outliers do not move.
func (k *clock) turn(now time.Duration, off float64) {
	if now-k.block > 2*clockBlock {
		k.n = 0 // a gap: the blocks are no longer evenly spaced
	}
	k.block = now
	if k.n == clockBlocks {
		copy(k.offs[:], k.offs[1:])
		k.n--
	}
	k.offs[k.n] = k.cur
	k.n++
	k.cur = off
	k.sum, k.since = k.correction(now), now
	if k.n < clockEnough {
		return
	}
	var slopes [clockBlocks * (clockBlocks - 1) / 2]float64
	m := 0
	for i := range k.n {
		for j := range i {
			slopes[m] = (k.offs[i] - k.offs[j]) / (float64(i-j) * clockBlock.Seconds())
			m++
		}
	}
	slices.Sort(slopes[:m])
	k.drift = min(max(slopes[m/2], -maxDrift), maxDrift)
	if k.drift < minDrift && k.drift > -minDrift {
		k.drift = 0
	}
}
