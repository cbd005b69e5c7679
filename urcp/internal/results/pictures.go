package main

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/reachback/reachback/urcp/internal/scenario"
)

// A picture is one SVG file. It has one panel, or two with a common time axis.
type picture struct {
	file, title, says string
	panels            func(table []row) ([]*plot.Plot, error)
}

var pictures = []picture{
	{"beside-cubic", "Share beside one Cubic", "The share of one flow beside one Cubic, by the depth of the buffer. A half is fair.", besideCubic},
	{"loss", "Use by random loss", "How much of the link each uses, by the rate of random loss.",
		sweep("loss/random, ", "random loss, %", "use, %", 0, 100, false)},
	{"rate", "Queue by rate", "The p95 of the queueing delay, by the rate of the link; none at all is drawn as 0.1 ms.",
		sweep("sweep/rate of ", "capacity, bit/s", "queue p95, ms", 2, 1, true)},
	{"round-trip", "Queue by round trip", "The p95 of the queueing delay, by the round trip; none at all is drawn as 0.1 ms.",
		sweep("sweep/round trip of ", "round trip, ms", "queue p95, ms", 2, 1, true)},
	{"traces", "Cellular links", "Use and p95 of the queueing delay on each recording, 20 ms one way, 4 MiB of buffer: left and above is better.", traces},
	{"variable", "RFC 8867, case 5.1", "One flow of URCP on a link of 1, 2.5, 0.6 and 1 Mbit/s.", timeline("RFC 8867/5.1, 50ms one way", ownName)},
	{"variable-copa", "RFC 8867, case 5.1, Copa", "The same with Copa.", timeline("RFC 8867/5.1, 50ms one way", "Copa")},
	{"flows", "Four flows", "Four flows of URCP that come one after the other.", timeline("shared/4 flows", ownName)},
	{"cubic", "Beside Cubic", "URCP and a Cubic, which leaves after a minute, behind a buffer of 300 ms.", timeline("against/Cubic, buffer of 300ms", ownName)},
}

var colors = map[string]color.Color{
	ownName:   color.RGBA{0xd0, 0x20, 0x20, 0xff},
	"Copa":    color.RGBA{0x20, 0x60, 0xc0, 0xff},
	"NADA":    color.RGBA{0x20, 0x90, 0x40, 0xff},
	"BBR":     color.RGBA{0x90, 0x40, 0xb0, 0xff},
	"Cubic":   color.RGBA{0xd0, 0x80, 0x10, 0xff},
	"NewReno": color.RGBA{0x60, 0x60, 0x60, 0xff},
}

// flowColors are those of the flows of a timeline, in their order.
var flowColors = []color.Color{
	colors[ownName], colors["Copa"], colors["NADA"], colors["Cubic"],
}

func draws(folder string, table []row) error {
	for _, p := range pictures {
		panels, err := p.panels(table)
		if err != nil {
			return fmt.Errorf("%s: %w", p.file, err)
		}
		panels[0].Title.Text = p.title
		if err := save(filepath.Join(folder, p.file+".svg"), panels); err != nil {
			return fmt.Errorf("%s: %w", p.file, err)
		}
	}
	return nil
}

const (
	panelWidth  = 18 * vg.Centimeter
	panelHeight = 8 * vg.Centimeter
	// The legend stands beside the panel, where it hides nothing.
	legendWidth = 3 * vg.Centimeter
)

// save draws the panels one above the other.
func save(file string, panels []*plot.Plot) error {
	canvas := vgsvg.New(panelWidth, panelHeight*vg.Length(len(panels)))
	whole := draw.New(canvas)
	whole.SetColor(color.White)
	whole.Fill(whole.Rectangle.Path())
	for i, p := range panels {
		p.Legend.Top, p.Legend.XOffs = true, legendWidth
		bottom := panelHeight * vg.Length(len(panels)-1-i)
		p.Draw(draw.Crop(whole, 0, -legendWidth-2*vg.Millimeter, bottom, bottom+panelHeight-whole.Max.Y))
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func panel(x, y string) *plot.Plot {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = x, y
	p.Add(plotter.NewGrid())
	return p
}

func line(p *plot.Plot, name string, c color.Color, points plotter.XYs, dots bool) error {
	l, err := plotter.NewLine(points)
	if err != nil {
		return err
	}
	l.Color, l.Width = c, vg.Points(1.2)
	p.Add(l)
	if name != "" {
		p.Legend.Add(name, l)
	}
	if dots {
		s, err := plotter.NewScatter(points)
		if err != nil {
			return err
		}
		s.Color, s.Shape, s.Radius = c, draw.CircleGlyph{}, vg.Points(2)
		p.Add(s)
	}
	return nil
}

// sweep draws a column over the number with which the name of each scenario goes on.
//
// The x axis is logarithmic, and the y axis where it is said.
func sweep(prefix, x, y string, column int, factor float64, logarithmic bool) func([]row) ([]*plot.Plot, error) {
	return func(table []row) ([]*plot.Plot, error) {
		p := panel(x, y)
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		if logarithmic {
			p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		}
		for i, c := range contenders() {
			var points plotter.XYs
			for k := range table {
				rest, ok := strings.CutPrefix(table[k].Name, prefix)
				if !ok || i == 1 {
					continue
				}
				v := table[k].figures[i][column] * factor
				if logarithmic {
					v = max(v, 0.1)
				}
				points = append(points, plotter.XY{X: number(rest), Y: v})
			}
			if i == 1 {
				continue
			}
			if err := line(p, c.name, colors[c.name], points, true); err != nil {
				return nil, err
			}
		}
		return []*plot.Plot{p}, nil
	}
}

// number reads such as 5 %, 300 kbit/s and 1s. What is a time is in milliseconds.
func number(text string) float64 {
	if d, err := time.ParseDuration(text); err == nil {
		return float64(d) / float64(time.Millisecond)
	}
	var v float64
	var unit string
	fmt.Sscan(text, &v, &unit)
	return v * map[string]float64{"%": 1, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9}[unit]
}

func besideCubic(table []row) ([]*plot.Plot, error) {
	p := panel("buffer, ms", "share, %")
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Y.Min, p.Y.Max = 0, 100
	for i, c := range contenders() {
		if i == 1 {
			continue
		}
		var points plotter.XYs
		for k := range table {
			rest, ok := strings.CutPrefix(table[k].Name, "against/Cubic, buffer of ")
			if !ok {
				continue
			}
			for j, col := range table[k].columns {
				if strings.HasPrefix(col.title, "share") {
					points = append(points, plotter.XY{X: number(rest), Y: 100 * table[k].figures[i][j]})
				}
			}
		}
		if err := line(p, c.name, colors[c.name], points, true); err != nil {
			return nil, err
		}
	}
	return []*plot.Plot{p}, nil
}

func traces(table []row) ([]*plot.Plot, error) {
	var panels []*plot.Plot
	for k := range table {
		rest, ok := strings.CutPrefix(table[k].Name, "trace/")
		if !ok || !strings.HasSuffix(rest, ", 20ms one way, buffer of 4 MiB") {
			continue
		}
		file, _, _ := strings.Cut(rest, ",")
		p := panel(file+": queue p95, ms", "use, %")
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		for i, c := range contenders() {
			if i == 1 {
				continue
			}
			f := table[k].figures[i]
			s, err := plotter.NewScatter(plotter.XYs{{X: f[2], Y: 100 * f[0]}})
			if err != nil {
				return nil, err
			}
			s.Color, s.Shape, s.Radius = colors[c.name], draw.CircleGlyph{}, vg.Points(4)
			p.Add(s)
			p.Legend.Add(c.name, s)
		}
		panels = append(panels, p)
	}
	return panels, nil
}

// timeline draws the rates of all flows of a scenario and the queue over time.
func timeline(name, controller string) func([]row) ([]*plot.Plot, error) {
	return func(table []row) ([]*plot.Plot, error) {
		for k := range table {
			if table[k].Name != name {
				continue
			}
			for _, c := range contenders() {
				if c.name == controller {
					return drawTimeline(&table[k].Scenario, c)
				}
			}
		}
		return nil, fmt.Errorf("no scenario %q with %s", name, controller)
	}
}

func drawTimeline(sc *scenario.Scenario, c contender) ([]*plot.Plot, error) {
	quiet := *sc
	quiet.Rivals = false
	r, err := quiet.Run(1, c.of(&quiet), c.change)
	if err != nil {
		return nil, err
	}
	const step = 500 * time.Millisecond
	rates, queue := panel("", "rate, Mbit/s"), panel("time, s", "queue, ms: median and largest")
	rates.Y.Min = 0
	end := r.Scenario.Duration
	rates.X.Max, queue.X.Max = end.Seconds(), end.Seconds()
	var capacity, mid, largest plotter.XYs
	for t := time.Duration(0); t+step <= end; t += step {
		at := (t + step/2).Seconds()
		could := float64(r.Links[0].Capacity(t, t+step)) * 8 / step.Seconds() / 1e6
		capacity = append(capacity, plotter.XY{X: at, Y: could})
		q := r.Links[0].Queue(t, t+step)
		mid = append(mid, plotter.XY{X: at, Y: q.P50.Seconds() * 1000})
		largest = append(largest, plotter.XY{X: at, Y: q.Max.Seconds() * 1000})
	}
	if err := line(rates, "capacity", color.Gray{0xb0}, capacity, false); err != nil {
		return nil, err
	}
	for i, f := range r.Flows {
		var points plotter.XYs
		for t := time.Duration(0); t+step <= end; t += step {
			if fl := &r.Scenario.Flows[i]; t < fl.Start-step || fl.Stop != 0 && t > fl.Stop {
				continue
			}
			points = append(points, plotter.XY{X: (t + step/2).Seconds(), Y: f.Rate(t, t+step) / 1e6})
		}
		name := f.Name
		if strings.HasPrefix(name, "flow") {
			name = strings.Replace(name, "flow", c.name, 1)
		}
		if err := line(rates, name, flowColors[i%len(flowColors)], points, false); err != nil {
			return nil, err
		}
	}
	if err := line(queue, "", color.Gray{0xb0}, largest, false); err != nil {
		return nil, err
	}
	if err := line(queue, "", colors[ownName], mid, false); err != nil {
		return nil, err
	}
	return []*plot.Plot{rates, queue}, nil
}
