package urcp

import "time"

// Mode is what a controller is at.
type Mode uint8

const (
	Startup   Mode = iota // looks for the path's rate
	Steady                // keeps the queue short
	Competing             // holds a share against flows that fill the queue
)

func (m Mode) String() string {
	switch m {
	case Startup:
		return "startup"
	case Steady:
		return "steady"
	case Competing:
		return "competing"
	}
	return "unknown"
}

// Counters count what has happened since New.
type Counters struct {
	Delivered    uint64 // bytes
	Acked        uint64 // packets
	Lost         uint64 // packets that counted as lost
	Late         uint64 // of those, acknowledged after all
	Marked       uint64 // packets with a mark
	Ignored      uint64 // words about packets not sent, or settled before
	Competitions uint64 // entries into Competing
	Routes       uint64 // base delays renewed because the way had become longer
	Drains       uint64 // drains to see the base delay
	LossTests    uint64 // tests of what loss depends on
	Ceilings     uint64 // policers or very short buffers found
	ClockSteps   uint64 // steps of the peer's clock
	Silences     uint64 // windows halved for silence
}

// A Snapshot is the state of a controller at one moment.
type Snapshot struct {
	Mode         Mode
	Rate         int64         // bits per second
	Window       int           // bytes
	Inflight     int           // bytes
	DeliveryRate int64         // bits per second, as the peer's clock has it
	RTT          time.Duration // smoothed
	BaseRTT      time.Duration
	// BaseDelay is the one-way delay without queues on the two hosts' clocks: their
	// offset is in it, so only its changes mean something.
	BaseDelay  time.Duration
	QueueDelay time.Duration // standing queue at the bottleneck
	Loss       float64       // of packets, averaged over some round trips
	Inherent   float64       // loss that the path has without us
	Counters   Counters
}

// Snapshot returns the state of c.
func (c *Controller) Snapshot() Snapshot {
	d := &c.delay
	n := c.stats
	n.ClockSteps = d.steps
	return Snapshot{
		Mode: c.mode, Rate: c.Rate(), Window: c.Window(), Inflight: int(c.sent.inflight),
		DeliveryRate: int64(c.delivery.now * 8),
		RTT:          seconds(d.srtt), BaseRTT: seconds(d.minRTT),
		BaseDelay:  d.ref - c.epoch + seconds(d.base+d.clock.correction(c.last)),
		QueueDelay: seconds(d.queue),
		Loss:       c.loss.ratio, Inherent: c.loss.inherent,
		Counters: n,
	}
}

// Rate returns the rate in bits per second.
func (c *Controller) Rate() int64 {
	r := c.rate()
	if e := c.elastic.ceiling; e > 0 {
		r = min(r, e)
	}
	if m := c.pace.limit.rate; m > 0 {
		r = min(r, m)
	}
	return int64(r * 8)
}

// Window returns how many bytes may be in flight.
func (c *Controller) Window() int { return int(c.window) }

const (
	targetPart = 0.95 // of the rate
	// A source that has had more waiting for longer than backlogTime makes more than is
	// delivered: it gets backlogPart of that, until nothing waits any more.
	backlogTime = 50 * time.Millisecond
	backlogPart = 0.85
)

// TargetBitrate returns what an encoder should make, in bits per second: a little
// less than the rate, and less what is lost. Where packets say that something has been
// waiting behind them for long, it is so much less than what is delivered that the
// backlog goes.
func (c *Controller) TargetBitrate() int64 {
	r := targetPart * float64(c.Rate())
	if v := c.delivery.mean; v > 0 && c.last-c.kept > backlogTime {
		r = min(r, backlogPart*8*min(v, c.delivery.now))
	}
	return int64(r * (1 - min(c.loss.ratio, 0.5)))
}
