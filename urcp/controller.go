package urcp

import (
	"math"
	"time"
)

// ECN says what a mark of the network means on a path.
type ECN uint8

const (
	// ECNClassic marks stand for a queue that is about to overflow (RFC 3168).
	ECNClassic ECN = iota
	// ECNL4S marks say in fine steps how long a very short queue is (RFC 9331).
	ECNL4S
)

// Config is how a Controller starts. The zero value serves.
type Config struct {
	// MSS is the largest packet on the wire in bytes; 1232 where it is zero.
	MSS int
	// MaxRate is a cap on all that is sent, in bits per second; none where it is
	// zero. See [Controller.SetMaxRate].
	MaxRate int64
	// Memory is what a controller of an earlier connection on the same path knew:
	// see [Controller.Path]. Older than ten minutes it is left alone.
	Memory *Path
	// RTT is the round trip that a handshake has shown; zero where there was none.
	RTT time.Duration
	ECN ECN
}

func (c *Config) mss() float64 {
	if c.MSS <= 0 {
		return 1232
	}
	return float64(min(max(c.MSS, 64), 65535))
}

const (
	minWindow     = 4    // packets
	slowLink      = 0.2  // seconds that four packets take on links for which they are too many
	minRate       = 8000 // bytes per second: 64 kbit/s
	initialWindow = 10   // packets (RFC 6928)
	maxWindow     = 1 << 40
	defaultRTT    = 0.1 // seconds, until the first is measured

	maxRTT = time.Hour // that is believed of a handshake
)

// A Controller says how fast one flow sends. It is not safe for concurrent use.
type Controller struct {
	cfg   Config
	mss   float64
	epoch time.Duration // caller's time at New; all times below are since then
	last  time.Duration // latest time seen: time does not go back

	sent     sentRing
	delay    delay
	delivery delivery
	capacity capacity
	loss     lossMeter
	rounds   rounds
	batch    float64       // bytes that one feedback acknowledges, averaged
	kept     time.Duration // when a packet last left with nothing waiting behind it
	heard    time.Duration // when an acknowledgement last told something new
	silences int
	probes   int // sent into a full window since

	mode   Mode
	window float64 // bytes
	peak   float64 // most in flight in this round and the one before
	prior  float64

	train   train
	start   startup
	cycle   cycle
	drain   drain
	compete compete
	elastic elasticity
	marks   marks
	pace    pacer
	stats   Counters
}

// rounds counts round trips: one ends when a packet is acknowledged that was sent
// after it began.
type rounds struct {
	count int
	next  uint64
	begun time.Duration
}

// New returns a controller for a flow that starts at now.
func New(now time.Duration, cfg Config) *Controller {
	c := &Controller{cfg: cfg, mss: cfg.mss(), epoch: now}
	c.cfg.Memory = nil
	c.cycle.reset()
	c.window = initialWindow * c.mss
	c.pace.limit.set(float64(cfg.MaxRate)/8, c.mss)
	if cfg.RTT > 0 {
		c.delay.rtt(min(cfg.RTT, maxRTT))
	}
	if cfg.Memory != nil {
		c.recall(now, cfg.Memory)
	}
	c.repace()
	return c
}

// at turns the caller's time into time since New, never before the last.
func (c *Controller) at(now time.Duration) time.Duration {
	if d := now - c.epoch; d > c.last && d < math.MaxInt64/4 {
		c.last = d
	}
	return c.last
}

// OnSent takes note of a packet that left at now. It counts whether or not
// NextSend allowed it.
func (c *Controller) OnSent(now time.Duration, p Packet) {
	t := c.at(now)
	n := min(max(p.Bytes, 0), 1<<16)
	if c.sent.count == 0 {
		c.resume(t)
	} else if c.full(n) {
		c.probes++
	}
	if !c.sent.push(sentPacket{seq: p.Seq, at: t, bytes: int32(n), app: p.AppLimited}) {
		c.stats.Ignored++
		return
	}
	if p.AppLimited {
		c.kept = t
	}
	c.train.send(t, p.Seq)
	c.pace.sent(t, float64(n))
	c.peak = max(c.peak, float64(c.sent.inflight))
}

// batch is what one feedback says, whatever the order of its packets.
type batch struct {
	bytes   int64 // newly acknowledged
	packets int
	lost    int
	fresh   int // of the lost, those sent since a loss test began
	// rows and freshRows count those lost right after one another as one. Where one joins
	// two rows that were known before, they are less than zero.
	rows, freshRows int
	late            int // acknowledged after they counted as lost
	marked          int
	limited         bool // the newest left with nothing behind it
	newest          uint64
	sent            time.Duration // when the newest was sent
	lowest          time.Duration // one-way delay, where timed
	timed           bool
	owd             time.Duration // of the newest, where paired
	paired          bool
	rtt             float64
	span            // of the timed
}

// span is over what time packets were sent and arrived.
type span struct {
	n                  int
	received, earliest time.Duration // on the peer's clock
	first, last        time.Duration // sent
}

func (s *span) join(o span) {
	if s.n == 0 {
		*s = o
		return
	}
	s.n += o.n
	s.received, s.earliest = max(s.received, o.received), min(s.earliest, o.earliest)
	s.first, s.last = min(s.first, o.first), max(s.last, o.last)
}

// OnFeedback takes in what the peer says has arrived and what the sender takes for
// lost. Packets that were not sent, or were acknowledged before, count for nothing.
func (c *Controller) OnFeedback(now time.Duration, f *Feedback) {
	t := c.at(now)
	b := c.take(t, f)
	if b.packets == 0 && b.lost == 0 {
		return
	}
	round := false
	if b.packets > 0 {
		c.heard, c.silences, c.probes = t, 0, 0
		round = b.newest >= c.rounds.next
		c.measure(t, &b)
	}
	c.loss.add(&b)
	if round {
		c.rounds.count++
		c.rounds.begun = t
		c.rounds.next = c.sent.last().seq + 1
		c.loss.turn(c.mode == Steady && t-c.delay.long < seconds(2*c.delay.srtt))
		c.delivery.round()
		c.capacity.note(t)
		if !c.drain.active {
			// A drain changes both on purpose, as start-up does.
			c.delay.noise.rtt.add(c.delay.srtt, c.mode == Startup)
			c.delay.noise.rate.add(c.delivery.now, c.mode == Startup)
		}
		c.delay.noise.round(t, c.delay.above)
		c.marked()
		c.prior, c.peak = c.peak, float64(c.sent.inflight)+float64(b.bytes)
	}
	c.decide(t, &b, round)
	c.clampWindow()
	c.repace()
	c.sent.trim(t - max(seconds(4*c.delay.srtt), time.Second))
}

// take settles the packets of f.
func (c *Controller) take(t time.Duration, f *Feedback) (b batch) {
	var newest *Acked
	for i := range f.Acked {
		a := &f.Acked[i]
		p := c.sent.find(a.Seq)
		if p == nil || p.state == acked {
			c.stats.Ignored++
			continue
		}
		if p.state == lost {
			b.late++
		}
		c.sent.settle(p, acked)
		b.bytes += int64(p.bytes)
		b.packets++
		if a.Marked {
			b.marked++
		}
		if newest == nil || a.Seq > b.newest {
			newest, b.newest, b.sent, b.limited = a, a.Seq, p.at, p.app
		}
		if usable(a) {
			if owd := a.Received - p.at; !b.timed || owd < b.lowest {
				b.lowest = owd
			}
			b.join(span{1, a.Received, a.Received, p.at, p.at})
			b.timed = true
			c.capacity.add(timedPacket{a.Seq, p.at, a.Received, p.bytes})
			if c.train.has(a.Seq) {
				c.train.arrived(a.Received, p.bytes)
			}
		}
	}
	for _, seq := range f.Lost {
		p := c.sent.find(seq)
		if p == nil || !p.waiting() {
			c.stats.Ignored++
			continue
		}
		row := c.sent.lose(p)
		b.lost++
		b.rows += row
		if c.train.has(seq) {
			c.train.lost++
		}
		if seq > c.elastic.seq {
			b.fresh++
			b.freshRows += row
		}
	}
	c.train.over()
	c.stats.Delivered += uint64(b.bytes)
	c.stats.Acked += uint64(b.packets)
	c.stats.Lost += uint64(b.lost)
	c.stats.Late += uint64(b.late)
	c.stats.Marked += uint64(b.marked)
	if newest == nil {
		return b
	}
	rtt := f.RTT
	if c.delay.srtt == 0 && rtt <= 0 {
		rtt = t - b.sent
	}
	if rtt > 0 {
		rtt = max(min(rtt, t-b.sent), minRoundTrip)
		b.rtt = rtt.Seconds()
		c.delay.rtt(rtt)
		if usable(newest) {
			b.owd, b.paired = newest.Received-b.sent, true
		}
	}
	return b
}

// usable says whether a's receive time says something about a queue. Times so far
// off that arithmetic with them would overflow do not.
func usable(a *Acked) bool {
	return a.Timed && a.ErrBound >= 0 && a.ErrBound <= maxErrBound &&
		a.Received > -1<<61 && a.Received < 1<<61
}

// measure brings delay and delivery rate up to date.
func (c *Controller) measure(t time.Duration, b *batch) {
	if c.batch == 0 {
		c.batch = float64(b.bytes)
	}
	c.batch += (float64(b.bytes) - c.batch) / 8
	if b.timed {
		c.delay.sample(t, b)
		c.capacity.measure(c.delay.way(t), max(seconds(capacityRounds*c.delay.srtt), minMeasure))
	}
	c.delivery.sample(t, b.received, b.timed, b.sent, b.bytes,
		seconds(c.delay.minRTT), seconds(2*c.delay.srtt), b.limited)
}

// rate is what the window amounts to, in bytes per second.
func (c *Controller) rate() float64 {
	d := c.delay.minRTT
	if d == 0 {
		d = defaultRTT
	}
	d += c.delay.queue + c.delay.back
	if c.delay.noise.lumps > lumpy {
		// With so much noise the lowest delays say little about the rest.
		d = max(d, c.delay.srtt)
	}
	return max(c.window/d, minRate)
}

// bdp is a window that keeps the path full at a rate with so much queue, and leaves
// room for what the peer holds back before it acknowledges.
func (c *Controller) bdp(rate, queue float64) float64 {
	return rate*(c.delay.minRTT+max(c.delay.back, c.delay.longBack())+queue) + c.batch/2
}

// clampWindow keeps the window within its bounds whatever was decided.
func (c *Controller) clampWindow() {
	if math.IsNaN(c.window) {
		c.window = 0
	}
	hi := float64(maxWindow)
	if c.pace.limit.rate > 0 {
		// Nothing is gained from a window that the cap never fills.
		hi = 2*c.bdp(c.pace.limit.rate, c.delay.queue) + 20*c.mss
	}
	c.window = min(max(c.window, c.floorWindow()), hi)
}

// floorWindow is the smallest window: four packets, as fewer acknowledge each other too
// seldom, but two where four alone are a long queue.
func (c *Controller) floorWindow() float64 {
	if v := c.delivery.link(); v > 0 && minWindow*c.mss > v*slowLink {
		return minWindow / 2 * c.mss
	}
	return minWindow * c.mss
}

// decide moves the window.
func (c *Controller) decide(t time.Duration, b *batch, round bool) {
	if c.mode == Startup {
		c.grow(t, b, round)
		return
	}
	if c.watch(t, b) {
		return
	}
	if c.drained(t, b) {
		return
	}
	if c.tested(t, b, round) {
		return
	}
	c.turn(t, b, round)
}
