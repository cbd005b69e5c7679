package linksim

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// A Scenario says what is simulated. It is not changed by [Run], and may be run
// again; controllers are made anew each time.
type Scenario struct {
	Name string
	// Seed is where all randomness comes from. Each link, element and flow draws
	// from a stream of its own, made from the seed and its name, so that adding one
	// does not shift what the others draw.
	Seed     uint64
	Duration time.Duration
	Links    []Link
	Flows    []Flow
	// Settle is for how long a flow counts as starting; its losses of that time are
	// counted apart. Zero means 5 seconds.
	Settle time.Duration
	// Bin is the width of the bins of the result. Zero means 100 ms.
	Bin time.Duration
	// Log takes every event as a line of JSON, if it is set: t, in nanoseconds; event,
	// one of sent, dropped, received and feedback; flow; and what belongs to the event,
	// such as seq, bytes, and the link that dropped and its reason. Acknowledgements
	// have ack, and only their drops are logged.
	Log io.Writer
}

// A Flow is a sender, what it sends, and the way there and back.
type Flow struct {
	Name string // Unique in its scenario, and not empty.
	// New makes the controller when the flow starts; now is the sender's clock.
	New func(now time.Duration) Controller
	// Start is when it begins to send and Stop when it ends; zero means the
	// scenario's end.
	Start, Stop time.Duration
	// Path are the links that its packets cross, as indices in Scenario.Links.
	Path []int
	// Delay is the propagation time from the sender to the first link, in addition
	// to those of the links.
	Delay time.Duration
	// Back are the links that its acknowledgements cross, and Return the
	// propagation time in addition to theirs. Where there is neither, the way back
	// takes as long as the propagation on the way there when the flow starts.
	Back   []int
	Return time.Duration
	// PacketBytes is the size on the wire of a full packet. Zero means 1250.
	PacketBytes int
	// Source is what there is to send. Nil means that there is always more.
	Source Source
	// Pauses are times when the source has nothing new.
	Pauses []Interval
	// ECN is how its packets are marked as capable of ECN.
	ECN ECN
	// Feedback is how the receiver reports. Zero is [Ideal].
	Feedback Feedback
	// Sender and Receiver are the clocks of the two ends. The sender's must not go
	// back.
	Sender, Receiver Clock
}

// An Interval is a span of simulated time, From inclusive and To exclusive.
type Interval struct{ From, To time.Duration }

// ECN is the codepoint in the IP header with which a flow sends its packets
// (RFC 3168, RFC 9331).
type ECN uint8

const (
	NotECT ECN = iota // Queues drop where they would mark.
	ECT0              // Marked as classic queues do: in the place of a drop.
	ECT1              // L4S: marked early and often.
)

// Limits of a scenario, so that a scenario file from elsewhere cannot run away.
const (
	maxDuration = 24 * time.Hour
	maxLinks    = 64
	maxFlows    = 256
	maxRate     = 1e11
	maxPacket   = 65535
	maxDelay    = time.Hour
)

func (sc *Scenario) settle() time.Duration {
	if sc.Settle == 0 {
		return 5 * time.Second
	}
	return sc.Settle
}

func (sc *Scenario) bin() time.Duration {
	if sc.Bin == 0 {
		return 100 * time.Millisecond
	}
	return sc.Bin
}

func (f *Flow) packetBytes() int {
	if f.PacketBytes == 0 {
		return 1250
	}
	return f.PacketBytes
}

func (f *Flow) stop(sc *Scenario) time.Duration {
	if f.Stop == 0 {
		return sc.Duration
	}
	return min(f.Stop, sc.Duration)
}

// check reports the first thing that is wrong with the scenario.
func (sc *Scenario) check() error {
	switch {
	case sc.Duration <= 0 || sc.Duration > maxDuration:
		return fmt.Errorf("duration %v is not within (0, %v]", sc.Duration, maxDuration)
	case len(sc.Links) > maxLinks:
		return fmt.Errorf("%d links, %d at most", len(sc.Links), maxLinks)
	case len(sc.Flows) > maxFlows:
		return fmt.Errorf("%d flows, %d at most", len(sc.Flows), maxFlows)
	case sc.Settle < 0 || sc.Bin < 0:
		return errors.New("a negative Settle or Bin")
	case sc.Bin != 0 && sc.Duration/sc.Bin > 1e6:
		return errors.New("more than a million bins")
	}
	names := make(map[string]bool)
	for i := range sc.Links {
		l := &sc.Links[i]
		if err := l.check(); err != nil {
			return fmt.Errorf("link %q: %w", l.Name, err)
		}
		if l.Name == "" || names[l.Name] {
			return fmt.Errorf("link %d has no name of its own: %q", i, l.Name)
		}
		names[l.Name] = true
	}
	for i := range sc.Flows {
		f := &sc.Flows[i]
		if f.Name == "" || names[f.Name] {
			return fmt.Errorf("flow %d has no name of its own: %q", i, f.Name)
		}
		names[f.Name] = true
		if err := f.check(sc); err != nil {
			return fmt.Errorf("flow %q: %w", f.Name, err)
		}
	}
	return nil
}

func (f *Flow) check(sc *Scenario) error {
	if f.New == nil {
		return errors.New("no controller")
	}
	if f.Start < 0 || f.Stop < 0 || f.Stop != 0 && f.Stop < f.Start {
		return errors.New("it stops before it starts")
	}
	if f.packetBytes() < 16 || f.packetBytes() > maxPacket {
		return fmt.Errorf("packets of %d bytes", f.PacketBytes)
	}
	if f.Delay < 0 || f.Return < 0 || f.Delay > maxDelay || f.Return > maxDelay {
		return errors.New("a delay that is negative or above an hour")
	}
	if len(f.Path) > 200 || len(f.Back) > 200 {
		return errors.New("more than 200 links in its path")
	}
	for _, path := range [][]int{f.Path, f.Back} {
		for _, l := range path {
			if l < 0 || l >= len(sc.Links) {
				return fmt.Errorf("its path names link %d of %d", l, len(sc.Links))
			}
		}
	}
	if f.ECN > ECT1 {
		return errors.New("an unknown ECN codepoint")
	}
	for _, p := range f.Pauses {
		if p.From < 0 || p.To <= p.From {
			return errors.New("a pause that ends before it begins")
		}
	}
	if err := f.Sender.check(); err != nil {
		return fmt.Errorf("sender's clock: %w", err)
	}
	for _, st := range f.Sender.Steps {
		if st.By < 0 {
			return errors.New("sender's clock: a step back")
		}
	}
	if err := f.Receiver.check(); err != nil {
		return fmt.Errorf("receiver's clock: %w", err)
	}
	if f.Source != nil {
		if err := f.Source.check(); err != nil {
			return fmt.Errorf("source: %w", err)
		}
	}
	return f.Feedback.check()
}
