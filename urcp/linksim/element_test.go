package linksim

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// through sends 1 Mbit/s for so long through elements and returns the flow.
func through(t *testing.T, d time.Duration, elements ...Element) (*Result, *FlowResult) {
	t.Helper()
	r := run(t, &Scenario{
		Name: "through", Duration: d, Seed: 7,
		Links: []Link{{Name: "link", Delay: 20 * ms, Elements: elements}},
		Flows: []Flow{{Name: "flow", New: cbr(1e6), Path: []int{0}, Stop: d - time.Second}},
	})
	return r, r.Flow("flow")
}

func TestLoss(t *testing.T) {
	_, f := through(t, 101*time.Second, Loss{P: .05})
	require.EqualValues(t, 10000, f.Sent)
	require.InDelta(t, .05, float64(f.Dropped)/10000, .007)
	require.Equal(t, f.Sent-f.Dropped, f.Delivered)
}

func TestBurstLoss(t *testing.T) {
	// Bad for one packet in ten, in bursts of five, and all is lost then.
	r, f := through(t, 1001*time.Second, BurstLoss{ToBad: .2 / 9, ToGood: .2, Bad: 1})
	require.InDelta(t, .1, float64(f.Dropped)/float64(f.Sent), .01)
	bursts := 0
	last := time.Duration(0)
	for _, a := range all(&f.arrivals) {
		if last > 0 && a.at-last > 11*ms {
			bursts++
		}
		last = a.at
	}
	require.InDelta(t, 5, float64(r.Links[0].Dropped.Element)/float64(bursts), .5)
}

func TestJitter(t *testing.T) {
	_, f := through(t, 101*time.Second, Jitter{Max: 5 * ms})
	d := f.OneWay(0, time.Hour)
	require.InDelta(t, float64(22500*time.Microsecond), float64(d.Mean), float64(100*time.Microsecond))
	require.InDelta(t, float64(25*ms), float64(d.Max), float64(10*time.Microsecond))
	require.Zero(t, f.Declared)

	_, f = through(t, 101*time.Second, Jitter{Law: Normal, Max: 5 * ms, Deviation: ms})
	var squares float64
	for _, a := range all(&f.arrivals) {
		off := (a.delay - 22500*time.Microsecond).Seconds() * 1000
		squares += off * off
	}
	require.InDelta(t, .95, math.Sqrt(squares/float64(f.arrivals.n)), .03)

	// Two of a kind draw apart: the deviation of the sum is 5/√12·√2 ms, and not twice 5/√12.
	_, f = through(t, 101*time.Second, Jitter{Max: 5 * ms}, Jitter{Max: 5 * ms})
	squares = 0
	for _, a := range all(&f.arrivals) {
		off := (a.delay - 25*ms).Seconds() * 1000
		squares += off * off
	}
	require.InDelta(t, 2.04, math.Sqrt(squares/float64(f.arrivals.n)), .1)

	// A spike of 100 ms holds up the ten packets behind it.
	_, f = through(t, 101*time.Second, Jitter{Law: Spikes, Max: 100 * ms, P: .001})
	held := 0
	for i, a := range all(&f.arrivals) {
		if a.delay > 20*ms {
			held++
		}
		if i > 0 {
			require.GreaterOrEqual(t, a.at, f.arrivals.at(i-1).at)
		}
	}
	require.InDelta(t, 100, held, 50)
	require.Zero(t, f.Declared)

	// With overtaking, others pass.
	_, f = through(t, 101*time.Second, Jitter{Law: Spikes, Max: 100 * ms, P: .001, Reorder: true})
	require.NotZero(t, f.Spurious)
	require.Equal(t, f.Spurious, f.Declared)
}

func TestDuplicate(t *testing.T) {
	_, f := through(t, 101*time.Second, Duplicate{P: .1, After: ms})
	require.EqualValues(t, 10000, f.Delivered)
	require.InDelta(t, 1000, f.Duplicates, 100)

	// A lost copy is nobody's loss, and one that comes through makes up for the first.
	r, f := through(t, 101*time.Second, Duplicate{P: 1}, Loss{P: .1})
	require.InDelta(t, 2000, r.Links[0].Dropped.Element, 150)
	require.InDelta(t, 1000, f.Dropped, 100)
	require.InDelta(t, 9900, f.Delivered, 50)
}

func TestAggregate(t *testing.T) {
	// A packet every 10 ms: those of 35 ms come together, three behind the first.
	_, f := through(t, 3*time.Second, Aggregate{Every: 35 * ms})
	for i, a := range all(&f.arrivals) {
		require.Equal(t, []time.Duration{55, 45, 35, 25}[i%4]*ms, a.delay)
	}
	_, f = through(t, 3*time.Second, Aggregate{Every: 35 * ms, Packets: 2})
	for i, a := range all(&f.arrivals) {
		require.Equal(t, []time.Duration{30, 20}[i%2]*ms, a.delay)
	}
	// The timer of a release that came earlier by number does not break up the next.
	_, f = through(t, 3*time.Second, Aggregate{Every: 35 * ms, Packets: 3})
	for i, a := range all(&f.arrivals)[:198] {
		require.Equal(t, []time.Duration{40, 30, 20}[i%3]*ms, a.delay)
	}
}

func TestHARQ(t *testing.T) {
	_, f := through(t, 101*time.Second, HARQ{P: .1})
	var count [4]int
	for i, a := range all(&f.arrivals) {
		if i > 0 {
			require.GreaterOrEqual(t, a.at, f.arrivals.at(i-1).at)
		}
		// 10 ms apart, a single repeat holds nobody up.
		if k := int((a.delay - 20*ms) / (8 * ms)); (a.delay-20*ms)%(8*ms) == 0 && k < 4 {
			count[k]++
		}
	}
	require.InDelta(t, 9000, count[0], 200)
	require.InDelta(t, 900, count[1], 100)
	require.Zero(t, f.Declared)
}

// Adding an element, a link or a flow leaves what others draw as it was.
func TestRandomnessOfItsOwn(t *testing.T) {
	lost := func(seed uint64, extra bool) []time.Duration {
		sc := &Scenario{
			Name: "own", Duration: 20 * time.Second, Seed: seed,
			Links: []Link{{Name: "link", Delay: 20 * ms, Elements: []Element{Loss{P: .05}}}},
			Flows: []Flow{{Name: "flow", New: cbr(1e6), Path: []int{0}}},
		}
		if extra {
			sc.Links[0].Elements = append([]Element{Jitter{Max: 0}, Duplicate{}}, sc.Links[0].Elements...)
			sc.Links = append(sc.Links, Link{Name: "other", Elements: []Element{Loss{P: .5}}})
			sc.Flows = append(sc.Flows, Flow{
				Name: "other flow", New: func(time.Duration) Controller { return Unlimited{} },
				Source: Poisson{Rate: 1e6}, Path: []int{1},
			})
		}
		var at []time.Duration
		for _, a := range all(&run(t, sc).Flow("flow").arrivals) {
			at = append(at, a.at)
		}
		return at
	}
	require.Equal(t, lost(1, false), lost(1, true))
	require.NotEqual(t, lost(1, false), lost(2, false))
}

// A shorter route lets packets overtake; a longer one leaves a gap.
func TestRoutes(t *testing.T) {
	r := run(t, &Scenario{
		Name: "routes", Duration: 3 * time.Second,
		Links: []Link{{
			Name: "link", Delay: 50 * ms,
			Routes: []Route{{At: time.Second, Delay: 80 * ms}, {At: 2 * time.Second, Delay: 20 * ms}},
		}},
		Flows: []Flow{
			{Name: "flow", New: cbr(1e6), Path: []int{0}},
			{Name: "late", New: cbr(1e6), Path: []int{0}, Start: 1500 * ms},
		},
	})
	f := r.Flow("flow")
	require.Equal(t, 100*ms, f.BaseRTT)
	require.Equal(t, 160*ms, r.Flow("late").BaseRTT)
	require.Equal(t, 50*ms, f.OneWay(0, time.Second).Max)
	require.Equal(t, 80*ms, f.OneWay(1080*ms, 2*time.Second).Mean)
	require.Equal(t, 20*ms, f.OneWay(2100*ms, 3*time.Second).Max)
	require.Zero(t, f.Dropped)
	// Six packets of the old route were on their way when the new one's arrived.
	require.NotZero(t, f.Spurious)
	require.Equal(t, f.Spurious, f.Declared)
}

func TestECN(t *testing.T) {
	for name, tc := range map[string]struct {
		aqm    AQM
		ecn    ECN
		marks  bool
		drops  bool
		queued time.Duration // most, at the 95th percentile
	}{
		"codel drops":          {CoDel{}, NotECT, false, true, 400 * ms},
		"codel marks":          {CoDel{}, ECT0, true, false, 400 * ms},
		"red drops":            {RED{Min: 5 * ms, Max: 50 * ms, P: .5}, NotECT, false, true, 55 * ms},
		"red marks":            {RED{Min: 5 * ms, Max: 50 * ms, P: .5}, ECT0, true, false, 400 * ms},
		"step marks L4S":       {StepMark{}, ECT1, true, false, 400 * ms},
		"step ignores classic": {StepMark{}, ECT0, false, false, 400 * ms},
		"dualq marks L4S":      {DualQ{}, ECT1, true, false, 400 * ms},
		"dualq drops classic":  {DualQ{}, NotECT, false, true, 400 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, &Scenario{
				Name: "ecn", Duration: 5 * time.Second,
				Links: []Link{{Name: "link", Rate: 10e6, Queue: Queue{Bytes: Buffer(10e6, 400*ms), AQM: tc.aqm}}},
				Flows: []Flow{{Name: "flow", New: cbr(10500e3), Path: []int{0}, ECN: tc.ecn, Delay: 20 * ms}},
			})
			l, f := r.Links[0], r.Flows[0]
			require.Equal(t, tc.marks, l.Marked > 0)
			require.Equal(t, tc.marks, f.Marked > 0)
			require.Equal(t, tc.drops, l.Dropped.AQM > 0)
			require.LessOrEqual(t, l.Queue(0, time.Hour).P95, tc.queued)
			require.GreaterOrEqual(t, l.Utilisation(time.Second, 5*time.Second), .99)
		})
	}
}

// CoDel's drops come closer together by the square root of their number.
func TestCoDelLaw(t *testing.T) {
	r := run(t, &Scenario{
		Name: "codel", Duration: 2 * time.Second,
		Links: []Link{{Name: "link", Rate: 10e6, Queue: Queue{AQM: CoDel{}}}},
		Flows: []Flow{{Name: "flow", New: cbr(20e6), Path: []int{0}, ECN: ECT0, Delay: 20 * ms}},
	})
	var at []time.Duration
	for _, a := range all(&r.Flows[0].arrivals) {
		if a.marked {
			at = append(at, a.at)
		}
	}
	require.Greater(t, len(at), 10)
	// Half of the time since the first packet came, at 20 ms, is what each waits: the
	// fifth millisecond of it is 10 later, and the interval counts from there.
	require.InDelta(t, .130, at[0].Seconds(), .003)
	for i := 1; i < 10; i++ {
		want := 100 / math.Sqrt(float64(i)) // milliseconds
		require.InDelta(t, want, (at[i]-at[i-1]).Seconds()*1000, 1.5, i)
	}
}

// L4S and classic share a link about evenly, and the L4S flow waits hardly at all.
func TestDualQDelays(t *testing.T) {
	r := run(t, &Scenario{
		Name: "dualq", Duration: 5 * time.Second,
		Links: []Link{{Name: "link", Rate: 20e6, Queue: Queue{AQM: DualQ{}}}},
		Flows: []Flow{
			{Name: "low", New: cbr(8e6), Path: []int{0}, ECN: ECT1, Delay: 20 * ms},
			{Name: "classic", New: cbr(13e6), Path: []int{0}, ECN: ECT0, Delay: 20 * ms},
		},
	})
	require.Less(t, r.Flow("low").Queue(0, time.Hour).P95, 2*ms)
	require.Greater(t, r.Flow("classic").Queue(0, time.Hour).P95, 10*ms)
	require.InEpsilon(t, 8e6, r.Flow("low").Rate(time.Second, 5*time.Second), .01)

	// L4S flows that do not listen leave classic ones their sixteenth.
	r = run(t, &Scenario{
		Name: "overload", Duration: 5 * time.Second,
		Links: []Link{{Name: "link", Rate: 16e6, Queue: Queue{Bytes: 4 << 20, AQM: DualQ{}}}},
		Flows: []Flow{
			{Name: "low", New: cbr(20e6), Path: []int{0}, ECN: ECT1, Delay: 20 * ms},
			{Name: "classic", New: cbr(2e6), Path: []int{0}, ECN: ECT0, Delay: 20 * ms},
		},
	})
	require.InEpsilon(t, 1e6, r.Flow("classic").Rate(time.Second, 5*time.Second), .05)
}
