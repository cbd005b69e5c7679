package scenario

import (
	"fmt"
	"math"
	"time"
)

// Unit is how a figure is written.
type Unit uint8

const (
	Percent Unit = iota // of a share from 0 to 1
	Milliseconds
	Seconds
	Index // a number without unit
	Count
)

// Format writes a value of this unit.
func (u Unit) Format(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "never"
	case u == Percent:
		return fmt.Sprintf("%.2f %%", 100*v)
	case u == Milliseconds:
		return fmt.Sprintf("%.1f ms", v)
	case u == Seconds:
		return fmt.Sprintf("%.1f s", v)
	case u == Count:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// A Measure is a figure of a run.
type Measure struct {
	Name string
	Unit Unit
	Of   func(*Run) float64
	// Rivals says that the references must have run too.
	Rivals bool
}

// A Bound is a limit on a figure. Over several seeds the median keeps the limit, and
// the worst misses it by a tenth at most.
type Bound struct {
	Measure
	Limit float64
	Most  bool // the figure is at most the limit; at least it otherwise
	// Held is what is kept where the limit is not reached yet; nil where it is.
	Held *Held
	// Quick says that also the first seconds of the scenario must keep the bound.
	Quick bool
}

// Held is a weaker bound in the place of one that is not reached yet.
type Held struct{ Median, Worst float64 }

// AtLeast is a bound from below.
func (m Measure) AtLeast(limit float64) Bound { return Bound{Measure: m, Limit: limit} }

// AtMost is a bound from above.
func (m Measure) AtMost(limit float64) Bound { return Bound{Measure: m, Limit: limit, Most: true} }

// InShort returns the bound as one that a run cut short must keep too.
func (b Bound) InShort() Bound {
	b.Quick = true
	return b
}

// Reached says whether median and worst keep the bound itself.
func (b Bound) Reached(median, worst float64) bool {
	return b.within(median, b.Limit) && b.within(worst, b.tenth())
}

// Keeps says whether they keep what is held.
func (b Bound) Keeps(median, worst float64) bool {
	if b.Held == nil {
		return b.Reached(median, worst)
	}
	return b.within(median, b.Held.Median) && b.within(worst, b.Held.Worst)
}

func (b Bound) within(v, limit float64) bool {
	if b.Most {
		return v <= limit
	}
	return v >= limit
}

// tenth is the limit for the worst.
func (b Bound) tenth() float64 {
	tenth := math.Abs(b.Limit) / 10
	if b.Most {
		return b.Limit + tenth
	}
	return b.Limit - tenth
}

func (b Bound) String() string {
	s := b.Name + " " + b.Relation() + " " + b.Unit.Format(b.Limit)
	if b.Held != nil {
		s += fmt.Sprintf(" (held: %s, worst %s)", b.Unit.Format(b.Held.Median), b.Unit.Format(b.Held.Worst))
	}
	return s
}

// Relation is "at most" or "at least".
func (b Bound) Relation() string {
	if b.Most {
		return "at most"
	}
	return "at least"
}

// span names a stretch of time; to is zero for the end.
func span(from, to time.Duration) string {
	switch {
	case from == 0 && to == 0:
		return ""
	case to == 0:
		return fmt.Sprintf(" from %v", from)
	}
	return fmt.Sprintf(" in %v to %v", from, to)
}
