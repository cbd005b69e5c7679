package urcp_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
	"github.com/reachback/reachback/urcp/linksim"
)

// TestE11_NoneStarves: beside a TCP flow and beside another flow of its own kind, each
// keeps its share, and beside its own kind the queue stays short.
func TestE11_NoneStarves(t *testing.T) {
	const rate = 10_000_000
	under := func(now time.Duration) linksim.Controller { return urcp.New(now, urcp.Config{MSS: 1250}) }
	for _, x := range []struct {
		name  string
		other func(time.Duration) linksim.Controller
		first bool // the other starts first
		least float64
		queue time.Duration
	}{
		{"Cubic after it", func(time.Duration) linksim.Controller { return &linksim.Cubic{} }, false, 0.3, 110 * time.Millisecond},
		{"Cubic before it", func(time.Duration) linksim.Controller { return &linksim.Cubic{} }, true, 0.3, 110 * time.Millisecond},
		{"its own kind", under, false, 0.45, 15 * time.Millisecond},
	} {
		t.Run(x.name, func(t *testing.T) {
			sc := &linksim.Scenario{
				Name: "two flows", Seed: 1, Duration: 60 * time.Second,
				Links: []linksim.Link{{
					Name: "link", Rate: rate, Delay: 20 * time.Millisecond,
					Queue: linksim.Queue{Bytes: linksim.Buffer(rate, 100*time.Millisecond)},
				}},
				Flows: []linksim.Flow{
					{Name: "one", New: under, Path: []int{0}, Return: 20 * time.Millisecond},
					{Name: "other", New: x.other, Path: []int{0}, Return: 20 * time.Millisecond},
				},
			}
			later := &sc.Flows[1]
			if x.first {
				later = &sc.Flows[0]
			}
			later.Start = 5 * time.Second
			r, err := linksim.Run(sc)
			require.NoError(t, err)
			one := r.Flow("one").Rate(15*time.Second, sc.Duration)
			other := r.Flow("other").Rate(15*time.Second, sc.Duration)
			require.Greater(t, one/(one+other), x.least)
			require.Greater(t, other/(one+other), x.least)
			require.Greater(t, one+other, 0.95*rate)
			require.Less(t, r.Link("link").Queue(15*time.Second, sc.Duration).P95, x.queue)
		})
	}
}
