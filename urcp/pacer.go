package urcp

import "time"

const (
	paceGain = 1.25
	// paceBurst may leave at once where the queue is short, for a frame's sake.
	paceBurst  = 5 * time.Millisecond
	burstQueue = 0.002
	// tick is the coarsest timer in use, that of older Windows.
	tick = 16 * time.Millisecond
	// wakeTime is within what time packets count as having left together, after a timer.
	wakeTime = time.Millisecond
	// capBurst is what the cap lets through at once: so much time, or two packets.
	capBurst = 5 * time.Millisecond
	// After so long without news a packet leaves although the window is full.
	probeRounds = 1.25
	probeLeast  = 200 * time.Millisecond
	// maxProbes bounds such packets, so that the time to the next never is over for all that
	// follow. After them only silence makes room.
	maxProbes = 8
)

// pacer spaces packets. The cap is a token bucket beside it, so that it holds over
// any stretch of time and for every packet.
type pacer struct {
	rate  float64 // bytes per second
	burst time.Duration
	next  time.Duration // when the last packet's time is over
	// waited says that a packet was ready and waited for its time: that it then left
	// late is its host's timer's doing, and is made up for, by it and by those that
	// leave with it, at woke.
	waited bool
	woke   time.Duration
	calmT  time.Duration // no bursts until then
	limit  bucket
}

// bucket is a token bucket that may go into debt.
type bucket struct {
	rate   float64 // bytes per second; no limit where zero
	size   float64
	tokens float64
	filled time.Duration
}

func (k *bucket) set(rate, mss float64) {
	if rate <= 0 {
		*k = bucket{}
		return
	}
	k.rate = rate
	k.size = max(2*mss, rate*capBurst.Seconds())
	k.tokens = min(k.tokens, k.size)
}

func (k *bucket) fill(t time.Duration) {
	if t > k.filled {
		k.tokens = min(k.size, k.tokens+k.rate*(t-k.filled).Seconds())
		k.filled = t
	}
}

// when returns the time at which n bytes may pass.
func (k *bucket) when(t time.Duration, n float64) time.Duration {
	if k.rate == 0 {
		return t
	}
	k.fill(t)
	// More than the bucket holds waits for a full one.
	if need := min(n, k.size) - k.tokens; need > 1e-6 {
		return t + seconds(need/k.rate) + 1
	}
	return t
}

func (p *pacer) calm(until time.Duration) { p.calmT = until }

func (p *pacer) sent(t time.Duration, n float64) {
	if p.rate > 0 {
		burst := p.burst
		if t < p.calmT {
			burst = 0
		}
		if p.waited {
			p.waited, p.woke = false, t
		}
		if p.woke > 0 && t-p.woke < wakeTime {
			burst = max(burst, tick)
		}
		p.next = max(p.next, t-burst) + seconds(n/p.rate)
	}
	if p.limit.rate > 0 {
		p.limit.fill(t)
		p.limit.tokens -= n
	}
}

// repace sets the pacing rate by window and round trip.
func (c *Controller) repace() {
	rtt := c.delay.srtt
	if rtt == 0 {
		rtt = defaultRTT
	}
	gain := paceGain
	switch {
	case c.mode == Startup:
		gain = startupGain
	case c.mode == Steady && c.radio():
		gain = radioPace
	}
	r := gain * c.window / rtt
	// A flow that fills the way back has its acknowledgements in our queue: the longer that
	// is, the shorter is the queue on the way back, so that the round trip stays as it is and
	// the window does not bound our queue. Then pacing does, by what the round trip would be.
	if b := c.delay.longBack(); c.mode == Steady && b > 0 {
		r = min(r, c.window/(c.delay.minRTT+b+c.delay.queue))
	}
	if e := c.elastic.ceiling; e > 0 {
		r = min(r, e)
	}
	c.pace.rate = max(r, minRate)
	c.pace.burst = time.Millisecond
	if c.delay.queue < burstQueue && !c.radio() {
		c.pace.burst = paceBurst
	}
}

// NextSend returns when a packet of so many bytes may leave: now or earlier for at
// once, Never where feedback has to come first. Pacing, window and MaxRate are all in
// it. Where the window is full and nothing is heard, a packet may leave now and then all
// the same: see [Controller.OnTimer].
func (c *Controller) NextSend(now time.Duration, bytes int) time.Duration {
	t := c.at(now)
	if c.sent.count >= maxSent-1 {
		return Never
	}
	if c.full(bytes) {
		c.pace.waited = false // it is not a timer that it waits for
		if c.delay.srtt == 0 || c.probes >= maxProbes {
			return Never
		}
		return max(c.probeAt(), c.pace.limit.when(t, float64(bytes))) + c.epoch
	}
	if c.pace.limit.rate == 0 && c.train.wanted(t) {
		// A train that the window breaks tells nothing: it waits until there is room.
		if !c.train.begun() && c.sent.inflight > 0 && float64(c.sent.inflight+trainLen*int64(bytes)) > c.window+c.mss {
			return Never
		}
		return now
	}
	if c.pace.next > t {
		c.pace.waited = true
	}
	next := max(c.pace.next, c.pace.limit.when(t, float64(bytes)))
	return next + c.epoch
}

// full says whether the window has no room for so many bytes.
func (c *Controller) full(bytes int) bool {
	return c.sent.inflight > 0 && float64(c.sent.inflight)+float64(bytes) > c.window+c.mss
}

// probeAt is when a packet may leave although the window is full. Where the last of a
// window is lost, nothing tells of it but what arrives behind it (RFC 9002, section
// 6.2.4).
func (c *Controller) probeAt() time.Duration {
	return c.heard + max(seconds(probeRounds*c.delay.srtt), probeLeast)<<c.probes
}

// SetMaxRate sets a cap, in bits per second, on all that is sent; zero takes it away.
func (c *Controller) SetMaxRate(rate int64) {
	c.pace.limit.set(float64(max(rate, 0))/8, c.mss)
	c.clampWindow()
}

// NextTimer returns when OnTimer is to be called; Never where it need not be.
func (c *Controller) NextTimer() time.Duration {
	if c.sent.count == 0 {
		return Never
	}
	return c.heard + c.silence() + c.epoch
}

// silence is for how long nothing has to come before the window is halved.
func (c *Controller) silence() time.Duration {
	rtt := c.delay.srtt
	if rtt == 0 {
		rtt = defaultRTT
	}
	d := max(seconds(4*rtt), time.Second)
	return d << min(c.silences, 6)
}

// OnTimer is called at NextTimer, or later: nothing has been heard for long, and the
// window is halved. Before that NextSend has let single packets leave, each after twice
// the time of the one before.
func (c *Controller) OnTimer(now time.Duration) {
	t := c.at(now)
	if c.sent.count == 0 || t-c.heard < c.silence() {
		return
	}
	c.heard = t
	c.silences++
	c.stats.Silences++
	c.window /= 2
	// What is hardly on its way still must not keep new packets from finding out, and
	// what an outage took says nothing of a policer.
	c.sent.overdue()
	c.loss.forgive()
	c.cycle.reset()
	c.clampWindow()
	c.repace()
}
