package linksim

import (
	"time"

	"github.com/reachback/reachback/urcp"
)

// A Result is what a run measured. Its methods look at any span of it afterwards:
// from inclusive, to exclusive.
type Result struct {
	Scenario *Scenario
	Links    []*LinkResult // as in the scenario
	Flows    []*FlowResult
}

// A LinkResult is what one link did.
type LinkResult struct {
	Name string
	// Served are the bytes and packets that it served, acknowledgements included.
	Served, ServedBytes int64
	Dropped             Drops
	// Marked counts the marks that its queue set.
	Marked int64
	// PeakQueue is the most that ever waited, in bytes.
	PeakQueue int

	departures series[departure]
	link       *link
	duration   time.Duration
}

// Drops counts packets by what they were lost to.
type Drops struct {
	Overflow int64 // the queue was full
	AQM      int64 // the queue's management dropped instead of marking
	Policed  int64
	Flushed  int64 // waited when an outage began that forwards nothing
	Element  int64 // random loss
}

// Total is the sum over the reasons.
func (d *Drops) Total() int64 {
	return d.Overflow + d.AQM + d.Policed + d.Flushed + d.Element
}

func (d *Drops) count(why dropReason) {
	switch why {
	case dropOverflow:
		d.Overflow++
	case dropAQM:
		d.AQM++
	case dropPoliced:
		d.Policed++
	case dropFlushed:
		d.Flushed++
	case dropElement:
		d.Element++
	}
}

// A departure is a packet that a link has served.
type departure struct {
	at     time.Duration // the end of its service
	queued time.Duration
	wait   time.Duration // the part of it that an empty queue would have cost too
	flow   int32
	bytes  int32
}

func (d departure) when() time.Duration { return d.at }

// own is the part of the delay in the queue that senders brought upon themselves.
func (d *departure) own() time.Duration { return max(0, d.queued-d.wait) }

// A FlowResult is what became of one flow. What the network dropped is counted when
// it was dropped, by the sender's start-up where it was sent in the scenario's Settle
// time.
type FlowResult struct {
	Name string
	// BaseRTT is the round trip without queues, when the flow starts.
	BaseRTT                     time.Duration
	Sent, SentBytes             int64
	Delivered, DeliveredBytes   int64 // duplicates not counted
	Duplicates                  int64
	Dropped                     int64 // by the network
	StartupSent, StartupDropped int64 // the part sent during start-up
	Declared                    int64 // packets that the sender took for lost
	Spurious                    int64 // and that had arrived, or still did
	Marked                      int64
	AppLimited                  int64
	Feedbacks, FeedbackBytes    int64 // acknowledgements that reached the sender
	// Messages are what its source made; none for a greedy one.
	Messages []Message
	// Skipped counts frames that the source left out because too much waited.
	Skipped int64
	// Snapshot is the controller's last, nil where it is not a [Snapshotter]. It is
	// taken once a bin, which is how exact the rest is: InMode is for how long the
	// controller was in each mode, and Competitions how often it took to competing,
	// which is false where no other flow fills the queue.
	Snapshot     *urcp.Snapshot
	InMode       [urcp.Competing + 1]time.Duration
	Competitions uint64
	// Bins hold what happened in each span of Scenario.Bin.
	Bins []Bin

	arrivals series[arrival]
	start    time.Duration
	stop     time.Duration
	end      time.Duration
	settle   time.Duration
	bin      time.Duration
}

// A Bin is one span of a flow.
type Bin struct {
	Sent, Delivered int64 // bytes
	SentPackets     int32
	Dropped         int32         // packets
	Queued          time.Duration // the largest queueing delay of what arrived
}

// An arrival is a packet that its receiver has taken.
type arrival struct {
	at     time.Duration
	delay  time.Duration // since it was sent
	queued time.Duration
	wait   time.Duration
	bytes  int32
	marked bool
}

func (a arrival) when() time.Duration { return a.at }

func (a *arrival) own() time.Duration { return max(0, a.queued-a.wait) }

func newResult(sc *Scenario) *Result {
	r := &Result{Scenario: sc}
	for i := range sc.Links {
		r.Links = append(r.Links, &LinkResult{Name: sc.Links[i].Name, duration: sc.Duration})
	}
	bins := int((sc.Duration + sc.bin() - 1) / sc.bin())
	for i := range sc.Flows {
		f := &sc.Flows[i]
		r.Flows = append(r.Flows, &FlowResult{
			Name: f.Name, Bins: make([]Bin, bins), bin: sc.bin(),
			start: f.Start, stop: f.stop(sc), end: sc.Duration, settle: f.Start + sc.settle(),
		})
	}
	return r
}

// Link returns the link of that name, nil where there is none.
func (r *Result) Link(name string) *LinkResult {
	for _, l := range r.Links {
		if l.Name == name {
			return l
		}
	}
	return nil
}

// Flow returns the flow of that name, nil where there is none.
func (r *Result) Flow(name string) *FlowResult {
	for _, f := range r.Flows {
		if f.Name == name {
			return f
		}
	}
	return nil
}

func (r *LinkResult) serve(s *sim, l *link, p uint32, queued, wait time.Duration) {
	k := &s.packets[p]
	r.Served++
	r.ServedBytes += int64(k.bytes)
	if l.queue != nil {
		r.departures.add(departure{s.now, queued, wait, k.flow, k.bytes})
	}
}

func (r *FlowResult) at(now time.Duration) *Bin {
	return &r.Bins[min(int(now/r.bin), len(r.Bins)-1)]
}

func (r *FlowResult) send(s *sim, bytes int) {
	r.Sent++
	r.SentBytes += int64(bytes)
	if s.now < r.settle {
		r.StartupSent++
	}
	b := r.at(s.now)
	b.Sent += int64(bytes)
	b.SentPackets++
}

func (r *FlowResult) drop(s *sim, k *packet) {
	r.Dropped++
	if k.sent < r.settle {
		r.StartupDropped++
	}
	r.at(s.now).Dropped++
}

func (r *FlowResult) deliver(s *sim, k *packet) {
	r.Delivered++
	r.DeliveredBytes += int64(k.bytes)
	if k.marked {
		r.Marked++
	}
	r.arrivals.add(arrival{s.now, s.now - k.sent, k.queued, k.wait, k.bytes, k.marked})
	b := r.at(s.now)
	b.Delivered += int64(k.bytes)
	b.Queued = max(b.Queued, k.queued)
}
