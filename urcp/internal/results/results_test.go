package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp/internal/scenario"
	"github.com/reachback/reachback/urcp/linksim"
)

// short is a scenario of the catalogue, cut off after some seconds.
func short(t *testing.T, name string) scenario.Scenario {
	t.Helper()
	for _, sc := range scenario.All() {
		if sc.Name == name {
			build := sc.Make
			sc.Make = func(seed uint64, new scenario.New) *linksim.Scenario {
				return scenario.Shorten(build(seed, new), 5*time.Second)
			}
			return sc
		}
	}
	t.Fatalf("no scenario %q", name)
	return scenario.Scenario{}
}

func TestSameBytes(t *testing.T) {
	all := []scenario.Scenario{short(t, "loss/random, 1 %"), short(t, "against/Cubic, buffer of 100ms"), short(t, "source/video that follows")}
	var made [2][]byte
	for i := range made {
		table, err := runAll(all)
		require.NoError(t, err)
		var b bytes.Buffer
		report(&b, table)
		panels, err := timeline(all[1].Name, ownName)(table)
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "picture.svg")
		require.NoError(t, save(file, panels))
		picture, err := os.ReadFile(file)
		require.NoError(t, err)
		wellFormed(t, picture)
		made[i] = append(b.Bytes(), picture...)
	}
	require.Equal(t, string(made[0]), string(made[1]))
	require.Contains(t, string(made[0]), "\n### Random, 1 %\n")
	require.Contains(t, string(made[0]), "\n| Cubic | ")
}

func wellFormed(t *testing.T, picture []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(picture))
	elements := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if _, ok := token.(xml.StartElement); ok {
			elements++
		}
	}
	require.Greater(t, elements, 20)
}

// A reference that is better is marked and listed, one that is better in one thing
// and worse in another only marked, and a bound that is not reached stands there.
func TestLossesShow(t *testing.T) {
	sc := short(t, "loss/random, 1 %")
	b := sc.Bounds[0]
	b.Held = &scenario.Held{Median: 0.5, Worst: 0.4}
	rw := row{Scenario: sc, columns: columnsOf(&sc), bounds: []scenario.Bound{b}}
	rw.figures = [][]float64{
		{0.9, 5, 10, 0.01}, {0.9, 5, 10, 0.01},
		{0.95, 5, 10, 0.01}, // better in one thing
		{0.95, 9, 20, 0.01}, // and worse in others
		{0.901, 5, 9.8, 0.01}, {0.9, 5, 10, 0.01}, {0.2, 5, 10, 0.01},
	}
	var out bytes.Buffer
	report(&out, []row{rw})
	text := out.String()
	require.Contains(t, text, "* loss/random, 1 %: by Copa\n")
	require.Contains(t, text, "That is 1 of 1 scenarios.")
	require.Contains(t, text, "| Copa | **95.00 %** ▲ | **5.0 ms** | 10.0 ms |")
	require.Contains(t, text, "| NADA | **95.00 %** ▲ | 9.0 ms | 20.0 ms |")
	require.Contains(t, text, "| BBR | 90.10 % | **5.0 ms** | **9.8 ms** |")
	require.Contains(t, text, "| loss/random, 1 % | utilisation | at least 97.00 % | 50.00 % | 40.00 % |")
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]float64{"5 %": 5, "300 kbit/s": 3e5, "1 Gbit/s": 1e9, "1s": 1000, "600ms": 600} {
		require.Equal(t, want, number(text), text)
	}
}

// A share is the better the nearer it is to the fair one.
func TestShares(t *testing.T) {
	c := column{Measure: scenario.Share(0, 0), score: near(0.5), margin: 0.01}
	require.True(t, c.better(0.45, 0.7))
	require.False(t, c.better(0.7, 0.45))
	require.False(t, c.better(0.5, 0.505))
}
