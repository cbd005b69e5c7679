package urcp

import (
	"math/rand/v2"
	"slices"
	"time"
)

// link is the smallest path that a controller can be tried on: one flow, one queue,
// one rate. The simulator of linksim does everything else.
type link struct {
	rate   float64       // bits per second
	oneWay time.Duration // each way
	buffer time.Duration // of queue; unbounded where zero
	loss   float64
	marks  float64                               // part of the packets that the network marks
	noise  func(now time.Duration) time.Duration // added after the queue
	app    func(now time.Duration) bool          // whether there is something to send
	group  int                                   // packets an acknowledgement waits for; 8 where zero
	shift  time.Duration                         // added to all of the sender's times
	offset time.Duration                         // of the receiver's clock
	mixed  bool                                  // shuffle each feedback
	rng    *rand.Rand
}

type linkStats struct {
	sent, lost int
	bytes      int
	queues     []time.Duration
}

func (s *linkStats) quantile(p float64) time.Duration {
	q := slices.Sorted(slices.Values(s.queues))
	if len(q) == 0 {
		return 0
	}
	return q[min(int(p*float64(len(q))), len(q)-1)]
}

type arrival struct {
	seq      uint64
	at       time.Duration // of the acknowledgement, at the sender
	received time.Duration
	sent     time.Duration
	lost     bool
}

// run drives c for so long; what the first warm of it did is not counted.
func (l *link) run(c *Controller, warm, length time.Duration) linkStats {
	const size = 1250
	var (
		st      linkStats
		now     time.Duration
		free    time.Duration
		seq     uint64
		pending []arrival
		f       Feedback
	)
	if l.rng == nil {
		l.rng = rand.New(rand.NewPCG(1, 2))
	}
	group := l.group
	if group == 0 {
		group = 8
	}
	for now < length {
		send := Never
		if l.app == nil || l.app(now) {
			send = c.NextSend(now+l.shift, size)
			if send != Never {
				send = max(send-l.shift, now)
			}
		}
		// An acknowledgement leaves when a group is complete, or a quarter of a
		// round trip after its first packet.
		ack := Never
		if n := len(pending); n >= group {
			ack = pending[group-1].at
		}
		if len(pending) > 0 {
			ack = min(ack, pending[0].at+l.oneWay/2)
		}
		timer := c.NextTimer()
		if timer != Never {
			timer = max(timer-l.shift, now)
		}
		switch {
		case send <= ack && send <= timer && send != Never:
			now = send
			start := max(free, now)
			queue := start - now
			dropped := l.buffer > 0 && queue > l.buffer
			if !dropped {
				free = start + time.Duration(size*8/l.rate*1e9)
			}
			gone := dropped || l.rng.Float64() < l.loss
			if now >= warm {
				st.sent++
				if gone {
					st.lost++
				} else {
					st.bytes += size
				}
				st.queues = append(st.queues, queue)
			}
			rx := free + l.oneWay
			if l.noise != nil {
				rx += l.noise(rx)
			}
			c.OnSent(now+l.shift, Packet{Seq: seq, Bytes: size})
			a := arrival{seq: seq, at: rx + l.oneWay, received: rx + l.offset, sent: now, lost: gone}
			i := len(pending)
			for i > 0 && pending[i-1].at > a.at {
				i--
			}
			pending = slices.Insert(pending, i, a)
			seq++
		case ack <= timer && ack != Never:
			now = max(ack, now)
			f.Acked, f.Lost, f.RTT = f.Acked[:0], f.Lost[:0], 0
			k := 0
			for k < len(pending) && k < group && pending[k].at <= now {
				a := pending[k]
				if a.lost {
					f.Lost = append(f.Lost, a.seq)
				} else {
					f.Acked = append(f.Acked, Acked{Seq: a.seq, Received: a.received, Timed: true, Marked: l.rng.Float64() < l.marks})
					f.RTT = a.at - a.sent
				}
				k++
			}
			pending = pending[k:]
			if l.mixed {
				l.rng.Shuffle(len(f.Acked), func(i, j int) { f.Acked[i], f.Acked[j] = f.Acked[j], f.Acked[i] })
			}
			c.OnFeedback(now+l.shift, &f)
		case timer != Never:
			now = timer
			c.OnTimer(now + l.shift)
		default:
			now += time.Millisecond
		}
	}
	return st
}
