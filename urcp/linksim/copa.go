package linksim

import (
	"time"

	"github.com/reachback/reachback/urcp"
)

const (
	copaDelta       = 0.5
	copaMinWindow   = 2 // full packets
	copaMemory      = 10 * time.Second
	copaNearlyEmpty = 3    // packets
	copaPatience    = 10   // round trips
	copaUp          = 0.25 // of the window in a round trip
)

// Copa is the delay-based controller of Arun and Balakrishnan (NSDI 2018): it moves
// its window towards the rate 1/(δ·dq) packets per second, where dq is how much
// the smallest round trip of the last half smoothed round trip is above the
// smallest of ten seconds. The further the window has gone in one direction, the
// faster it goes. When the queue has not been nearly empty for some round trips, a
// flow that fills buffers must be there, and 1/δ then grows by one per round trip
// and halves after a loss, as Reno's window does. It paces at twice its rate.
//
// What is not in the paper makes it stronger here:
//   - A turn resets the velocity at once, as in mvfst, where Copa serves, and not at
//     the end of the window, in which a large one would undo all.
//   - The velocity is bounded, as in its authors' code: the window falls by no more
//     than itself in a round trip. It grows by no more than a quarter, or else large
//     windows swing for long.
//   - The window falls to 0.7 when more than 30 % of the packets of two round trips
//     were lost, as in its authors' code: a policer shows no delay, and the window
//     would grow for ever.
//   - The competitive mode is entered after ten round trips without an empty queue
//     and not five, and three packets at the highest rate of ten seconds count as
//     empty. Several flows that start one after the other would else take one
//     another for a flow that fills the buffer, and then be one.
//
// One weakness is Copa's own and stays: behind a buffer so deep that the others do
// not let it run empty for ten seconds, it takes their queue for a part of the path,
// and long after they have gone.
type Copa struct {
	// MSS is the size of a full packet in bytes; 0 means 1250.
	MSS int
	// MaxWindow is the largest window in bytes; 0 means 16384 full packets.
	MaxWindow int
	// Delta is δ in the default mode; 0 means 0.5. Smaller is more aggressive: a
	// flow alone keeps some 2.5/δ packets in the queue.
	Delta float64
	// NoSwitching keeps the flow in the default mode.
	NoSwitching bool
	// NoLossLimit leaves out what the authors' code has and the paper has not: the
	// smaller window after 30 % loss.
	NoLossLimit bool

	window

	standing, shortest extreme // round trips of srtt/2 and of ten seconds
	longest            extreme // round trips of four srtt
	fastest            extreme // rates of ten seconds, bytes per second
	started            bool    // slow start is over

	// Of the round, which ends when a packet sent in it is acknowledged.
	roundEnd   uint64
	roundStart float64 // window
	roundSince time.Duration
	roundAcked int  // bytes
	up         bool // direction of the last round
	same       int  // rounds in that direction
	velocity   float64

	delta       float64 // as of now
	competing   bool
	entries     int // into the competitive mode
	lastEmpty   time.Duration
	lastRaise   time.Duration // of 1/δ
	lastHalving time.Duration

	// What was acknowledged and lost since lossSince.
	lossSince    time.Duration
	gone, all    int
	roundTripNow time.Duration // smallest of the feedback at hand
}

var (
	_ Controller  = (*Copa)(nil)
	_ Snapshotter = (*Copa)(nil)
)

func (c *Copa) start() {
	if c.mss != 0 {
		return
	}
	c.init(c.MSS, c.MaxWindow)
	c.velocity = 1
	c.delta = c.defaultDelta()
	c.longest.largest, c.fastest.largest = true, true
}

func (c *Copa) defaultDelta() float64 {
	if c.Delta > 0 {
		return c.Delta
	}
	return copaDelta
}

// Snapshot implements [Snapshotter]: mode, window, round trips, queueing delay, and
// how many times the flow entered the competitive mode. The rest is zero.
func (c *Copa) Snapshot() urcp.Snapshot {
	c.start()
	dq, standing, _ := c.queueing()
	s := urcp.Snapshot{
		Mode: urcp.Steady, Window: int(c.cwnd), Inflight: c.sentLog.bytes,
		RTT: c.rtt.smoothed, BaseRTT: standing - dq, QueueDelay: dq,
		Counters: urcp.Counters{Competitions: uint64(c.entries)},
	}
	switch {
	case c.competing:
		s.Mode = urcp.Competing
	case !c.started:
		s.Mode = urcp.Startup
	}
	if standing > 0 {
		s.Rate = int64(8 * c.cwnd / standing.Seconds())
	}
	return s
}

// OnSent implements [Controller].
func (c *Copa) OnSent(now time.Duration, p urcp.Packet) {
	c.start()
	c.sent(now, p)
	if standing, ok := c.standing.value(); ok {
		c.pacer.sent(now, p.Bytes, 2*c.cwnd/time.Duration(standing).Seconds())
	}
}

// OnFeedback implements [Controller].
func (c *Copa) OnFeedback(now time.Duration, f *urcp.Feedback) {
	c.start()
	c.rtt.add(f.RTT)
	c.begin(f)
	acked := 0
	c.roundTripNow = 0
	var newest uint64
	for i := range f.Acked {
		p, roundTrip, late := c.acked(&f.Acked[i])
		if p == nil || late {
			continue
		}
		if !p.appLimited {
			acked += p.bytes
		}
		newest = max(newest, p.seq)
		if roundTrip > 0 && (c.roundTripNow == 0 || roundTrip < c.roundTripNow) {
			c.roundTripNow = roundTrip
		}
		c.all++
	}
	episode, timeout := c.window.lost(f)
	c.gone += len(f.Lost)
	c.all += len(f.Lost)
	if c.roundTripNow > 0 {
		srtt := int64(c.rtt.smoothed)
		c.standing.add(int64(now), srtt/2, int64(c.roundTripNow))
		c.shortest.add(int64(now), int64(copaMemory), int64(c.roundTripNow))
		c.longest.add(int64(now), 4*srtt, int64(c.roundTripNow))
	}
	c.switchMode(now, episode)
	if acked > 0 {
		c.move(float64(acked))
	}
	c.roundAcked += acked
	if newest >= c.roundEnd && acked > 0 {
		c.endRound(now)
	}
	c.limitLoss(now)
	if timeout {
		c.cwnd, c.velocity, c.same = copaMinWindow*c.mss, 1, 0
	}
	c.clamp(copaMinWindow)
}

// queueing returns dq and the standing round trip.
func (c *Copa) queueing() (dq, standing time.Duration, ok bool) {
	s, ok := c.standing.value()
	m, _ := c.shortest.value()
	return time.Duration(max(0, s-m)), time.Duration(s), ok
}

// move is section 2.1 of the paper, for so many bytes acknowledged.
func (c *Copa) move(acked float64) {
	dq, standing, ok := c.queueing()
	if !ok {
		return
	}
	// cwnd/standing against mss/(δ·dq), without the division by zero.
	below := c.cwnd*c.delta*dq.Seconds() <= c.mss*standing.Seconds()
	if !c.started {
		if below {
			c.cwnd += acked
			return
		}
		c.started = true
		c.roundEnd, c.roundStart, c.velocity, c.same = c.sentLog.next, c.cwnd, 1, 0
	}
	if below != c.up && c.velocity > 1 {
		c.up, c.same, c.velocity = below, 0, 1
	}
	limit := c.delta * c.cwnd / c.mss
	if below {
		limit *= copaUp
	}
	c.velocity = max(1, min(c.velocity, limit))
	step := c.velocity / c.delta * c.mss * acked / c.cwnd
	if below {
		c.cwnd += step
	} else {
		c.cwnd -= step
	}
}

// endRound sets direction and velocity, once per window.
func (c *Copa) endRound(now time.Duration) {
	if d := now - c.roundSince; d > 0 && c.roundSince > 0 {
		c.fastest.add(int64(now), int64(copaMemory), int64(float64(c.roundAcked)/d.Seconds()))
	}
	c.roundSince, c.roundAcked = now, 0
	up := c.cwnd > c.roundStart
	if up == c.up {
		c.same++
		if c.same >= 3 {
			c.velocity *= 2
		}
	} else {
		c.up, c.same, c.velocity = up, 0, 1
	}
	c.roundEnd, c.roundStart = c.sentLog.next, c.cwnd
}

// switchMode is section 2.2 of the paper.
func (c *Copa) switchMode(now time.Duration, loss bool) {
	if c.NoSwitching || c.rtt.smoothed == 0 {
		return
	}
	srtt := c.rtt.smoothed
	if c.roundTripNow > 0 {
		shortest, _ := c.shortest.value()
		longest, _ := c.longest.value()
		fastest, known := c.fastest.value()
		queued := time.Duration(int64(c.roundTripNow) - shortest).Seconds()
		swing := time.Duration(longest - shortest).Seconds()
		if queued <= max(0.1*swing, copaNearlyEmpty*c.mss/float64(max(fastest, 1))) || !known || !c.started {
			c.lastEmpty = now
		}
	}
	if now-c.lastEmpty <= copaPatience*srtt {
		c.competing = false
		c.delta = c.defaultDelta()
		return
	}
	if !c.competing {
		c.competing = true
		c.entries++
		c.lastRaise = now
	}
	switch {
	case loss && now-c.lastHalving > srtt:
		c.delta = min(2*c.delta, c.defaultDelta())
		c.lastHalving = now
	case now-c.lastRaise > srtt:
		c.delta = 1 / (1/c.delta + 1)
		c.lastRaise = now
	}
}

// limitLoss is the authors' reaction to losses that no delay explains.
func (c *Copa) limitLoss(now time.Duration) {
	if c.NoLossLimit || now-c.lossSince <= 2*c.rtt.smoothed || c.all <= 20 {
		return
	}
	if 10*c.gone > 3*c.all {
		c.cwnd *= 0.7
	}
	c.lossSince, c.gone, c.all = now, 0, 0
}

// OnTimer implements [Controller]. Copa sets no timer.
func (c *Copa) OnTimer(time.Duration) {}

// NextTimer implements [Controller].
func (c *Copa) NextTimer() time.Duration { return urcp.Never }

// NextSend implements [Controller].
func (c *Copa) NextSend(now time.Duration, bytes int) time.Duration {
	c.start()
	return c.nextSend(now, bytes)
}
