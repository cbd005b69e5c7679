package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/reachback/reachback/internal/strictjson"
	"github.com/reachback/reachback/urcp/linksim"
)

// maxFile bounds a scenario file.
const maxFile = 1 << 20

// load reads a scenario file.
func load(path string) (*linksim.Scenario, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("longer than %d bytes", maxFile)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	sc, err := parse(data, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sc, nil
}

// parse makes a scenario of the text of a file; traces are looked for from dir.
func parse(data []byte, dir string) (*linksim.Scenario, error) {
	var file scenarioFile
	lines, err := strictjson.Decode(data, &file)
	if err != nil {
		return nil, err
	}
	b := &builder{lines: lines, dir: dir}
	sc := b.scenario(&file)
	return sc, b.err
}

// A builder makes a scenario of a file, and keeps the first thing that is wrong with
// it. Places are those of package strictjson.
type builder struct {
	lines strictjson.Lines
	dir   string
	links []string // names
	err   error
}

func (b *builder) fail(place, format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf("line %d: %s: %s", b.lines.Of(place), place, fmt.Sprintf(format, args...))
	}
}

// time parses a duration; an empty one is zero.
func (b *builder) time(place, s string) time.Duration {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		b.fail(place, `%q is not a time such as "20ms"`, s)
	}
	return d
}

// rate turns a number into bits per second.
func (b *builder) rate(place string, r float64) int64 {
	if r < 0 || r > 1e12 || r != float64(int64(r)) {
		b.fail(place, "%v is not a whole number of bits per second", r)
		return 0
	}
	return int64(r)
}

// one checks that of the alternatives exactly one is there.
func (b *builder) one(place string, there ...bool) {
	n := 0
	for _, t := range there {
		if t {
			n++
		}
	}
	if n != 1 {
		b.fail(place, "%d of the alternatives stand here, and one must", n)
	}
}

func choose[T any](b *builder, place, name string, choices map[string]T) T {
	v, ok := choices[name]
	if !ok {
		known := slices.DeleteFunc(slices.Sorted(maps.Keys(choices)), func(name string) bool { return name == "" })
		b.fail(place, "%q is none of %q", name, known)
	}
	return v
}

func (b *builder) scenario(f *scenarioFile) *linksim.Scenario {
	sc := &linksim.Scenario{
		Name: f.Name, Seed: f.Seed, Duration: b.time("duration", f.Duration),
		Settle: b.time("settle", f.Settle), Bin: b.time("bin", f.Bin),
	}
	if sc.Duration <= 0 {
		b.fail("duration", "there is none")
	}
	for i := range f.Links {
		b.links = append(b.links, f.Links[i].Name)
		sc.Links = append(sc.Links, b.link(fmt.Sprintf("links[%d]", i), &f.Links[i]))
	}
	for i := range f.Flows {
		sc.Flows = append(sc.Flows, b.flow(fmt.Sprintf("flows[%d]", i), &f.Flows[i]))
	}
	if len(sc.Flows) == 0 {
		b.fail("flows", "there are none")
	}
	return sc
}

// path finds links by their names.
func (b *builder) path(place string, names []string) (path []int) {
	for i, name := range names {
		at := slices.Index(b.links, name)
		if at < 0 {
			b.fail(fmt.Sprintf("%s[%d]", place, i), "there is no link %q", name)
		}
		path = append(path, at)
	}
	return path
}

// trace reads a recorded link.
func (b *builder) trace(place, name string) *linksim.Trace {
	path := filepath.FromSlash(name)
	if !filepath.IsAbs(path) {
		path = filepath.Join(b.dir, path)
	}
	f, err := os.Open(path)
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		b.fail(place, "%s: %v", name, err)
		return nil
	}
	defer f.Close()
	t, err := linksim.ReadTrace(f)
	if err != nil {
		b.fail(place, "%s: %v", name, err)
		return nil
	}
	return t
}
