package linksim

import (
	"time"

	"github.com/reachback/reachback/urcp"
)

// link is a Link at work.
type link struct {
	cfg     *Link
	index   int
	self    uint32
	result  *LinkResult
	policer *bucket
	queue   queue
	out     node // the first element, or the way out

	// meter is nil for a trace and for a link that takes no time.
	meter *meter
	trace *replay
	// current is in service, none where nothing is.
	current uint32
	begun   time.Duration // when it is served at last: the link may stand still
	done    time.Duration // when the one before was served
	left    int32         // trace: bytes of current still to be served
	armed   time.Duration // trace: the opportunity that is scheduled
}

// What the arguments of a link's events mean.
const (
	linkServe = iota
	linkFlush
)

func newLink(s *sim, index int, cfg *Link, result *LinkResult) *link {
	l := &link{cfg: cfg, index: index, result: result, current: none, armed: urcp.Never}
	l.self = s.register(l)
	result.link = l
	if cfg.Policer != nil {
		l.policer = newBucket(cfg.Policer)
	}
	switch service := cfg.Service.(type) {
	case nil:
		if cfg.Rate > 0 {
			l.meter = &meter{rates: constant(cfg.Rate)}
		}
	case *Trace:
		l.trace = newReplay(service, cfg.Outages)
	default:
		l.meter = &meter{rates: service.rates()}
	}
	if l.meter != nil && len(cfg.Outages) > 0 {
		l.meter.rates = interrupted{l.meter.rates, cfg.Outages}
	}
	if l.meter != nil || l.trace != nil {
		if cfg.Queue.AQM != nil {
			l.queue = cfg.Queue.AQM.queue(l, s.random(cfg.Name+"/aqm"))
		} else {
			f := newFIFO(l)
			l.queue = &f
		}
		for _, o := range cfg.Outages {
			if o.Flush {
				s.events.push(o.From, l.self, linkFlush)
			}
		}
	}
	l.out = newWay(s, l)
	return l
}

func (l *link) push(s *sim, p uint32) {
	k := &s.packets[p]
	if l.policer != nil && !l.policer.take(s.now, k.bytes) {
		s.drop(p, l, dropPoliced)
		return
	}
	if l.queue == nil {
		l.result.serve(s, l, p, 0, 0)
		l.out.push(s, p)
		return
	}
	k.arrived = s.now
	l.queue.push(s, p)
	l.result.PeakQueue = max(l.result.PeakQueue, l.queue.held())
	l.kick(s)
}

// kick puts the next packet into service, or waits for the next opportunity.
func (l *link) kick(s *sim) {
	if l.trace != nil {
		if l.armed == urcp.Never && (l.current != none || !l.queue.empty()) {
			if l.armed = l.trace.next(s.now); l.armed != urcp.Never {
				s.events.push(l.armed, l.self, linkServe)
			}
		}
		return
	}
	if l.current != none {
		return
	}
	p := l.queue.pop(s)
	if p == none {
		return
	}
	if l.done != s.now {
		l.meter.rest = 0 // It was idle, and what was left of that nanosecond is gone.
	}
	l.current, l.begun = p, s.now+idle(l.meter.rates, s.now)
	if at := l.meter.finish(l.begun, s.packets[p].bytes); at != urcp.Never {
		s.events.push(at, l.self, linkServe)
	}
}

func (l *link) fire(s *sim, arg uint32) {
	switch {
	case arg == linkFlush:
		l.flush(s)
	case l.trace != nil:
		l.opportunity(s)
	default:
		p := l.current
		l.current, l.done = none, s.now
		arrived := s.packets[p].arrived
		l.served(s, p, l.begun-arrived, idle(l.meter.rates, arrived))
		l.kick(s)
	}
}

func (l *link) served(s *sim, p uint32, queued, wait time.Duration) {
	k := &s.packets[p]
	k.queued += queued
	k.wait += wait
	l.result.serve(s, l, p, queued, wait)
	l.out.push(s, p)
}

// opportunity serves the bytes of the opportunities of this moment. What they leave
// is lost when the queue is empty.
func (l *link) opportunity(s *sim) {
	l.armed = urcp.Never
	credit := l.trace.take(s.now)
	for credit > 0 {
		if l.current == none {
			if l.current = l.queue.pop(s); l.current == none {
				break
			}
			l.left = s.packets[l.current].bytes
		}
		n := min(int64(l.left), credit)
		credit -= n
		if l.left -= int32(n); l.left > 0 {
			break
		}
		p := l.current
		l.current = none
		queued := s.now - s.packets[p].arrived
		l.served(s, p, queued, l.trace.wait(s.packets[p].arrived))
	}
	l.kick(s)
}

func (l *link) flush(s *sim) {
	for {
		p := l.queue.pop(s)
		if p == none {
			return
		}
		s.drop(p, l, dropFlushed)
	}
}

// A way is what comes behind a link: its propagation, and the next hop.
type way struct {
	link  *link
	line  *line
	route int // how many of the routes are in force
}

// newWay builds what comes behind a link's server and returns the first of it.
func newWay(s *sim, l *link) node {
	w := &way{link: l}
	w.line = newLine(s, hop{})
	return newElements(s, l, w)
}

func (w *way) delay(at time.Duration) time.Duration {
	r := w.link.cfg.Routes
	for w.route < len(r) && r[w.route].At <= at {
		w.route++
	}
	if w.route == 0 {
		return w.link.cfg.Delay
	}
	return r[w.route-1].Delay
}

func (w *way) push(s *sim, p uint32) {
	w.line.send(s, p, s.now+w.delay(s.now))
}

// hop sends a packet to its next link, or to the end of its path.
type hop struct{}

func (hop) push(s *sim, p uint32) {
	k := &s.packets[p]
	f := s.flows[k.flow]
	path := f.cfg.Path
	if k.ack {
		path = f.cfg.Back
	}
	if int(k.hop) < len(path) {
		l := s.links[path[k.hop]]
		k.hop++
		l.push(s, p)
		return
	}
	if k.ack {
		f.acknowledged(s, p)
	} else {
		f.receiver.take(s, p)
	}
}
