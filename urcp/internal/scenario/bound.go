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

// A Bound is a limit on a figure.
type Bound struct {
	Measure
	Limit float64
	Most  bool // the figure is at most the limit; at least it otherwise
	// Goal is what the limit is to become where it is not there yet; nil where it
	// is.
	Goal *float64
	// Quick says that also the first seconds of the scenario must keep the bound.
	Quick bool
}

// AtLeast is a bound from below.
func (m Measure) AtLeast(limit float64) Bound { return Bound{Measure: m, Limit: limit} }

// AtMost is a bound from above.
func (m Measure) AtMost(limit float64) Bound { return Bound{Measure: m, Limit: limit, Most: true} }

// Towards returns the bound with what it is to become.
func (b Bound) Towards(goal float64) Bound {
	b.Goal = &goal
	return b
}

// InShort returns the bound as one that a run cut short must keep too.
func (b Bound) InShort() Bound {
	b.Quick = true
	return b
}

// Holds says whether a figure keeps the bound.
func (b Bound) Holds(v float64) bool {
	if b.Most {
		return v <= b.Limit
	}
	return v >= b.Limit
}

// Nearly says whether a figure misses the bound by a tenth at most.
func (b Bound) Nearly(v float64) bool {
	tenth := math.Abs(b.Limit) / 10
	if b.Most {
		return v <= b.Limit+tenth
	}
	return v >= b.Limit-tenth
}

func (b Bound) String() string {
	relation := "at least"
	if b.Most {
		relation = "at most"
	}
	s := fmt.Sprintf("%s %s %s", b.Name, relation, b.Unit.Format(b.Limit))
	if b.Goal != nil {
		s += fmt.Sprintf(" (goal %s)", b.Unit.Format(*b.Goal))
	}
	return s
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
