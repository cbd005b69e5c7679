package urcp_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
	"github.com/reachback/reachback/urcp/linksim"
)

// TestMemoryOfANoisyPath: a second connection on a path with delays of its own need not
// learn them anew, for which it would leave some of the link idle for seconds.
func TestMemoryOfANoisyPath(t *testing.T) {
	const ms = time.Millisecond
	for _, x := range []struct {
		name     string
		rate     int64
		elements []linksim.Element
	}{
		{"jitter", 10e6, []linksim.Element{linksim.Jitter{Max: 20 * ms}}},
		{"Wi-Fi", 10e6, []linksim.Element{linksim.Aggregate{Packets: 16, Every: 10 * ms}, linksim.Jitter{Max: 10 * ms}}},
	} {
		t.Run(x.name, func(t *testing.T) {
			// used is how much of the link a connection uses, and path what it knows in the end.
			connect := func(seed uint64, d time.Duration, memory *urcp.Path) (used float64, path urcp.Path) {
				var c *urcp.Controller
				r, err := linksim.Run(&linksim.Scenario{
					Name: "noisy", Seed: seed, Duration: d,
					Links: []linksim.Link{{
						Name: "link", Rate: x.rate, Delay: 20 * ms, Elements: x.elements,
						Queue: linksim.Queue{Bytes: linksim.Buffer(x.rate, 200*ms)},
					}},
					Flows: []linksim.Flow{{
						Name: "flow", Path: []int{0}, Return: 20 * ms, Feedback: linksim.Feedback{Kind: linksim.RDPUDP2},
						New: func(now time.Duration) linksim.Controller {
							c = urcp.New(now, urcp.Config{MSS: 1250, Memory: memory})
							return c
						},
					}},
				})
				require.NoError(t, err)
				return r.Link("link").Utilisation(0, d), c.Path()
			}
			var first, second float64
			const seeds = 3
			for seed := range uint64(seeds) {
				used, _ := connect(2*seed, 5*time.Second, nil)
				_, path := connect(2*seed, 60*time.Second, nil)
				path.At = -time.Minute
				again, _ := connect(2*seed+1, 5*time.Second, &path)
				first, second = first+used/seeds, second+again/seeds
			}
			require.Greater(t, second, 0.9)
			require.Greater(t, second, first)
		})
	}
}
