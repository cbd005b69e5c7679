// Results writes urcp/RESULTS.md and the pictures in urcp/results: the project's
// controller beside every reference in every scenario of the catalogue. The
// recordings of cellular links must be there; see scenario.ErrNoTraces. The same
// code gives the same bytes.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/reachback/reachback/urcp"
	"github.com/reachback/reachback/urcp/internal/scenario"
	"github.com/reachback/reachback/urcp/linksim"
)

func main() {
	out := flag.String("out", ".", "folder of the package urcp")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "results:", err)
		os.Exit(1)
	}
}

func write(folder string) error {
	all, err := catalogue()
	if err != nil {
		return err
	}
	table, err := runAll(all)
	if err != nil {
		return err
	}
	svg := filepath.Join(folder, "results")
	if err := os.MkdirAll(svg, 0o755); err != nil {
		return err
	}
	if err := draws(svg, table); err != nil {
		return err
	}
	var b bytes.Buffer
	report(&b, table)
	return os.WriteFile(filepath.Join(folder, "RESULTS.md"), b.Bytes(), 0o644)
}

// catalogue is all scenarios, the traces at the end.
func catalogue() ([]scenario.Scenario, error) {
	all := scenario.All()
	for _, file := range scenario.TraceFiles {
		traces, err := file.Scenarios()
		if err != nil {
			return nil, err
		}
		all = append(all, traces...)
	}
	return all, nil
}

// A contender is a controller with the feedback it gets.
type contender struct {
	name   string
	of     func(*scenario.Scenario) scenario.New
	change func(*linksim.Scenario) *linksim.Scenario
}

const ownName = "URCP"

// contenders are the project's controller, once more with ideal feedback, and the
// references.
func contenders() []contender {
	cs := []contender{{ownName, own, nil}, {ownName + ", ideal feedback", own, scenario.Ideal}}
	for _, ref := range scenario.References {
		cs = append(cs, contender{ref.Name, ref.For, nil})
	}
	return cs
}

// references are where those of the contenders begin that are not the project's.
const references = 2

func own(sc *scenario.Scenario) scenario.New {
	return func(now time.Duration) linksim.Controller {
		return urcp.New(now, urcp.Config{MSS: 1250, ECN: sc.ECN})
	}
}
