package urcp

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPathMemory(t *testing.T) {
	c, _ := settledController(t)
	p := c.Path()
	require.InDelta(t, 10e6, p.Rate, 2e6)
	require.InDelta(t, 41*ms, p.RTT, float64(ms))

	half := float64(p.Rate) / 8 / 2 * p.RTT.Seconds()
	resumed := New(p.At+time.Minute, Config{MSS: 1250, Memory: &p})
	require.InDelta(t, half, resumed.Window(), 1300)
	l := newLink(10e6, 20*ms, 200*ms)
	l.shift = p.At + time.Minute
	st := l.run(resumed, 0, 5*time.Second)
	require.Greater(t, float64(st.bytes)*8/5, 0.95*10e6)
	require.Less(t, st.quantile(0.95), 25*ms)
	require.InDelta(t, 41*ms, resumed.Snapshot().BaseRTT, float64(ms))
	require.InDelta(t, 10e6, resumed.Snapshot().Rate, 2e6)
}

// TestDamagedPathMemory: what a store makes of a Path, or the caller of its clock,
// leaves a controller as one without any memory.
func TestDamagedPathMemory(t *testing.T) {
	good := Path{At: time.Hour, Rate: 10e6, RTT: 40 * ms, Lumps: 0.5, Rest: 5 * ms, Jitter: 3 * ms}
	fresh := func(p *Path) Snapshot { return New(time.Hour+time.Minute, Config{MSS: 1250, Memory: p}).Snapshot() }
	want := fresh(nil)
	require.NotEqual(t, want, fresh(&good))
	for name, damage := range map[string]func(*Path){
		"too old":                     func(p *Path) { p.At = time.Hour - 9*time.Minute - 1 },
		"older than there is":         func(p *Path) { p.At = math.MinInt64 },
		"from the future":             func(p *Path) { p.At = time.Hour + time.Minute + 1 },
		"no rate":                     func(p *Path) { p.Rate = 0 },
		"a rate below zero":           func(p *Path) { p.Rate = -1 },
		"no round trip":               func(p *Path) { p.RTT = 0 },
		"a round trip below zero":     func(p *Path) { p.RTT = -40 * ms },
		"a round trip of years":       func(p *Path) { p.RTT = math.MaxInt64 },
		"more than all in lumps":      func(p *Path) { p.Lumps = 1.1 },
		"less than none in lumps":     func(p *Path) { p.Lumps = -0.1 },
		"lumps that are no number":    func(p *Path) { p.Lumps = math.NaN() },
		"a rest that hides a queue":   func(p *Path) { p.Rest = time.Second },
		"a rest below zero":           func(p *Path) { p.Rest = -1 },
		"a jitter that hides a queue": func(p *Path) { p.Jitter = time.Second },
		"a jitter below zero":         func(p *Path) { p.Jitter = -1 },
	} {
		p := good
		damage(&p)
		require.Equal(t, want, fresh(&p), name)
	}
	fast := good
	fast.Rate = math.MaxInt64
	require.LessOrEqual(t, fresh(&fast).Window, 1<<30)
}

// TestWrongPathMemory: a path that is another by now, shorter, longer, slower or without
// noise, is soon known for what it is.
func TestWrongPathMemory(t *testing.T) {
	for name, p := range map[string]Path{
		"was longer":  {Rate: 10e6, RTT: 200 * ms},
		"was shorter": {Rate: 10e6, RTT: ms},
		"was faster":  {Rate: 100e6, RTT: 41 * ms},
		"was slower":  {Rate: 100e3, RTT: 41 * ms},
		"had noise":   {Rate: 10e6, RTT: 41 * ms, Lumps: 1, Rest: seconds(maxBias), Jitter: seconds(maxBias)},
	} {
		c := New(0, Config{MSS: 1250, Memory: &p})
		st := newLink(10e6, 20*ms, 200*ms).run(c, 10*time.Second, 30*time.Second)
		require.Greater(t, float64(st.bytes)*8/20, 0.95*10e6, name)
		require.Less(t, st.quantile(0.95), 15*ms, name)
	}
}
