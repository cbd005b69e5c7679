package linksim

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// A Link is one hop: a policer, a queue, a server, elements that spoil what passes,
// and propagation, in this order. What several flows share on it, they share in the
// order of arrival.
type Link struct {
	Name string // Unique in its scenario, and not empty.
	// Rate is the capacity in bits per second, and Service one that changes with
	// time. At most one is given; where neither is, the link takes no time to serve,
	// has no queue, and stands for a mere way with its elements and its delay.
	Rate    int64
	Service Service
	Queue   Queue
	Policer *Policer
	// Elements change what has been served, one after the other.
	Elements []Element
	// Delay is the propagation time, and Routes its changes, in the order of time.
	// Packets that a shorter route lets overtake do overtake.
	Delay  time.Duration
	Routes []Route
	// Outages are times without service, in their order and apart.
	Outages []Outage
}

// A Route is a change of the propagation time.
type Route struct {
	At    time.Duration
	Delay time.Duration
}

// An Outage is a time in which the link serves nothing, as in a handover. What
// arrives waits in the queue.
type Outage struct {
	From, To time.Duration
	// Flush says that what the queue holds at From is lost: the old cell does not
	// forward it to the new one.
	Flush bool
}

// A Queue bounds what waits to be served. The packet in service has left it.
type Queue struct {
	// Bytes and Packets are the most that wait; a packet that would exceed either
	// is dropped. Zero is no bound, and where both are zero, 4 MiB.
	Bytes   int
	Packets int
	// AQM drops or marks before the queue is full. Nil means a plain FIFO.
	AQM AQM
}

// Buffer is how many bytes a link of so many bits per second serves in d: a
// buffer's size from its depth in time.
func Buffer(rate int64, d time.Duration) int {
	high, low := bits.Mul64(uint64(max(0, rate)), uint64(max(0, d)))
	if high >= 8e9 {
		return math.MaxInt
	}
	bytes, _ := bits.Div64(high, low, 8e9)
	return int(min(bytes, math.MaxInt))
}

// delay is the propagation time at a moment.
func (l *Link) delay(at time.Duration) time.Duration {
	d := l.Delay
	for _, r := range l.Routes {
		if r.At <= at {
			d = r.Delay
		}
	}
	return d
}

func (q *Queue) bounds() (bytes, packets int) {
	if q.Bytes == 0 && q.Packets == 0 {
		return 4 << 20, 1 << 30
	}
	bytes, packets = q.Bytes, q.Packets
	if bytes == 0 {
		bytes = 1 << 40
	}
	if packets == 0 {
		packets = 1 << 30
	}
	return bytes, packets
}

func (l *Link) check() error {
	if l.Rate < 0 || l.Rate > maxRate {
		return fmt.Errorf("a rate of %d bit/s", l.Rate)
	}
	if l.Rate != 0 && l.Service != nil {
		return errors.New("both Rate and Service")
	}
	if l.Service != nil {
		if err := l.Service.check(); err != nil {
			return err
		}
	}
	if l.Queue.Bytes < 0 || l.Queue.Packets < 0 || l.Queue.Bytes > 1<<32 || l.Queue.Packets > 1<<24 {
		return errors.New("a queue of less than nothing, 4 GiB or 16 million packets")
	}
	if l.Queue.AQM != nil {
		if err := l.Queue.AQM.check(); err != nil {
			return err
		}
	}
	if l.Rate == 0 && l.Service == nil && (l.Queue != Queue{} || len(l.Outages) > 0) {
		return errors.New("a queue or outages without a rate")
	}
	if l.Policer != nil {
		if err := l.Policer.check(); err != nil {
			return err
		}
	}
	if l.Delay < 0 || l.Delay > maxDelay {
		return fmt.Errorf("a delay of %v", l.Delay)
	}
	for i, r := range l.Routes {
		if r.At < 0 || r.Delay < 0 || r.Delay > maxDelay || i > 0 && r.At < l.Routes[i-1].At {
			return errors.New("routes out of order, or of a delay below zero or above an hour")
		}
	}
	for i, o := range l.Outages {
		if o.From < 0 || o.To <= o.From || i > 0 && o.From < l.Outages[i-1].To {
			return errors.New("outages out of order, or that overlap")
		}
	}
	for i, e := range l.Elements {
		if e == nil {
			return fmt.Errorf("element %d is nil", i)
		}
		if err := e.check(); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	return nil
}
