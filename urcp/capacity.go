package urcp

import (
	"math"
	"time"
)

const (
	// maxTimed bounds the packets of one feedback that are looked at. Larger feedback is
	// left out: on links that are fast enough for it nothing hangs on it.
	maxTimed = 32
	// The rate is an average that fades within capacityRounds round trips, and is not known
	// from less than capacityLeast bytes.
	capacityRounds = 3
	capacityLeast  = 8000
	// How far the rate is from its mean is averaged over changeTime, and the mean over
	// capacityTime: a step of a wired link's rate is soon forgotten.
	changeTime   = 10.0 // seconds
	capacityTime = 2.0
)

// timedPacket is a packet whose time of arrival is known.
type timedPacket struct {
	seq      uint64
	sent, rx time.Duration // on our clock, and on the peer's
	bytes    int32
}

// capacity measures how fast the bottleneck sends while it has something to send. That
// is known packet by packet: one that reached it before the packet in front had left kept
// it busy from then on, any other from its own arrival. So the rate shows also while the
// link is not full, by packets that leave close together, and with the time of those that
// had to wait for the link.
type capacity struct {
	packets [maxTimed]timedPacket // of the present feedback, by number
	n       int
	seq     uint64        // newest packet looked at; zero where none is
	left    time.Duration // when it arrived, on the peer's clock
	bytes   float64       // that left a busy link, fading
	busy    float64       // seconds that it took, fading
	mean    float64       // of the rate
	change  float64       // how far the rate is from the mean, as a part of it
	noted   time.Duration
}

// add takes in a packet of the present feedback, in any order.
func (k *capacity) add(p timedPacket) {
	if k.n < maxTimed {
		i := k.n
		for ; i > 0 && k.packets[i-1].seq > p.seq; i-- {
			k.packets[i] = k.packets[i-1]
		}
		k.packets[i] = p
	}
	k.n++
}

// measure ends the present feedback. The way is the one-way delay without a queue, and
// the average fades within window.
func (k *capacity) measure(way, window time.Duration) {
	n := k.n
	k.n = 0
	if n > maxTimed {
		k.seq = 0 // what was in front of the next packet is not known
		return
	}
	fades := window.Seconds()
	for i := range k.packets[:n] {
		p := &k.packets[i]
		if p.seq <= k.seq {
			continue
		}
		switch gap := p.rx - k.left; {
		case k.seq == 0:
		case gap < 0 || gap > time.Second:
			k.bytes, k.busy = 0, 0
		default:
			fade := max(0, 1-gap.Seconds()/fades)
			k.bytes = k.bytes*fade + float64(p.bytes)
			k.busy = k.busy*fade + max(0, min(gap, p.rx-p.sent-way).Seconds())
		}
		k.seq, k.left = p.seq, p.rx
	}
}

// rate is in bytes per second, and zero where it is not known.
func (k *capacity) rate() float64 {
	if k.bytes < capacityLeast || k.busy < 0.001 {
		return 0
	}
	return k.bytes / k.busy
}

// sure is the rate less what chance may have put on top: few packets say little.
func (k *capacity) sure(mss float64) float64 {
	return k.rate() * max(0, 1-math.Sqrt(mss/max(k.bytes, mss)))
}

// note follows how much the rate changes.
func (k *capacity) note(t time.Duration) {
	v := k.rate()
	if v == 0 {
		return
	}
	s := min((t - k.noted).Seconds(), 0.5)
	k.noted = t
	if k.mean == 0 {
		k.mean = v
	}
	k.change += (min(math.Abs(v-k.mean)/k.mean, 1) - k.change) * s / changeTime
	k.mean += (v - k.mean) * s / capacityTime
}
