// Command linksim runs a scenario in the link simulator, and draws what came of it:
// rate and delay over time.
//
//	linksim -scenario examples/linksim/scenarios/cubic.json -out results
//
// It writes four files to the folder of -out, named after the scenario: NAME.svg and
// NAME.png with each flow's rate above and queueing delay below, and in grey what the
// narrowest link could carry; NAME-flows.csv and NAME-links.csv with a row for each flow,
// or link, in each span of the scenario's "bin". Where nothing arrived in a span its
// delays are empty.
//
// Standard output has the events "link" and "flow" with the figures of the whole run,
// and "written" with the path of each file.
//
// A controller of your own runs in a program of your own: see package urcp/linksim. To
// have it drawn here, give it a name in flow.go.
//
// # Scenario files
//
// A scenario is a JSON file. Keys that are unknown are refused with their line. Times
// are strings such as "20ms" or "1m30s", rates numbers in bits per second; what is
// left out has the default of package urcp/linksim, whose documentation says what each
// thing does.
//
//	name       of the files that are written; without one, the scenario file's
//	seed       where all randomness comes from
//	duration   of the run; required
//	settle     for how long a flow counts as starting
//	bin        width of the spans
//	links      a list of
//	  name           required
//	  rate           or one of
//	  steps          a list of {at, rate}
//	  sine           {mean, amplitude, period}
//	  trace          path of a recorded link in mahimahi's format, from the scenario's folder
//	  buffer         the queue's bound, as time at "rate", or
//	  buffer_bytes, buffer_packets
//	  aqm            one of {codel: {target, interval}}, {red: {min, max, p}},
//	                 {step_mark: {at}}, {dualq: {target, step}}
//	  policer        {rate, bytes}
//	  elements       a list of one each of {loss: {p}}, {burst_loss: {to_bad, to_good, good,
//	                 bad}}, {jitter: {law, max, deviation, p, reorder}} with the law
//	                 "uniform", "normal" or "spikes", {reorder: {p, by}}, {duplicate: {p,
//	                 after}}, {aggregate: {packets, every}}, {harq: {p, step, tries}}
//	  delay          propagation
//	  routes         a list of {at, delay}
//	  outages        a list of {from, to, flush}
//	flows      a list of
//	  name           required
//	  controller     "urcp", which is the default, "copa", "nada", "cubic", "reno", "bbr",
//	                 "cbr", "unlimited"
//	  rate           of "cbr"
//	  max_rate       of "urcp" and "nada"
//	  start, stop
//	  path, back     lists of the links' names
//	  delay, return  propagation in addition to that of the links
//	  packet_bytes
//	  source         one of {frames: {fps, rate, min, max, key_every, key_factor,
//	                 deviation}}, {desktop: {video}}, {on_off: {min, max, off, late}},
//	                 {poisson: {rate}}
//	  pauses         a list of {from, to}
//	  ecn            "ect0" or "ect1"
//	  feedback       {kind, packets, delay} with the kind "ideal" or "rdpudp2", which is
//	                 the default for "urcp" and for no other
//	  sender, receiver  clocks: {offset, ppm, steps: a list of {at, by}, granularity}
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/urcp/linksim"
)

type config struct {
	scenario string
	out      string
	seed     uint64
}

func main() {
	define, run := command()
	program.Main("linksim", "runs a scenario in the link simulator, and draws what came of it.", define, run)
}

func command() (func(*flag.FlagSet), func(context.Context, *program.Program) error) {
	var cfg config
	return func(f *flag.FlagSet) {
			f.StringVar(&cfg.scenario, "scenario", "", "JSON `file` with the scenario, explained by go doc ./examples/linksim; required")
			f.StringVar(&cfg.out, "out", ".", "`folder` for the results, made if it is not there")
			f.Uint64Var(&cfg.seed, "seed", 0, "where all randomness comes from, a `number`; by default the scenario's")
		}, func(_ context.Context, p *program.Program) error {
			if err := p.Require("scenario"); err != nil {
				return err
			}
			return cfg.run(p)
		}
}

func (cfg *config) run(p *program.Program) error {
	sc, err := load(cfg.scenario)
	if err != nil {
		return err
	}
	if cfg.seed != 0 {
		sc.Seed = cfg.seed
	}
	if sc.Name == "" {
		sc.Name = strings.TrimSuffix(filepath.Base(cfg.scenario), filepath.Ext(cfg.scenario))
	}
	p.Logger.Debug("scenario is run", "name", sc.Name, "seed", sc.Seed, "duration", sc.Duration)
	result, err := linksim.Run(sc)
	if err != nil {
		return fmt.Errorf("%s: %w", cfg.scenario, err)
	}
	report(p, result)
	return cfg.write(p, result)
}

// report prints the figures of the whole run.
func report(p *program.Program, r *linksim.Result) {
	end := r.Scenario.Duration
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for _, l := range r.Links {
		queue := l.QueueOverTime(0, end)
		p.Event("link", "name", l.Name, "utilisation", round(l.Utilisation(0, end)), "queue_p50_ms", ms(queue.P50),
			"queue_p95_ms", ms(queue.P95), "peak_queue_bytes", l.PeakQueue, "dropped", l.Dropped.Total(), "marked", l.Marked)
	}
	for i, f := range r.Flows {
		cfg := &r.Scenario.Flows[i]
		from, to := cfg.Start, cfg.Stop
		if to == 0 || to > end {
			to = end
		}
		queue := f.Queue(from, to)
		p.Event("flow", "name", f.Name, "rate", int64(f.Rate(from, to)), "queue_p50_ms", ms(queue.P50), "queue_p95_ms", ms(queue.P95),
			"sent", f.Sent, "delivered", f.Delivered, "dropped", f.Dropped, "spurious", f.Spurious, "marked", f.Marked)
	}
}

func round(share float64) float64 { return float64(int64(share*1e4+.5)) / 1e4 }

// write writes all files of the result.
func (cfg *config) write(p *program.Program, r *linksim.Result) error {
	if err := os.MkdirAll(cfg.out, 0o777); err != nil {
		return fmt.Errorf("folder of -out: %w", err)
	}
	pictures, err := draw(r)
	if err != nil {
		return err
	}
	name := program.FileName(r.Scenario.Name)
	for _, f := range []struct {
		suffix string
		data   []byte
	}{
		{"-flows.csv", flowsCSV(r)},
		{"-links.csv", linksCSV(r)},
		{".svg", pictures.svg},
		{".png", pictures.png},
	} {
		path := filepath.Join(cfg.out, name+f.suffix)
		if err := os.WriteFile(path, f.data, 0o666); err != nil {
			return fmt.Errorf("folder of -out: %w", err)
		}
		p.Event("written", "file", path)
	}
	return nil
}
