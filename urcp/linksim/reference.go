package linksim

import (
	"time"

	"github.com/reachback/reachback/urcp"
)

// The reference controllers are what a controller under study is compared with and
// made to share links with: [Reno], [Cubic], [Copa], [NADA] and [BBR]. The zero
// value of each is ready for use by one flow. Each follows a publication that its
// comment names, and a test in this package holds it to the figures of that
// publication. None of them is for use outside a simulator: they trust the
// feedback.

const (
	// defaultMSS is a full packet where nothing else is said.
	defaultMSS = 1250
	// initialWindow is the window at the start, in full packets (RFC 6928).
	initialWindow = 10
	// defaultMaxWindow is the largest window in full packets: 1 Gbit/s over some
	// 160 ms. It keeps a controller that no longer feels its link, as a
	// delay-based one behind a policer, from filling the simulator's memory.
	defaultMaxWindow = 1 << 14
)

// A window is what the window-based controllers have in common: the packets in
// flight, the round-trip time, and the loss episode, which lasts until a packet
// sent after its first loss is acknowledged (RFC 6582, and RFC 9002 section 7.3.2).
type window struct {
	sentLog
	rtt  rtt
	mss  float64
	max  float64
	cwnd float64 // bytes

	paced bool
	pacer pacer

	ssthresh   float64 // bytes
	episodeEnd uint64  // a loss before this packet belongs to the last episode
	inEpisode  bool
}

// init sets what the zero value leaves out. It is cheap enough to be called at
// the top of every method.
func (w *window) init(mss, maxWindow int) {
	if w.mss != 0 {
		return
	}
	if mss <= 0 {
		mss = defaultMSS
	}
	if maxWindow <= 0 {
		maxWindow = defaultMaxWindow * mss
	}
	w.mss, w.max = float64(mss), float64(maxWindow)
	w.cwnd = initialWindow * w.mss
	w.ssthresh = w.max
}

// slowStart says whether the window is still under the threshold.
func (w *window) slowStart() bool { return w.cwnd < w.ssthresh }

// lost takes the lost packets of a feedback out of the flight. It reports whether
// one of them begins a new episode, and whether nothing at all is left, which is
// what a retransmission timeout looks like from here.
func (w *window) lost(f *urcp.Feedback) (episode, timeout bool) {
	for _, seq := range f.Lost {
		p, ok := w.sentLog.lose(seq)
		if ok && p.seq >= w.episodeEnd {
			episode = true
		}
	}
	if episode {
		w.episodeEnd = w.sentLog.next
		w.inEpisode = true
	}
	return episode, len(f.Lost) > 0 && len(f.Acked) == 0 && w.sentLog.bytes == 0
}

// usable says whether an acknowledged packet may make the window grow: one from
// before the last loss may not, and one that left because the application had no
// more only while the window is still doubling and half of it is in use, as in
// Linux since 3.18.
func (w *window) usable(p *sentPacket) bool {
	if w.inEpisode {
		if p.seq < w.episodeEnd {
			return false
		}
		w.inEpisode = false
	}
	return !p.appLimited || w.slowStart() && w.cwnd < 2*float64(w.sentLog.bytes+p.bytes)
}

// clamp keeps the window between so many full packets and the largest.
func (w *window) clamp(packets float64) {
	w.cwnd = max(packets*w.mss, min(w.cwnd, w.max))
}

// leave takes note of a packet. The pacing rate is that of Linux with the fq queue:
// 1.2 windows in a round trip, and two in slow start.
func (w *window) leave(now time.Duration, p urcp.Packet) {
	w.sent(now, p)
	if w.paced && w.rtt.smoothed > 0 {
		gain := 1.2
		if w.slowStart() {
			gain = 2
		}
		w.pacer.sent(now, p.Bytes, gain*w.cwnd/w.rtt.smoothed.Seconds())
	}
}

// nextSend lets a packet go whenever the window has room for it: where it is not
// paced, in bursts as large as the acknowledgements, as a kernel without a pacing
// queue does.
func (w *window) nextSend(now time.Duration, bytes int) time.Duration {
	if w.sentLog.bytes == 0 || float64(w.sentLog.bytes+bytes) <= w.cwnd {
		return max(now, w.pacer.next)
	}
	return urcp.Never
}

// A pacer spaces packets at a rate. Time that was not used is lost: there are no
// bursts after a pause.
type pacer struct{ next time.Duration }

// sent takes note of a packet; the rate is in bytes per second.
func (p *pacer) sent(now time.Duration, bytes int, rate float64) {
	p.next = max(p.next, now) + time.Duration(float64(bytes)/rate*float64(time.Second))
}

// An rtt is the smoothed round-trip time of RFC 6298 with one sample for every
// feedback.
type rtt struct {
	latest, smoothed, variation time.Duration
}

func (r *rtt) add(sample time.Duration) {
	if sample <= 0 {
		return
	}
	r.latest = sample
	if r.smoothed == 0 {
		r.smoothed, r.variation = sample, sample/2
		return
	}
	r.variation += ((r.smoothed - sample).Abs() - r.variation) / 4
	r.smoothed += (sample - r.smoothed) / 8
}

// An extreme is the smallest or the largest of the values of the last so much
// time, exact to a thousandth of that time. Times may be durations or rounds.
type extreme struct {
	largest bool
	ring[timedValue]
}

type timedValue struct{ at, value int64 }

// add takes in a value and forgets those from before at-span, but for the last.
func (e *extreme) add(at, span, value int64) {
	if e.largest {
		value = -value
	}
	for e.n > 0 && e.at(e.n-1).value >= value {
		e.n--
	}
	// Values that rise all the time would otherwise all be kept.
	if e.n == 0 || at-e.at(e.n-1).at > span/1024 {
		e.push(timedValue{at, value})
	}
	for e.n > 1 && e.at(0).at < at-span {
		e.pop()
	}
}

// value returns the extreme, or false where there is none yet.
func (e *extreme) value() (int64, bool) {
	switch {
	case e.n == 0:
		return 0, false
	case e.largest:
		return -e.at(0).value, true
	default:
		return e.at(0).value, true
	}
}
