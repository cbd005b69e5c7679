package linksim

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
)

func TestRefusals(t *testing.T) {
	good := func() *Scenario {
		return &Scenario{
			Duration: time.Second,
			Links:    []Link{{Name: "link", Rate: 1e6}},
			Flows:    []Flow{{Name: "flow", New: cbr(1e5), Path: []int{0}}},
		}
	}
	_, err := Run(good())
	require.NoError(t, err)
	link := func(l Link) func(*Scenario) {
		return func(sc *Scenario) { l.Name = "link"; sc.Links[0] = l }
	}
	flow := func(change func(f *Flow)) func(*Scenario) {
		return func(sc *Scenario) { change(&sc.Flows[0]) }
	}
	for name, spoil := range map[string]func(*Scenario){
		"no duration":          func(sc *Scenario) { sc.Duration = 0 },
		"a year":               func(sc *Scenario) { sc.Duration = 365 * 24 * time.Hour },
		"tiny bins":            func(sc *Scenario) { sc.Bin = 1 },
		"link without name":    func(sc *Scenario) { sc.Links[0].Name = "" },
		"names twice":          func(sc *Scenario) { sc.Flows[0].Name = "link" },
		"negative rate":        link(Link{Rate: -1}),
		"rate and service":     link(Link{Rate: 1e6, Service: Steps{{0, 1}}}),
		"no steps":             link(Link{Service: Steps{}}),
		"steps in disorder":    link(Link{Service: Steps{{1, 1}, {0, 1}}}),
		"sine below zero":      link(Link{Service: Sine{Mean: 1, Amplitude: 2, Period: time.Second}}),
		"nil trace":            link(Link{Service: (*Trace)(nil)}),
		"queue without rate":   link(Link{Queue: Queue{Bytes: 1}}),
		"negative queue":       link(Link{Rate: 1, Queue: Queue{Bytes: -1}}),
		"upside-down red":      link(Link{Rate: 1, Queue: Queue{AQM: RED{Min: 2, Max: 1}}}),
		"policer without rate": link(Link{Policer: &Policer{Bytes: 1}}),
		"negative delay":       link(Link{Delay: -1}),
		"routes in disorder":   link(Link{Routes: []Route{{At: 2}, {At: 1}}}),
		"outages overlap":      link(Link{Outages: []Outage{{From: 1, To: 3}, {From: 2, To: 4}}}),
		"nil element":          link(Link{Elements: []Element{nil}}),
		"loss above one":       link(Link{Elements: []Element{Loss{P: 1.5}}}),
		"loss of no number":    link(Link{Elements: []Element{Loss{P: math.NaN()}}}),
		"empty aggregate":      link(Link{Elements: []Element{Aggregate{}}}),
		"negative jitter":      link(Link{Elements: []Element{Jitter{Max: -1}}}),
		"no controller":        flow(func(f *Flow) { f.New = nil }),
		"stops before start":   flow(func(f *Flow) { f.Start, f.Stop = 2, 1 }),
		"huge packets":         flow(func(f *Flow) { f.PacketBytes = 1 << 20 }),
		"path to nowhere":      flow(func(f *Flow) { f.Path = []int{1} }),
		"back from nowhere":    flow(func(f *Flow) { f.Back = []int{-1} }),
		"sender's clock back":  flow(func(f *Flow) { f.Sender.Steps = []ClockStep{{By: -1}} }),
		"clock of no number":   flow(func(f *Flow) { f.Receiver.PPM = math.NaN() }),
		"empty pause":          flow(func(f *Flow) { f.Pauses = []Interval{{1, 1}} }),
		"frames without rate":  flow(func(f *Flow) { f.Source = Frames{} }),
		"unknown feedback":     flow(func(f *Flow) { f.Feedback.Kind = 7 }),
	} {
		sc := good()
		spoil(sc)
		_, err := Run(sc)
		require.Error(t, err, name)
	}
}

// stuck asks for its timer in the same moment for ever.
type stuck struct{ Unlimited }

func (stuck) NextSend(time.Duration, int) time.Duration { return urcp.Never }
func (stuck) NextTimer() time.Duration                  { return 0 }

// A controller that never lets time go on, or that leaves packets without end, ends
// the run and not the program.
func TestRogueControllers(t *testing.T) {
	for name, tc := range map[string]struct {
		new  func(time.Duration) Controller
		want string
	}{
		"greedy without limit": {unlimited, "without end"},
		"timer":                {func(time.Duration) Controller { return stuck{} }, "does not advance"},
		"nil":                  {func(time.Duration) Controller { return nil }, "nil"},
		"flood":                {cbr(1e11), "on the way"},
	} {
		_, err := Run(&Scenario{
			Duration: time.Minute,
			Links:    []Link{{Name: "link", Rate: 1e6}},
			Flows:    []Flow{{Name: "flow", New: tc.new, Path: []int{0}, Delay: time.Second}},
		})
		require.ErrorContains(t, err, tc.want, name)
	}
}

func TestBuffer(t *testing.T) {
	require.Equal(t, 62500, Buffer(10e6, 50*ms))
	require.Equal(t, 1250, Buffer(1e9, 10*time.Microsecond))
	require.Equal(t, 1250_000_000_000, Buffer(100e9, 100*time.Second))
	require.Equal(t, 3, Buffer(3e6, 8*time.Microsecond))
	require.Zero(t, Buffer(0, time.Second))
	require.Equal(t, math.MaxInt, Buffer(math.MaxInt64, math.MaxInt64))
}

// Two flows over three links, of which the middle one is shared.
func TestChain(t *testing.T) {
	r := run(t, &Scenario{
		Duration: 10 * time.Second,
		Links: []Link{
			{Name: "first", Rate: 20e6, Delay: 5 * ms},
			{Name: "shared", Rate: 10e6, Delay: 5 * ms},
			{Name: "last", Rate: 5e6, Delay: 5 * ms},
		},
		Flows: []Flow{
			{Name: "long", New: cbr(2e6), Path: []int{0, 1, 2}},
			{Name: "short", New: cbr(3e6), Path: []int{1}, Delay: ms},
		},
	})
	require.Equal(t, 30*ms, r.Flow("long").BaseRTT)
	require.Equal(t, 12*ms, r.Flow("short").BaseRTT)
	require.InDelta(t, .1, r.Link("first").Utilisation(time.Second, 9*time.Second), .001)
	require.InDelta(t, .5, r.Link("shared").Utilisation(time.Second, 9*time.Second), .001)
	require.InDelta(t, .4, r.Link("last").Utilisation(time.Second, 9*time.Second), .001)
	// Half a millisecond, one, and two of service.
	require.Equal(t, 18500*time.Microsecond, r.Flow("long").arrivals.at(0).delay)
}

// Acknowledgements share the way back with data, and wait behind it.
func TestCongestedWayBack(t *testing.T) {
	r := run(t, &Scenario{
		Duration: 10 * time.Second,
		Links: []Link{
			{Name: "there", Rate: 10e6, Delay: 10 * ms},
			{Name: "back", Rate: 1e6, Delay: 10 * ms, Queue: Queue{Bytes: 12500}},
		},
		Flows: []Flow{
			{Name: "flow", New: cbr(1e6), Path: []int{0}, Back: []int{1}},
			{Name: "other", New: cbr(1100e3), Path: []int{1}, Delay: ms},
		},
	})
	l := r.Link("back")
	require.Greater(t, l.Queue(5*time.Second, 10*time.Second).P50, 80*ms)
	// Data and acknowledgements together fill the link.
	data := r.Flow("other").Rate(5*time.Second, 9*time.Second)
	require.Less(t, data, .99e6)
	require.InDelta(t, 1, l.Utilisation(5*time.Second, 9*time.Second), .002)
	require.Zero(t, r.Flow("flow").Dropped)
}
