package linksim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"time"

	"github.com/reachback/reachback/urcp"
)

// Opportunity is how many bytes each opportunity of a trace carries.
const Opportunity = 1500

// Limits of a trace file.
const (
	maxTraceLines = 16 << 20
	maxTraceAt    = 24 * 60 * 60 * 1000 // milliseconds
)

// A Trace is a recorded link: the moments at which it could carry 1500 bytes. An
// opportunity serves bytes, not packets: what a packet leaves of it goes to the
// next, as long as one waits. The recording is repeated from its last moment on.
type Trace struct {
	at     []uint32 // milliseconds, never falling
	period time.Duration
}

// ReadTrace reads the format of mahimahi: one whole number to a line, the
// millisecond from the start at which the link may carry 1500 bytes; numbers never
// fall, and one that is repeated stands for as many opportunities.
func ReadTrace(r io.Reader) (*Trace, error) {
	t := &Trace{}
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64), 64)
	for sc.Scan() {
		if len(t.at) == maxTraceLines {
			return nil, errors.New("linksim: trace: too many lines")
		}
		ms, err := strconv.ParseUint(sc.Text(), 10, 32)
		if err != nil || ms > maxTraceAt {
			return nil, fmt.Errorf("linksim: trace: line %d is not a millisecond of a day", len(t.at)+1)
		}
		if n := len(t.at); n > 0 && uint32(ms) < t.at[n-1] {
			return nil, fmt.Errorf("linksim: trace: line %d goes back", n+1)
		}
		t.at = append(t.at, uint32(ms))
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("linksim: trace: line %d: %w", len(t.at)+1, err)
	}
	if len(t.at) == 0 || t.at[len(t.at)-1] == 0 {
		return nil, errors.New("linksim: trace: it has no length")
	}
	t.period = time.Duration(t.at[len(t.at)-1]) * time.Millisecond
	return t, nil
}

// Period is after how long the trace begins again.
func (t *Trace) Period() time.Duration { return t.period }

func (t *Trace) check() error {
	if t == nil || len(t.at) == 0 {
		return errors.New("an empty trace")
	}
	return nil
}

func (t *Trace) rates() rates { return nil }

// moment is when the i-th opportunity comes, counted through all repetitions.
func (t *Trace) moment(i int64) time.Duration {
	n := int64(len(t.at))
	return time.Duration(i/n)*t.period + time.Duration(t.at[i%n])*time.Millisecond
}

// index is the first opportunity at or after a moment.
func (t *Trace) index(at time.Duration) int64 {
	round := int64(at / t.period)
	ms := uint32((at%t.period + time.Millisecond - 1) / time.Millisecond)
	i := sort.Search(len(t.at), func(i int) bool { return t.at[i] >= ms })
	first := round*int64(len(t.at)) + int64(i)
	// At the seam the end of one repetition and the start of the next coincide.
	for first > 0 && t.moment(first-1) >= at {
		first--
	}
	return first
}

// replay is a trace on a link.
type replay struct {
	trace   *Trace
	outages []Outage
	unused  int64 // the first opportunity that is not used up or passed
}

func newReplay(t *Trace, outages []Outage) *replay {
	return &replay{trace: t, outages: outages}
}

// out returns the end of the outage that holds t, or t.
func (r *replay) out(t time.Duration) time.Duration {
	i := sort.Search(len(r.outages), func(i int) bool { return r.outages[i].To > t })
	if i < len(r.outages) && r.outages[i].From <= t {
		return r.outages[i].To
	}
	return t
}

// next is when the next unused opportunity comes, now at the earliest.
func (r *replay) next(now time.Duration) time.Duration {
	if r.trace.moment(r.unused) < now {
		r.unused = r.trace.index(now)
	}
	for {
		at := r.trace.moment(r.unused)
		if at > maxDuration+maxDelay {
			return urcp.Never
		}
		end := r.out(at)
		if end == at {
			return at
		}
		r.unused = r.trace.index(end)
	}
}

// take uses up all opportunities of this moment and returns their bytes.
func (r *replay) take(now time.Duration) int64 {
	var bytes int64
	for r.trace.moment(r.unused) == now {
		r.unused++
		bytes += Opportunity
	}
	return bytes
}

// wait is how long a packet waits that finds the queue empty at a moment.
func (r *replay) wait(at time.Duration) time.Duration {
	t := at
	for {
		t = r.trace.moment(r.trace.index(t))
		end := r.out(t)
		if end == t {
			return t - at
		}
		t = end
	}
}

// capacity is how many bytes the opportunities in [from, to) carry.
func (r *replay) capacity(from, to time.Duration) int64 {
	var bytes int64
	for _, o := range r.outages {
		if o.From >= to {
			break
		}
		if o.From > from {
			bytes += r.trace.index(o.From) - r.trace.index(from)
		}
		from = max(from, min(o.To, to))
	}
	if from < to {
		bytes += r.trace.index(to) - r.trace.index(from)
	}
	return bytes * Opportunity
}
