package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/urcp/linksim"
)

// linksimRun runs the program and returns what it printed.
func linksimRun(t *testing.T, args ...string) (status int, events []map[string]any, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	define, run := command()
	status = program.Run(context.Background(), "linksim", "", args, &out, &errs, define, run)
	for line := range strings.Lines(out.String()) {
		var e map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		events = append(events, e)
	}
	return status, events, errs.String()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// table reads a file of the results.
func readTable(t *testing.T, path string) (rows []map[string]string) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	for _, fields := range all[1:] {
		row := map[string]string{}
		for i, v := range fields {
			row[all[0][i]] = v
		}
		rows = append(rows, row)
	}
	return rows
}

// Two senders whose rates are constant: what is in the files can be said beforehand.
const constant = `{
  "duration": "2s",
  "bin": "500ms",
  "links": [{"name": "line", "rate": 10e6, "delay": "20ms", "buffer": "50ms"}],
  "flows": [
    {"name": "half", "controller": "cbr", "rate": 5e6, "path": ["line"]},
    {"name": "late, and \"more\"", "controller": "cbr", "rate": 1e7, "path": ["line"], "start": "1s"}
  ]
}`

func TestResults(t *testing.T) {
	out := filepath.Join(t.TempDir(), "new", "folder")
	status, events, stderr := linksimRun(t, "-scenario", write(t, "constant.json", constant), "-out", out)
	require.Zero(t, status, stderr)
	var files []string
	for _, e := range events {
		if e["event"] == "written" {
			files = append(files, e["file"].(string))
		}
	}
	require.Equal(t, []string{
		filepath.Join(out, "constant-flows.csv"), filepath.Join(out, "constant-links.csv"),
		filepath.Join(out, "constant.svg"), filepath.Join(out, "constant.png"),
	}, files)
	require.Equal(t, "link", events[0]["event"])
	require.Equal(t, "line", events[0]["name"])
	require.InDelta(t, 0.75, events[0]["utilisation"], 0.001)
	require.Equal(t, "flow", events[1]["event"])
	require.Positive(t, events[2]["dropped"])

	flows := readTable(t, files[0])
	require.Len(t, flows, 8)
	require.Equal(t, map[string]string{
		"time_s": "0.500", "flow": "half", "sent": "5000000", "received": "5000000",
		"one_way_ms": "21.000", "queue_ms": "0.000", "queue_max_ms": "0.000", "dropped": "0",
	}, flows[2])
	require.Equal(t, map[string]string{
		"time_s": "0.500", "flow": `late, and "more"`, "sent": "0", "received": "0",
		"one_way_ms": "", "queue_ms": "", "queue_max_ms": "", "dropped": "0",
	}, flows[3])
	require.Equal(t, "1.500", flows[7]["time_s"])
	require.Equal(t, "10000000", flows[7]["sent"])
	require.NotEqual(t, "0", flows[7]["dropped"])
	require.Equal(t, "50.000", flows[7]["queue_max_ms"], "the whole buffer")

	links := readTable(t, files[1])
	require.Len(t, links, 4)
	require.Equal(t, map[string]string{
		"time_s": "0.500", "link": "line", "capacity": "10000000", "served": "5000000", "queue_ms": "0.000", "queue_max_ms": "0.000",
	}, links[1])
	require.Equal(t, "10000000", links[3]["served"])

	picture, err := os.Open(files[3])
	require.NoError(t, err)
	defer picture.Close()
	image, err := png.Decode(picture)
	require.NoError(t, err)
	require.Greater(t, image.Bounds().Dx(), 1000)
	require.Greater(t, image.Bounds().Dy(), 600)
	seen := map[string]bool{}
	for x := range image.Bounds().Dx() {
		for y := range image.Bounds().Dy() {
			r, g, b, _ := image.At(x, y).RGBA()
			seen[fmt.Sprintf("%02x%02x%02x", r>>8, g>>8, b>>8)] = true
		}
	}
	require.True(t, seen["0072b2"] && seen["e69f00"], "a line for each flow")

	svg, err := os.ReadFile(files[2])
	require.NoError(t, err)
	require.Contains(t, string(svg), ">half<")
	require.Contains(t, string(svg), ">time, s<")
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else {
			require.NoError(t, err)
		}
	}
}

// The same seed gives the same files to the last byte, another seed others.
func TestSeed(t *testing.T) {
	path := write(t, "random.json", `{"name": "r/1", "duration": "3s", "seed": 4, "links": [{"name": "l", "rate": 2e6, "delay": "10ms",
		"elements": [{"loss": {"p": 0.1}}]}], "flows": [{"name": "f", "path": ["l"]}]}`)
	results := func(args ...string) (all string) {
		out := t.TempDir()
		status, _, stderr := linksimRun(t, append([]string{"-scenario", path, "-out", out}, args...)...)
		require.Zero(t, status, stderr)
		for _, suffix := range []string{"-flows.csv", "-links.csv", ".svg", ".png"} {
			b, err := os.ReadFile(filepath.Join(out, "r%2F1"+suffix))
			require.NoError(t, err)
			all += string(b)
		}
		return all
	}
	first := results()
	require.Equal(t, first, results("-seed", "4"))
	require.NotEqual(t, first, results("-seed", "5"))
}

// What comes with the program runs, and so does what has everything in it.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("scenarios/*.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 3)
	for _, path := range append(files, "testdata/everything.json") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			sc, err := load(path)
			require.NoError(t, err)
			require.Equal(t, strings.TrimSuffix(filepath.Base(path), ".json"), sc.Name)
			sc.Duration = min(sc.Duration, 3*time.Second)
			r, err := linksim.Run(sc)
			require.NoError(t, err)
			require.Positive(t, r.Flows[0].Delivered)
			pictures, err := draw(r)
			require.NoError(t, err)
			require.NotEmpty(t, pictures.svg)
		})
	}
}

// Every key arrives where it belongs.
func TestEveryKey(t *testing.T) {
	sc, err := load("testdata/everything.json")
	require.NoError(t, err)
	ms := time.Millisecond
	for i := range sc.Flows {
		require.NotNil(t, sc.Flows[i].New(0))
		sc.Flows[i].New = nil
	}
	trace := sc.Links[3].Service.(*linksim.Trace)
	require.Equal(t, 12*ms, trace.Period())
	require.Equal(t, []linksim.Link{
		{
			Name: "a", Rate: 5e6, Delay: 10 * ms, Queue: linksim.Queue{Bytes: 62500, AQM: linksim.CoDel{Target: 4 * ms, Interval: 90 * ms}},
			Policer: &linksim.Policer{Rate: 4e6, Bytes: 30000},
			Elements: []linksim.Element{
				linksim.Loss{P: 0.01}, linksim.BurstLoss{ToBad: 0.01, ToGood: 0.2, Good: 0.001, Bad: 0.5},
				linksim.Jitter{Law: linksim.Uniform, Max: 3 * ms}, linksim.Jitter{Law: linksim.Normal, Max: 4 * ms, Deviation: ms, Reorder: true},
				linksim.Jitter{Law: linksim.Spikes, Max: 50 * ms, P: 0.001}, linksim.Reorder{P: 0.02, By: 5 * ms},
				linksim.Duplicate{P: 0.01, After: 2 * ms}, linksim.Aggregate{Packets: 4, Every: 10 * ms}, linksim.HARQ{P: 0.1, Step: 8 * ms, Tries: 3},
			},
			Routes:  []linksim.Route{{At: time.Second, Delay: 40 * ms}},
			Outages: []linksim.Outage{{From: 500 * ms, To: 600 * ms, Flush: true}},
		},
		{
			Name: "b", Service: linksim.Steps{{At: 0, Rate: 3e6}, {At: time.Second, Rate: 1e6}},
			Queue: linksim.Queue{Bytes: 9000, Packets: 20, AQM: linksim.RED{Min: 5 * ms, Max: 20 * ms, P: 0.1}},
		},
		{Name: "c", Service: linksim.Sine{Mean: 4e6, Amplitude: 1e6, Period: 2 * time.Second}, Queue: linksim.Queue{AQM: linksim.StepMark{At: ms}}},
		{Name: "d", Service: trace, Queue: linksim.Queue{AQM: linksim.DualQ{Target: 15 * ms, Step: ms}}},
	}, sc.Links)
	interval := []linksim.Interval{{From: 100 * ms, To: 200 * ms}}
	clock := linksim.Clock{Offset: time.Hour, PPM: -20, Granularity: ms, Steps: []linksim.ClockStep{{At: time.Second, By: 50 * ms}}}
	require.Equal(t, []linksim.Flow{
		{
			Name: "urcp", Path: []int{0, 1}, Back: []int{3}, Delay: 2 * ms, Return: 3 * ms, PacketBytes: 1000, Pauses: interval,
			Source: linksim.Frames{FPS: 60, Rate: 2e6, Min: 1e5, Max: 8e6, KeyEvery: 2 * time.Second, KeyFactor: 5, Deviation: 0.3},
			ECN:    linksim.ECT1, Feedback: linksim.Feedback{Kind: linksim.RDPUDP2}, Sender: linksim.Clock{PPM: 30}, Receiver: clock,
		},
		{Name: "copa", Path: []int{1}, Source: linksim.Desktop{Video: 3e6}, Feedback: linksim.Feedback{Packets: 2, Delay: 5 * ms}},
		{Name: "nada", Path: []int{1}, Start: 100 * ms, Stop: 2 * time.Second, Feedback: linksim.Feedback{Kind: linksim.RDPUDP2}},
		{Name: "cubic", Path: []int{1}, Source: linksim.OnOff{Min: 1000, Max: 2000, Off: time.Second, Late: true}, ECN: linksim.ECT0},
		{Name: "reno", Path: []int{2}}, {Name: "bbr", Path: []int{2}}, {Name: "cbr", Path: []int{2}},
		{Name: "unlimited", Path: []int{3}, Source: linksim.Poisson{Rate: 1e5}},
	}, sc.Flows)
	require.Equal(t, uint64(7), sc.Seed)
	require.Equal(t, []time.Duration{2500 * ms, 2 * time.Second, 50 * ms}, []time.Duration{sc.Duration, sc.Settle, sc.Bin})
}

// A mistake is one line that says where it is.
func TestMistakes(t *testing.T) {
	good := "{\n\"duration\": \"1s\",\n\"links\": [{\"name\": \"l\", \"rate\": 1e6}],\n\"flows\": [\n{\"name\": \"f\", \"path\": [\"l\"]}]}"
	for _, tt := range []struct {
		name, old, new string
		want           string
	}{
		{"unknown key", `"rate"`, `"speed"`, `line 3: unknown key "speed"`},
		{"unknown key of a flow", `"path"`, `"links"`, `line 5: unknown key "links"`},
		{"another type", `"1s"`, `1`, "line 2: duration: a number cannot stand here"},
		{"no time", `"1s"`, `"1 second"`, `line 2: duration: "1 second" is not a time`},
		{"no duration", `"duration": "1s",`, ``, "line 1: duration: there is none"},
		{"half a bit", `1e6`, `0.5`, "line 3: links[0].rate: 0.5 is not a whole number"},
		{"less than nothing", `1e6`, `-1`, "line 3: links[0].rate"},
		{"two rates", `"rate": 1e6`, `"rate": 1e6, "steps": [{"at": "0s", "rate": 1}]`, "line 3: links[0]: more than one"},
		{"a buffer without a rate", `"rate": 1e6`, `"buffer": "10ms"`, "line 3: links[0].buffer"},
		{"an element of two", `1e6`, "1e6, \"elements\": [\n{\"loss\": {}, \"harq\": {}}]", "line 4: links[0].elements[0]: 2 of the alternatives"},
		{"an element of nothing", `1e6`, `1e6, "elements": [{}]`, "line 3: links[0].elements[0]: 0 of the alternatives"},
		{"an element that cannot be", `1e6`, `1e6, "elements": [{"loss": {"p": 2}}]`, `link "l": element 0`},
		{"no such trace", `"rate": 1e6`, `"trace": "nowhere"`, "line 3: links[0].trace: nowhere: "},
		{"no such link", `["l"]`, `["m"]`, `line 5: flows[0].path[0]: there is no link "m"`},
		{"no such controller", `"path"`, `"controller": "vegas", "path"`, `line 5: flows[0].controller: "vegas" is none of "urcp", "copa"`},
		{"a rate too many", `"path"`, `"rate": 1e6, "path"`, "line 5: flows[0].rate"},
		{"a rate too few", `"path"`, `"controller": "cbr", "path"`, "line 5: flows[0].rate"},
		{"a bound for whom it is none", `"path"`, `"controller": "reno", "max_rate": 1e6, "path"`, "line 5: flows[0].max_rate"},
		{"without a limit or an end", `"path"`, `"controller": "unlimited", "path"`, "line 5: flows[0].controller"},
		{"no such law", `1e6`, `1e6, "elements": [{"jitter": {"law": "x"}}]`, `line 3: links[0].elements[0].jitter.law: "x" is none of ["normal" "spikes" "uniform"]`},
		{"no flows", `{"name": "f", "path": ["l"]}`, ``, "line 4: flows: there are none"},
		{"the same name twice", `"name": "f"`, `"name": "l"`, `has no name of its own: "l"`},
		{"more than the simulator takes", `"1s"`, `"1000h"`, "duration 1000h0m0s is not within"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Contains(t, good, tt.old)
			path := write(t, "s.json", strings.Replace(good, tt.old, tt.new, 1))
			status, events, stderr := linksimRun(t, "-scenario", path, "-out", t.TempDir())
			require.Equal(t, 1, status)
			require.Empty(t, events)
			require.Contains(t, stderr, tt.want)
			require.True(t, strings.HasPrefix(stderr, "linksim: "+path+": "), stderr)
			require.Equal(t, 1, strings.Count(stderr, "\n"))
		})
	}
	status, _, stderr := linksimRun(t)
	require.Equal(t, 2, status)
	require.Contains(t, stderr, "-scenario is required")
	status, _, _ = linksimRun(t, "-scenario", write(t, "s.json", good), "-out", write(t, "file", ""))
	require.Equal(t, 1, status)
}

// A link over which nothing comes is drawn too, and so are more flows than there is
// room for in the legend.
func TestPicturesOfNothingAndOfMany(t *testing.T) {
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf(`{"name": "a flow with a long name, number %d", "controller": "cbr", "rate": 1000, "path": ["l"]}`, i))
	}
	for name, text := range map[string]string{
		"nothing": `{"duration": "1s", "links": [{"name": "l", "steps": [{"at": "0s", "rate": 0}]}], "flows": [{"name": "f", "path": ["l"]}]}`,
		"many":    `{"duration": "10s", "links": [{"name": "l", "rate": 1e6}], "flows": [` + strings.Join(many, ",") + `]}`,
		"long":    `{"duration": "10s", "bin": "1ms", "flows": [{"name": "f", "controller": "cbr", "rate": 1e5, "delay": "10ms"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			sc, err := parse([]byte(text), "")
			require.NoError(t, err)
			r, err := linksim.Run(sc)
			require.NoError(t, err)
			p, err := draw(r)
			require.NoError(t, err)
			_, err = png.Decode(bytes.NewReader(p.png))
			require.NoError(t, err)
			require.Less(t, len(p.svg), 1<<20)
		})
	}
}

// A scenario file may come from anywhere.
func FuzzScenario(f *testing.F) {
	for _, path := range []string{"scenarios/cubic.json", "scenarios/desktop.json", "testdata/everything.json"} {
		b, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.Contains(b, []byte("trace")) {
			return // it is a path
		}
		if sc, err := parse(b, t.TempDir()); err == nil {
			require.Positive(t, sc.Duration)
			require.NotEmpty(t, sc.Flows)
		}
	})
}
