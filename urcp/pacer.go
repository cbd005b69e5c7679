package urcp

import "time"

const (
	paceGain = 1.25
	// paceBurst may leave at once where the queue is short, for a frame's sake.
	paceBurst  = 5 * time.Millisecond
	burstQueue = 0.002
	// tick is the coarsest timer in use, that of older Windows.
	tick = 16 * time.Millisecond
	// capBurst is what the cap lets through at once: so much time, or two packets.
	capBurst = 5 * time.Millisecond
)

// pacer spaces packets. The cap is a token bucket beside it, so that it holds over
// any stretch of time and for every packet.
type pacer struct {
	rate  float64 // bytes per second
	burst time.Duration
	next  time.Duration // when the last packet's time is over
	// waited says that a packet was ready and waited for its time: that it then left
	// late is its host's timer's doing, and is made up for.
	waited bool
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
			burst = max(burst, tick)
		}
		p.waited = false
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
	if c.mode == Startup {
		gain = startupGain
	}
	r := max(gain*c.window/rtt, minRate)
	if e := c.elastic.ceiling; e > 0 {
		r = min(r, e)
	}
	c.pace.rate = r
	c.pace.burst = time.Millisecond
	if c.delay.queue < burstQueue {
		c.pace.burst = paceBurst
	}
}

// NextSend returns when a packet of so many bytes may leave: now or earlier for at
// once, Never where the window is full until feedback comes. Pacing, window and
// MaxRate are all in it.
func (c *Controller) NextSend(now time.Duration, bytes int) time.Duration {
	t := c.at(now)
	if c.sent.inflight > 0 && float64(c.sent.inflight)+float64(bytes) > c.window+c.mss {
		return Never
	}
	if c.sent.count >= maxSent-1 {
		return Never
	}
	if c.pace.limit.rate == 0 && c.train.wanted(t) {
		return now
	}
	if c.pace.next > t {
		c.pace.waited = true
	}
	next := max(c.pace.next, c.pace.limit.when(t, float64(bytes)))
	return next + c.epoch
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

// OnTimer is called at NextTimer, or later.
func (c *Controller) OnTimer(now time.Duration) {
	t := c.at(now)
	if c.sent.count == 0 || t-c.heard < c.silence() {
		return
	}
	c.heard = t
	c.silences++
	c.stats.Silences++
	c.window /= 2
	c.cycle.reset()
	c.clampWindow()
	c.repace()
}
