package scenario

import (
	"slices"
	"strings"
	"time"

	"github.com/reachback/reachback/urcp"
	"github.com/reachback/reachback/urcp/linksim"
)

// A Run is one scenario run with one controller and one seed.
type Run struct {
	*linksim.Result
	// Controllers are those of the flows under test, in the order of their starts.
	Controllers []linksim.Controller
	// Clean is the run of Scenario.Clean; nil where there is none.
	Clean *Run
	// Rivals are the runs with the references, by their places in References, where
	// Scenario.Rivals asks for them.
	Rivals []*Run
}

// Run runs the scenario, each part of it changed by change first where that is set.
func (s *Scenario) Run(seed uint64, new New, change func(*linksim.Scenario) *linksim.Scenario) (*Run, error) {
	r, err := run(s.Make, seed, new, change)
	if err != nil {
		return nil, err
	}
	if s.Clean != nil {
		if r.Clean, err = run(s.Clean, seed, new, change); err != nil {
			return nil, err
		}
	}
	if s.Rivals {
		for _, ref := range References {
			rival, err := run(s.Make, seed, ref.For(s), change)
			if err != nil {
				return nil, err
			}
			r.Rivals = append(r.Rivals, rival)
		}
	}
	return r, nil
}

func run(
	make func(uint64, New) *linksim.Scenario, seed uint64, new New,
	change func(*linksim.Scenario) *linksim.Scenario,
) (*Run, error) {
	r := &Run{}
	sc := make(seed, func(now time.Duration) linksim.Controller {
		c := new(now)
		r.Controllers = append(r.Controllers, c)
		return c
	})
	if change != nil {
		sc = change(sc)
	}
	var err error
	r.Result, err = linksim.Run(sc)
	return r, err
}

// end is the end of a span whose upper end is open where it is zero.
func (r *Run) end(to time.Duration) time.Duration {
	if to == 0 {
		return r.Scenario.Duration
	}
	return to
}

// tested returns the flows under test: those whose name begins with "flow".
func (r *Run) tested() []*linksim.FlowResult {
	var fs []*linksim.FlowResult
	for _, f := range r.Flows {
		if strings.HasPrefix(f.Name, "flow") {
			fs = append(fs, f)
		}
	}
	return fs
}

// names are those of the flows under test at these places, and of all where none is
// given.
func (r *Run) names(places ...int) []string {
	var names []string
	for i, f := range r.tested() {
		if len(places) == 0 || slices.Contains(places, i) {
			names = append(names, f.Name)
		}
	}
	return names
}

// rates are what the flows under test got in a span, in bits per second.
func (r *Run) rates(from, to time.Duration) []float64 {
	var rates []float64
	for _, f := range r.tested() {
		rates = append(rates, f.Rate(from, r.end(to)))
	}
	return rates
}

// competitions is how often the flows under test took up the fight with others that
// fill the queue.
func (r *Run) competitions() (n int) {
	for _, c := range r.Controllers {
		if c, ok := c.(interface{ Snapshot() urcp.Snapshot }); ok {
			n += int(c.Snapshot().Counters.Competitions)
		}
	}
	return n
}
