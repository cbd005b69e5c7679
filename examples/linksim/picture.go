package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/reachback/reachback/urcp/linksim"
)

const (
	width, height = 26 * vg.Centimeter, 16 * vg.Centimeter

	// maxLegend is how many names the legend has room for, and maxName for how much
	// of each.
	maxLegend, maxName = 16, 24

	// maxPoints is how many points a line has at most; it is drawn in wider spans
	// than those of the table where there would be more.
	maxPoints = 1200
)

// colours can be told apart with every kind of colour vision (Okabe and Ito). The
// dashes tell flows apart that share one.
var colours = []color.RGBA{
	{0x00, 0x72, 0xb2, 0xff}, {0xe6, 0x9f, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xd5, 0x5e, 0x00, 0xff},
	{0xcc, 0x79, 0xa7, 0xff}, {0x56, 0xb4, 0xe9, 0xff}, {0x00, 0x00, 0x00, 0xff},
}

var dashes = [][]vg.Length{nil, {6, 2}, {2, 2}, {6, 2, 2, 2}}

type pictures struct{ svg, png []byte }

// draw draws the rates above, and the delays in queues below.
func draw(r *linksim.Result) (*pictures, error) {
	rates, err := ratePlot(r)
	if err != nil {
		return nil, err
	}
	delays, err := delayPlot(r)
	if err != nil {
		return nil, err
	}
	// The legend stands beside the plot, where it hides nothing.
	legend := rates.Legend.Rectangle(vgdraw.New(vgimg.New(width, height)))
	room := legend.Max.X - legend.Min.X + 12
	rates.Legend.XOffs = room
	paint := func(c vg.CanvasSizer) {
		all := vgdraw.New(c)
		tiles := vgdraw.Tiles{Rows: 2, Cols: 1, PadTop: 4, PadBottom: 4, PadLeft: 4, PadRight: room + 8, PadY: 8}
		plots := [][]*plot.Plot{{rates}, {delays}}
		for i, c := range plot.Align(plots, tiles, all) {
			plots[i][0].Draw(c[0])
		}
	}
	var svg, png bytes.Buffer
	vector := vgsvg.New(width, height)
	paint(vector)
	if _, err := vector.WriteTo(&svg); err != nil {
		return nil, fmt.Errorf("svg: %w", err)
	}
	pixels := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(150))}
	paint(pixels)
	if _, err := pixels.WriteTo(&png); err != nil {
		return nil, fmt.Errorf("png: %w", err)
	}
	return &pictures{svg.Bytes(), png.Bytes()}, nil
}

func newPlot(r *linksim.Result, y string) *plot.Plot {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.X.Label.Text = "time, s"
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(ticks), plot.TickerFunc(ticks)
	p.X.Min, p.X.Max = 0, r.Scenario.Duration.Seconds()
	p.Y.Label.Text = y
	p.Y.Min = 0
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	return p
}

// ticks are at round numbers, of which some four to eight have a label.
func ticks(low, high float64) (ticks []plot.Tick) {
	if !(high > low) {
		return []plot.Tick{{Value: low, Label: strconv.FormatFloat(low, 'g', 4, 64)}}
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/4)))
	for _, factor := range []float64{5, 2} {
		if (high-low)/(step*factor) >= 4 {
			step *= factor
			break
		}
	}
	for i := math.Ceil(low / step); i*step <= high; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: strconv.FormatFloat(i*step, 'g', 6, 64)})
	}
	return ticks
}

// points calls f for spans of equal width, of which there are not too many.
func points(sc *linksim.Scenario, f func(middle float64, from, to time.Duration)) {
	n := 0
	bins(sc, func(int, time.Duration, time.Duration) { n++ })
	together := (n + maxPoints - 1) / maxPoints
	var start time.Duration
	bins(sc, func(i int, from, to time.Duration) {
		if i%together == 0 {
			start = from
		}
		if i%together == together-1 || to == sc.Duration {
			f((start+to).Seconds()/2, start, to)
		}
	})
}

// add adds a line, in parts where there is nothing between.
func add(p *plot.Plot, name string, i int, parts []plotter.XYs) error {
	for n, xys := range parts {
		line, err := plotter.NewLine(xys)
		if err != nil {
			return fmt.Errorf("plot of %s: %w", name, err)
		}
		line.Color = colours[i%len(colours)]
		line.Dashes = dashes[i/len(colours)%len(dashes)]
		line.Width = vg.Points(1)
		p.Add(line)
		if n == 0 {
			label(p, name, i, line)
		}
	}
	return nil
}

// label adds a name to the legend, where there is room for it.
func label(p *plot.Plot, name string, i int, line plot.Thumbnailer) {
	if r := []rune(name); len(r) > maxName {
		name = string(r[:maxName-1]) + "…"
	}
	switch {
	case i < maxLegend:
		p.Legend.Add(name, line)
	case i == maxLegend:
		p.Legend.Add("…")
	}
}

// running reports whether a flow sends in all of a span.
func running(r *linksim.Result, i int, from, to time.Duration) bool {
	f := &r.Scenario.Flows[i]
	return from >= f.Start && (f.Stop == 0 || to <= f.Stop)
}

func ratePlot(r *linksim.Result) (*plot.Plot, error) {
	p := newPlot(r, "received, Mbit/s")
	p.Title.Text = r.Scenario.Name
	if err := addCapacity(p, r); err != nil {
		return nil, err
	}
	for i, f := range r.Flows {
		var xys plotter.XYs
		points(r.Scenario, func(middle float64, from, to time.Duration) {
			if running(r, i, from, to) {
				xys = append(xys, plotter.XY{X: middle, Y: f.Rate(from, to) / 1e6})
			}
		})
		if len(xys) > 0 {
			if err := add(p, f.Name, i, []plotter.XYs{xys}); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// addCapacity adds what the narrowest link could serve.
func addCapacity(p *plot.Plot, r *linksim.Result) error {
	var narrowest *linksim.LinkResult
	end := r.Scenario.Duration
	for _, l := range r.Links {
		if c := l.Capacity(0, end); c > 0 && (narrowest == nil || c < narrowest.Capacity(0, end)) {
			narrowest = l
		}
	}
	if narrowest == nil {
		return nil
	}
	var xys plotter.XYs
	points(r.Scenario, func(_ float64, from, to time.Duration) {
		y := float64(narrowest.Capacity(from, to)) * 8 / (to - from).Seconds() / 1e6
		xys = append(xys, plotter.XY{X: from.Seconds(), Y: y}, plotter.XY{X: to.Seconds(), Y: y})
	})
	line, err := plotter.NewLine(xys)
	if err != nil {
		return fmt.Errorf("plot of %s: %w", narrowest.Name, err)
	}
	line.Color = color.Gray{0xa0}
	line.Width = vg.Points(1.5)
	p.Add(line)
	label(p, narrowest.Name+" can", 0, line)
	return nil
}

func delayPlot(r *linksim.Result) (*plot.Plot, error) {
	p := newPlot(r, "median time in queues, ms")
	for i, f := range r.Flows {
		var parts []plotter.XYs
		gap := true
		points(r.Scenario, func(middle float64, from, to time.Duration) {
			if f.Rate(from, to) == 0 {
				gap = true
				return
			}
			if gap {
				parts, gap = append(parts, nil), false
			}
			last := &parts[len(parts)-1]
			*last = append(*last, plotter.XY{X: middle, Y: float64(f.Queue(from, to).P50) / 1e6})
		})
		if err := add(p, f.Name, i, parts); err != nil {
			return nil, err
		}
	}
	p.Legend = plot.NewLegend() // that of the rates is for both
	return p, nil
}
