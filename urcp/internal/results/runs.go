package main

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/reachback/reachback/urcp/internal/scenario"
)

// A row is one scenario with the figures of all contenders.
type row struct {
	scenario.Scenario
	columns []column
	// figures are by contender and column; nil for a contender that does not take
	// part.
	figures [][]float64
	// bounds are those that the project's controller does not reach yet.
	bounds []scenario.Bound
}

// A column is one figure of the comparison.
type column struct {
	title string
	scenario.Measure
	// score is higher for what is better; nil where nothing can be said.
	score func(float64) float64
	// margin is what a difference must be to count, and relative the same as a part
	// of the figure that it is compared with.
	margin, relative float64
}

func high(v float64) float64 { return v }
func low(v float64) float64  { return -v }

// near is best at a value.
func near(best float64) func(float64) float64 {
	return func(v float64) float64 { return -math.Abs(v - best) }
}

// columnsOf are the figures that tell something about a scenario.
func columnsOf(sc *scenario.Scenario) []column {
	use, queue := scenario.Utilisation(0, 0), scenario.Queue
	if sc.Policed > 0 {
		use = scenario.Goodput(float64(sc.Policed), 0, 0)
	}
	cs := []column{
		{"use", use, high, 0.01, 0},
		{"queue p50", queue("p50", 0, 0), low, 0.5, 0.1},
		{"queue p95", queue("p95", 0, 0), low, 0.5, 0.1},
		{"loss", scenario.Loss(0, 0), low, 0.001, 0.1},
	}
	if strings.HasPrefix(sc.Name, "trace/") {
		cs = append(cs, column{"self-inflicted p95", scenario.SelfInflicted("p95", 0, 0), low, 0.5, 0.1})
	}
	for _, b := range sc.Bounds {
		switch name := b.Name; {
		case strings.HasPrefix(name, "Jain's index") && !has(cs, "Jain"):
			cs = append(cs, column{name, b.Measure, high, 0.01, 0})
		case strings.HasPrefix(name, "share") && !has(cs, "share"):
			score := near(sc.Fair)
			if sc.Fair == 0 {
				score = nil
			}
			cs = append(cs, column{name, b.Measure, score, 0.01, 0})
		case strings.HasPrefix(name, "message delay"):
			cs = append(cs, column{name, b.Measure, low, 0.5, 0.1})
		}
	}
	return cs
}

func has(cs []column, title string) bool {
	return slices.ContainsFunc(cs, func(c column) bool { return strings.HasPrefix(c.title, title) })
}

// better says whether a is better than b by more than the margin.
func (c *column) better(a, b float64) bool {
	return c.score != nil && c.score(a) > c.score(b)+max(c.margin, c.relative*math.Abs(b))
}

// comparedSeeds is with how many seeds a scenario is run in which they matter; the
// figures are medians. It is odd, so that they are.
const comparedSeeds = 3

// runAll runs everything. Each row is written by one goroutine, and all end before it
// returns.
func runAll(all []scenario.Scenario) ([]row, error) {
	rows := make([]row, len(all))
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				rows[i], errs[i] = runRow(all[i])
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", all[i].Name, err)
		}
	}
	return rows, nil
}

func runRow(sc scenario.Scenario) (row, error) {
	rw := row{Scenario: sc, columns: columnsOf(&sc)}
	for _, b := range sc.Bounds {
		if b.Held != nil {
			rw.bounds = append(rw.bounds, b)
		}
	}
	// The references are run for their own rows here.
	sc.Rivals, sc.Clean = false, nil
	seeds := 1
	if sc.Seeded {
		seeds = comparedSeeds
	}
	for i, c := range contenders() {
		if i >= references && sc.Only {
			rw.figures = append(rw.figures, nil)
			continue
		}
		all := make([][]float64, len(rw.columns))
		for seed := range seeds {
			r, err := sc.Run(uint64(seed+1), c.of(&sc), c.change)
			if err != nil {
				return row{}, fmt.Errorf("%s: %w", c.name, err)
			}
			for j := range rw.columns {
				all[j] = append(all[j], rw.columns[j].Of(r))
			}
		}
		figures := make([]float64, len(all))
		for j := range all {
			figures[j] = median(all[j])
		}
		rw.figures = append(rw.figures, figures)
	}
	return rw, nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// against says whether a contender is better than the project's controller in some
// figure, and whether it is worse in some.
func (rw *row) against(i int) (ahead, behind bool) {
	for j := range rw.columns {
		col := &rw.columns[j]
		ahead = ahead || col.better(rw.figures[i][j], rw.figures[0][j])
		behind = behind || col.better(rw.figures[0][j], rw.figures[i][j])
	}
	return ahead, behind
}
