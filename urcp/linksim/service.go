package linksim

import (
	"errors"
	"math"
	"sort"
	"time"

	"github.com/reachback/reachback/urcp"
)

// A Service is a capacity that changes with time: [Steps], [Sine] or [Trace].
type Service interface {
	check() error
	// rates returns the capacity as pieces of constant rate; nil for a trace.
	rates() rates
}

// rates is a rate that changes at moments. at returns the rate of the piece that
// holds t, in bits per second, and where the piece ends; urcp.Never for the last.
type rates interface {
	at(t time.Duration) (rate int64, until time.Duration)
}

// Steps is a table of rates, each from its moment on. Before the first the rate is
// zero.
type Steps []Step

// A Step sets the rate, in bits per second, at a moment.
type Step struct {
	At   time.Duration
	Rate int64
}

func (st Steps) check() error {
	if len(st) == 0 || len(st) > 1e6 {
		return errors.New("no steps, or more than a million")
	}
	for i, p := range st {
		if p.Rate < 0 || p.Rate > maxRate || p.At < 0 || i > 0 && p.At <= st[i-1].At {
			return errors.New("steps out of order, or of an impossible rate")
		}
	}
	return nil
}

func (st Steps) rates() rates { return st }

func (st Steps) at(t time.Duration) (int64, time.Duration) {
	i := sort.Search(len(st), func(i int) bool { return st[i].At > t })
	until := urcp.Never
	if i < len(st) {
		until = st[i].At
	}
	if i == 0 {
		return 0, until
	}
	return st[i-1].Rate, until
}

// Sine is a rate that swings about a mean. It is served in pieces of a hundredth of
// the period.
type Sine struct {
	Mean, Amplitude int64 // bits per second; the amplitude at most the mean
	Period          time.Duration
}

func (si Sine) check() error {
	if si.Mean <= 0 || si.Mean > maxRate/2 || si.Amplitude < 0 || si.Amplitude > si.Mean {
		return errors.New("a sine of an impossible rate")
	}
	if si.Period < time.Millisecond || si.Period > maxDuration {
		return errors.New("a sine with a period under a millisecond or over a day")
	}
	return nil
}

func (si Sine) rates() rates { return si }

func (si Sine) at(t time.Duration) (int64, time.Duration) {
	piece := si.Period / 100
	i := t / piece
	// The conversions keep a compiler from fusing the operations, which would make
	// the outcome differ between machines.
	middle := float64(float64(i)+0.5) / 100
	return si.Mean + int64(float64(float64(si.Amplitude)*math.Sin(float64(2*math.Pi*middle)))), (i + 1) * piece
}

// constant is the rate of a link that always has the same.
type constant int64

func (c constant) at(time.Duration) (int64, time.Duration) { return int64(c), urcp.Never }

// interrupted takes the outages out of a rate.
type interrupted struct {
	rates
	outages []Outage
}

func (in interrupted) at(t time.Duration) (int64, time.Duration) {
	rate, until := in.rates.at(t)
	i := sort.Search(len(in.outages), func(i int) bool { return in.outages[i].To > t })
	if i == len(in.outages) {
		return rate, until
	}
	o := in.outages[i]
	if o.From <= t {
		return 0, o.To
	}
	return rate, min(until, o.From)
}

// A meter turns a rate into times, without losing the fractions of a nanosecond
// within a busy period.
type meter struct {
	rates rates
	rest  int64 // bit-nanoseconds that the last packet left of its last nanosecond
}

// finish returns when a packet is served whose service starts at the time given,
// and urcp.Never where the link has stopped for good.
func (m *meter) finish(start time.Duration, bytes int32) time.Duration {
	need := int64(bytes)*8e9 - m.rest
	for {
		rate, until := m.rates.at(start)
		if rate > 0 {
			d := time.Duration((need + rate - 1) / rate)
			if until == urcp.Never || start+d <= until {
				m.rest = int64(d)*rate - need
				return start + d
			}
			need -= int64(until-start) * rate
		}
		if until == urcp.Never {
			return urcp.Never
		}
		start = until
	}
}

// capacity is how many bytes the rate can serve between two moments.
func capacity(r rates, from, to time.Duration) int64 {
	var bytes float64
	for from < to {
		rate, until := r.at(from)
		until = min(until, to)
		bytes += float64(float64(rate) * (until - from).Seconds() / 8)
		from = until
	}
	return int64(bytes)
}

// idle is how long a packet that arrives at an empty queue waits for the link to
// serve at all.
func idle(r rates, at time.Duration) time.Duration {
	t := at
	for {
		rate, until := r.at(t)
		if rate > 0 {
			return t - at
		}
		if until == urcp.Never {
			return 0
		}
		t = until
	}
}
