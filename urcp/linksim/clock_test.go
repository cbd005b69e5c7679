package linksim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClock(t *testing.T) {
	fast := Clock{Offset: 5 * time.Second, PPM: 100}
	require.Equal(t, 5*time.Second, fast.read(0))
	// 100 millionths of ten minutes are 60 ms.
	require.Equal(t, 605*time.Second+60*ms, fast.read(10*time.Minute))
	slow := Clock{PPM: -100}
	require.Equal(t, 10*time.Minute-60*ms, slow.read(10*time.Minute))

	stepped := Clock{Steps: []ClockStep{{At: time.Second, By: 50 * ms}, {At: 2 * time.Second, By: -80 * ms}}}
	require.Equal(t, time.Second-1, stepped.read(time.Second-1))
	require.Equal(t, time.Second+50*ms, stepped.read(time.Second))
	require.Equal(t, 2*time.Second-30*ms, stepped.read(2*time.Second))

	ticks := Clock{Granularity: 15625 * time.Microsecond}
	require.Equal(t, 15625*time.Microsecond, ticks.read(31249*time.Microsecond))
	require.Equal(t, 31250*time.Microsecond, ticks.read(31250*time.Microsecond))
	require.Equal(t, -ticks.Granularity, (&Clock{
		Granularity: ticks.Granularity, Steps: []ClockStep{{By: -ms}},
	}).read(0))
}

// when is the first moment at which the clock shows the time asked for.
func TestClockWhen(t *testing.T) {
	for name, c := range map[string]Clock{
		"plain":   {},
		"fast":    {Offset: time.Hour, PPM: 1000},
		"slow":    {PPM: -1000},
		"ticks":   {Granularity: 15625 * time.Microsecond},
		"stepped": {Offset: time.Second, PPM: 37, Steps: []ClockStep{{At: 3 * time.Second, By: 50 * ms}}},
		"both":    {PPM: -100, Granularity: ms, Steps: []ClockStep{{At: time.Second, By: 3 * time.Second}}},
	} {
		for _, ahead := range []time.Duration{0, 1, 999, ms, 7 * time.Second, time.Hour} {
			now := 2 * time.Second
			local := c.read(now) + ahead
			at := c.when(now, local)
			require.GreaterOrEqual(t, at, now, name)
			require.GreaterOrEqual(t, c.read(at), local, "%s, %v ahead", name, ahead)
			if at > now {
				require.Less(t, c.read(at-1), local, "%s, %v ahead", name, ahead)
			}
		}
	}
}

// A receiver's clock changes what feedback says and nothing else.
func TestReceiverClock(t *testing.T) {
	scenario := func(c Clock, spy *spy) *Scenario {
		return &Scenario{
			Name: "clock", Duration: time.Second,
			Links: []Link{{Name: "link", Rate: 10e6, Delay: 20 * ms}},
			Flows: []Flow{{
				Name: "flow", Path: []int{0}, Receiver: c,
				New: func(time.Duration) Controller { spy.CBR.Rate = 1e6; return spy },
			}},
		}
	}
	var plain, off spy
	run(t, scenario(Clock{}, &plain))
	run(t, scenario(Clock{Offset: time.Hour, PPM: 100, Steps: []ClockStep{{At: 500 * ms, By: -ms}}}, &off))
	require.Len(t, off.acked, len(plain.acked))
	for i, a := range plain.acked {
		want := time.Hour + a.Received + a.Received/10000
		if a.Received >= 500*ms {
			want -= ms
		}
		require.Equal(t, want, off.acked[i].Received)
	}
	require.Equal(t, plain.rtts, off.rtts)
}
