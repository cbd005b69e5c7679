package linksim

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
)

// burst is a controller that lets n packets go at once, at the start.
type burst struct {
	Unlimited
	n int
}

func (b *burst) OnSent(time.Duration, urcp.Packet) { b.n-- }

func (b *burst) NextSend(now time.Duration, _ int) time.Duration {
	if b.n > 0 {
		return now
	}
	return urcp.Never
}

func bursts(n int) func(time.Duration) Controller {
	return func(time.Duration) Controller { return &burst{n: n} }
}

// A packet in service when the rate changes is served in part at each rate.
func TestStepInService(t *testing.T) {
	m := meter{rates: Steps{{0, 8e6}, {10 * ms, 2e6}, {20 * ms, 0}, {30 * ms, 8e6}}}
	// 1000 bytes take 1 ms at 8 Mbit/s. From 9.5 ms: half of it, then 2 ms at 2 Mbit/s.
	require.Equal(t, 12*ms, m.finish(9500*time.Microsecond, 1000))
	// From 18 ms: 500 bytes in 2 ms, nothing for 10, the rest in half a millisecond.
	require.Equal(t, 30500*time.Microsecond, m.finish(18*ms, 1000))
	require.EqualValues(t, 10000+2500+0+5000, capacity(m.rates, 0, 35*ms))
	require.Equal(t, 8*ms, idle(m.rates, 22*ms))
	stopped := meter{rates: Steps{{0, 8e6}, {time.Millisecond, 0}}}
	require.Equal(t, urcp.Never, stopped.finish(0, 2000))
}

// 1000 bytes at 3 Mbit/s take 2,666,666 2/3 ns. What the clock cannot show is not
// lost: three thousand of them take 8 seconds to the nanosecond.
func TestFractionsOfNanoseconds(t *testing.T) {
	m := meter{rates: constant(3e6)}
	var at time.Duration
	for range 3000 {
		at = m.finish(at, 1000)
	}
	require.Equal(t, 8*time.Second, at)
}

func TestSine(t *testing.T) {
	s := Sine{Mean: 5e6, Amplitude: 3e6, Period: time.Second}
	low, high := int64(1e12), int64(0)
	for at := time.Duration(0); at < time.Second; {
		rate, until := s.at(at)
		low, high = min(low, rate), max(high, rate)
		require.Greater(t, until, at)
		at = until
	}
	require.InDelta(t, 2e6, low, 1e4)
	require.InDelta(t, 8e6, high, 1e4)
	// Over whole periods only the mean counts.
	require.InDelta(t, 2*5e6/8, capacity(s, 0, 2*time.Second), 100)
}

func trace(t *testing.T, text string) *Trace {
	t.Helper()
	tr, err := ReadTrace(strings.NewReader(text))
	require.NoError(t, err)
	return tr
}

// Four packets of 1000 bytes and opportunities at 10, 20, 20 and 40 ms: bytes are
// carried over while the queue is not empty.
func TestTraceCarriesBytes(t *testing.T) {
	r := run(t, &Scenario{
		Name: "trace", Duration: time.Second,
		Links: []Link{{Name: "link", Service: trace(t, "10\n20\n20\n40\n")}},
		Flows: []Flow{{Name: "flow", New: bursts(4), Path: []int{0}, PacketBytes: 1000}},
	})
	var at []time.Duration
	for _, d := range all(&r.Link("link").departures) {
		at = append(at, d.at)
	}
	// 10 ms: one packet and half of the second. 20 ms: 3000 bytes for the 2500 left.
	require.Equal(t, []time.Duration{10 * ms, 20 * ms, 20 * ms, 20 * ms}, at)
	require.Equal(t, 10*ms, r.Flow("flow").SelfInflicted(0, time.Second).Max)
}

// What an opportunity has left when the queue is empty is lost, and a recording
// begins again at its end.
func TestTraceWraps(t *testing.T) {
	r := run(t, &Scenario{
		Name: "wrap", Duration: time.Second,
		Links: []Link{{Name: "link", Service: trace(t, "10\n40\n")}},
		Flows: []Flow{
			{Name: "a", New: bursts(1), Path: []int{0}, PacketBytes: 1000},
			// 500 bytes of the opportunity at 10 ms were left, and are gone.
			{Name: "b", New: bursts(1), Path: []int{0}, PacketBytes: 400, Start: 11 * ms},
			{Name: "c", New: bursts(1), Path: []int{0}, PacketBytes: 400, Start: 41 * ms},
		},
	})
	at := func(flow string) time.Duration {
		f := r.Flow(flow)
		require.Equal(t, 1, f.arrivals.n)
		return f.arrivals.at(0).at
	}
	require.Equal(t, 10*ms, at("a"))
	require.Equal(t, 40*ms, at("b"))
	require.Equal(t, 50*ms, at("c"))
	// Nobody could have done better: none of the wait is of their own making.
	require.Zero(t, r.Flow("c").SelfInflicted(0, time.Second).Max)
	require.Equal(t, 9*ms, r.Flow("c").Queue(0, time.Second).Max)
}

func TestTraceMoments(t *testing.T) {
	tr := trace(t, "0\n10\n40\n40\n")
	// 0 10 40 40 | 40 50 80 80 | 80 ...
	for i, want := range []time.Duration{0, 10, 40, 40, 40, 50, 80, 80, 80} {
		require.Equal(t, want*ms, tr.moment(int64(i)), i)
	}
	require.EqualValues(t, 0, tr.index(0))
	require.EqualValues(t, 1, tr.index(1))
	require.EqualValues(t, 1, tr.index(10*ms))
	require.EqualValues(t, 2, tr.index(10*ms+1))
	require.EqualValues(t, 2, tr.index(40*ms))
	require.EqualValues(t, 5, tr.index(40*ms+1))
	re := newReplay(tr, []Outage{{From: 40 * ms, To: 60 * ms}})
	require.EqualValues(t, (2+3)*Opportunity, re.capacity(0, 81*ms))
	require.Equal(t, 80*ms, re.next(39*ms))
	require.Equal(t, 41*ms, re.wait(39*ms))
}

// A trace of a single 1 is a constant 12 Mbit/s, whatever the size of packets.
func TestTraceConstant(t *testing.T) {
	r := run(t, &Scenario{
		Name: "constant", Duration: 10 * time.Second,
		Links: []Link{{Name: "link", Service: trace(t, "1\n"), Queue: Queue{Bytes: 50000}}},
		Flows: []Flow{{Name: "flow", New: cbr(15e6), Path: []int{0}}},
	})
	require.InEpsilon(t, 12e6, r.Flow("flow").Rate(time.Second, 9*time.Second), 1e-3)
	require.InDelta(t, 1, r.Link("link").Utilisation(time.Second, 9*time.Second), 1e-3)
}

func TestTraceRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":    "",
		"back":     "2\n1\n",
		"negative": "-1\n",
		"no time":  "0\n0\n",
		"words":    "1\nx\n",
		"late":     "86400001\n",
		"long":     "1\n" + strings.Repeat("0", 100) + "2\n",
	} {
		_, err := ReadTrace(strings.NewReader(text))
		require.Error(t, err, name)
	}
}

func FuzzReadTrace(f *testing.F) {
	f.Add("1\n")
	f.Add("0\n10\n40\n40\n")
	f.Add("5\r\n86400000")
	f.Fuzz(func(t *testing.T, text string) {
		tr, err := ReadTrace(strings.NewReader(text))
		if err != nil {
			return
		}
		// Moments never fall, and index finds the first at or after a moment.
		before := time.Duration(-1)
		for i := range int64(2*len(tr.at) + 1) {
			at := tr.moment(i)
			if at < before {
				t.Fatalf("opportunity %d at %v, after one at %v", i, at, before)
			}
			first := tr.index(at)
			if tr.moment(first) != at || first > i {
				t.Fatalf("index(%v) is %d, and not %d or less", at, first, i)
			}
			before = at
		}
	})
}

// An outage keeps what waits, or flushes it.
func TestOutage(t *testing.T) {
	for _, flush := range []bool{false, true} {
		r := run(t, &Scenario{
			Name: "outage", Duration: time.Second,
			Links: []Link{{
				Name: "link", Rate: 10e6,
				Outages: []Outage{{From: 2500 * time.Microsecond, To: 100 * ms, Flush: flush}},
			}},
			Flows: []Flow{
				{Name: "flow", New: bursts(5), Path: []int{0}},
				{Name: "later", New: bursts(1), Path: []int{0}, Start: 50 * ms},
			},
		})
		l := r.Link("link")
		// Two are served, the third stands half-served through the outage.
		if flush {
			require.EqualValues(t, 2, l.Dropped.Flushed)
			require.EqualValues(t, 4, l.Served)
		} else {
			require.EqualValues(t, 0, l.Dropped.Total())
			require.EqualValues(t, 6, l.Served)
			require.Equal(t, 100500*time.Microsecond, l.departures.at(2).at)
			require.Equal(t, 103500*time.Microsecond, l.departures.at(5).at)
		}
		require.InDelta(t, 10e6/8*.9025, l.Capacity(0, time.Second), 1)
	}
}

func TestPolicer(t *testing.T) {
	// 8 Mbit/s is 1000 bytes a millisecond.
	b := newBucket(&Policer{Rate: 8e6, Bytes: 3000})
	require.True(t, b.take(0, 1500))
	require.True(t, b.take(0, 1500))
	require.False(t, b.take(0, 1))
	require.False(t, b.take(ms-1, 1000))
	require.True(t, b.take(ms, 1000))
	require.False(t, b.take(ms, 1))
	// However long it rests, the bucket holds no more.
	require.True(t, b.take(time.Hour, 3000))
	require.False(t, b.take(time.Hour, 1))
	require.False(t, b.take(time.Hour+999, 1))
	require.True(t, b.take(time.Hour+1000, 1))
	require.False(t, b.take(2*time.Hour, 3001))

	r := run(t, &Scenario{
		Name: "policer", Duration: 10 * time.Second,
		Links: []Link{{Name: "link", Policer: &Policer{Rate: 5e6, Bytes: 30000}}},
		Flows: []Flow{{Name: "flow", New: cbr(10e6), Path: []int{0}}},
	})
	require.InDelta(t, 10*5e6/8+30000, r.Link("link").ServedBytes, 1250)
	require.Equal(t, r.Flow("flow").Dropped, r.Link("link").Dropped.Policed)
}
