package linksim

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// An Element stands behind the server of a link and spoils what passes: [Loss],
// [BurstLoss], [Jitter], [Reorder], [Duplicate], [Aggregate] or [HARQ].
type Element interface {
	check() error
	// kind and label make the name of the element's stream of randomness.
	kind() string
	label() string
	// node makes the element at work, which hands on to out.
	node(s *sim, e element, out node) node
}

// element is where an Element stands.
type element struct {
	link *link
	name string
}

// newElements builds the elements of a link, the last of which hands on to out, and
// returns the first. Without a label of its own, an element is known by its kind and
// the number of those of its kind before it.
func newElements(s *sim, l *link, out node) node {
	names := make([]string, len(l.cfg.Elements))
	count := make(map[string]int)
	for i, e := range l.cfg.Elements {
		name := e.label()
		if name == "" {
			name = fmt.Sprintf("%s#%d", e.kind(), count[e.kind()])
			count[e.kind()]++
		}
		names[i] = l.cfg.Name + "/" + name
	}
	for i := len(names) - 1; i >= 0; i-- {
		out = l.cfg.Elements[i].node(s, element{l, names[i]}, out)
	}
	return out
}

var errProbability = errors.New("a probability outside 0 to 1")

func checkProbabilities(ps ...float64) error {
	for _, p := range ps {
		if !(p >= 0 && p <= 1) {
			return errProbability
		}
	}
	return nil
}

func checkDelays(ds ...time.Duration) error {
	for _, d := range ds {
		if d < 0 || d > maxDelay {
			return errors.New("a time below zero or above an hour")
		}
	}
	return nil
}

// exponential turns a number drawn from (0, 1] into one of a distribution with this
// mean.
func exponential(u float64, mean time.Duration) time.Duration {
	return time.Duration(float64(-math.Log(1-u)) * float64(mean))
}
