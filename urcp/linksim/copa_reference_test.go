package linksim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
)

func copa() Controller { return &Copa{} }

// defaultCopa never changes its mode.
func defaultCopa() Controller { return &Copa{NoSwitching: true} }

// TestCopaQueue reproduces an independent implementation of the default mode: the
// link is full, and five packets wait, some 2.5/δ (section 3 of the paper). The two
// agree best where feedback comes often.
func TestCopaQueue(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    bottle
		want want
	}{
		{"10 Mbit/s, 1 BDP", bottle{rate: 10e6, rtt: 40 * ms, buffer: 40 * ms}, want{.996, 6.6, 10.0, 1.4}},
		{"10 Mbit/s, 300 ms", bottle{rate: 10e6, rtt: 40 * ms, buffer: 300 * ms}, want{.996, 6.6, 10.0, 1.4}},
		{"100 Mbit/s", bottle{rate: 100e6, rtt: 20 * ms, buffer: 50 * ms, duration: 20 * time.Second}, want{1, 0.7, 1.1, 1.6}},
		{"1 Mbit/s", bottle{rate: 1e6, rtt: 100 * ms, buffer: 300 * ms}, want{.992, 35, 56, 1.2}},
		{"1 % loss", bottle{rate: 10e6, rtt: 40 * ms, buffer: 300 * ms, loss: 0.01}, want{.995, 6.7, 10.3, 1.4}},
		{"5 % loss", bottle{rate: 10e6, rtt: 40 * ms, buffer: 300 * ms, loss: 0.05}, want{.987, 7.0, 11, 1.4}},
		{"4 flows", bottle{
			rate: 20e6, rtt: 40 * ms, buffer: 300 * ms, stagger: 5 * time.Second, from: 20 * time.Second,
			flows: several(4, defaultCopa),
		}, want{.996, 6.0, 10.4, 1.3}},
		{"10 flows", bottle{
			rate: 50e6, rtt: 40 * ms, buffer: 200 * ms, from: 10 * time.Second, duration: 30 * time.Second,
			flows: several(10, defaultCopa),
		}, want{.996, 4.9, 9.3, 1.3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.b.duration == 0 {
				tt.b.duration = 60 * time.Second
			}
			if tt.b.flows == nil {
				tt.b.flows = several(1, defaultCopa)
			}
			m := tt.b.run(t)
			tt.want.check(t, m)
			require.Greater(t, m.jain, 0.999)

			// Alone, the switching flow is as good, for it has no reason to switch.
			if len(tt.b.flows) == 1 {
				tt.b.flows = several(1, copa)
				tt.want.check(t, tt.b.run(t))
			}
		})
	}
}

// TestCopaLongPath: 50 Mbit/s over 200 ms with half a bandwidth-delay product of
// buffer, where the independent implementation used 94.4 % and lost 1.4 %, at 1.4 ms
// in the median, is no worse here.
func TestCopaLongPath(t *testing.T) {
	b := bottle{rate: 50e6, rtt: 200 * ms, buffer: 100 * ms, duration: 120 * time.Second, flows: several(1, defaultCopa)}
	m := b.run(t)
	require.Greater(t, m.utilisation, 0.93)
	require.Less(t, m.loss, 0.016)
	require.InDelta(t, 1.4, m.p50, 0.5)
	require.Less(t, m.p95, 60.0)
}

// TestCopaShortPath: where the path is shorter than a packet takes to be served, a
// window over a round trip is far above the rate, and the flow must not be misled
// into seeing another in its own queue.
func TestCopaShortPath(t *testing.T) {
	b := bottle{rate: 10e6, rtt: ms, buffer: 50 * ms, duration: 20 * time.Second, flows: several(1, copa)}
	m := b.run(t)
	require.Greater(t, m.utilisation, 0.98)
	require.Less(t, m.p95, 6.0)
}

// TestCopaAmongCopas: flows that may switch share as those that may not, and do not
// take one another for a flow that fills the buffer.
func TestCopaAmongCopas(t *testing.T) {
	for _, n := range []int{2, 4, 10} {
		b := bottle{
			rate: int64(n) * 5e6, rtt: 40 * ms, buffer: 300 * ms, duration: 60 * time.Second, from: 20 * time.Second,
			stagger: 500 * ms, flows: several(n, copa),
		}
		m := b.run(t)
		want{.996, 6, 10, 1.6}.check(t, m)
		require.Greater(t, m.jain, 0.99)
	}
}

// TestCopaAndCubic is what the competitive mode is for: the paper shows Copa sharing
// a bottleneck with Cubic where one that stays in the default mode is starved, down
// to 2.7, 6.0 and 2.0 % here in an independent implementation.
func TestCopaAndCubic(t *testing.T) {
	for _, tt := range []struct {
		name          string
		b             bottle
		cubics        int
		starved, fair float64
	}{
		{"300 ms", bottle{rate: 10e6, rtt: 40 * ms, buffer: 300 * ms}, 1, .027, .5},
		{"100 ms", bottle{rate: 10e6, rtt: 40 * ms, buffer: 100 * ms}, 1, .060, .5},
		{"two Cubics", bottle{rate: 50e6, rtt: 40 * ms, buffer: 50 * ms}, 2, .020, 1. / 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.b.duration, tt.b.from = 60*time.Second, 10*time.Second
			tt.b.stagger = time.Second
			others := several(tt.cubics, cubic)
			tt.b.flows = append(several(1, defaultCopa), others...)
			require.InDelta(t, tt.starved, tt.b.run(t).shares[0], 0.03)
			tt.b.flows = append(several(1, copa), others...)
			share := tt.b.run(t).shares[0]
			t.Logf("share %.2f", share)
			require.Greater(t, share, 0.6*tt.fair)
			require.Less(t, share, 1.6*tt.fair)
		})
	}
}

// TestCopaReturns: when the Cubic flow has gone, the queue is short again within a
// second. Behind a deeper buffer, which Cubic does not empty in ten seconds, it is
// not: the smallest round trip of ten seconds then has a queue in it.
func TestCopaReturns(t *testing.T) {
	c := &Copa{}
	r, err := Run(&Scenario{
		Name: "returns", Duration: 60 * time.Second,
		Links: []Link{{Name: "link", Rate: 10e6, Delay: 20 * ms, Queue: Queue{Bytes: Buffer(10e6, 80*ms)}}},
		Flows: []Flow{
			{Name: "copa", New: func(time.Duration) Controller { return c }, Path: []int{0}},
			{Name: "cubic", New: func(time.Duration) Controller { return cubic() }, Path: []int{0}, Start: 10 * time.Second, Stop: 40 * time.Second},
		},
	})
	require.NoError(t, err)
	require.Less(t, r.Links[0].Queue(5*time.Second, 10*time.Second).P95, 12*ms)
	require.Greater(t, r.Links[0].Queue(20*time.Second, 40*time.Second).P50, 40*ms)
	require.Less(t, r.Links[0].Queue(41*time.Second, 60*time.Second).P95, 12*ms)
	require.Positive(t, r.Flow("copa").Competitions)
	require.Equal(t, urcp.Steady, c.Snapshot().Mode)
}

// TestCopaMixedRTT: five flows with 20 to 300 ms of path; the independent
// implementation had a Jain index of 0.959, with 67 ms in the median and 90 at p95.
func TestCopaMixedRTT(t *testing.T) {
	b := bottle{
		rate: 4e6, buffer: 300 * ms, duration: 200 * time.Second, from: 100 * time.Second, stagger: 10 * time.Second,
		delays: []time.Duration{10 * ms, 25 * ms, 50 * ms, 100 * ms, 150 * ms}, flows: several(5, defaultCopa),
	}
	m := b.run(t)
	want{1, 67, 90, 1.7}.check(t, m)
	require.InDelta(t, 0.959, m.jain, 0.02)
}

// TestCopaPolicer: a policer shows no delay, so that the paper's Copa runs away, and
// 99 % was lost in an independent implementation. Its authors' code stops that.
func TestCopaPolicer(t *testing.T) {
	b := bottle{
		rate: 1e9, rtt: 40 * ms, buffer: 50 * ms, policer: &Policer{Rate: 5e6, Bytes: 30_000},
		duration: 8 * time.Second, from: 4 * time.Second,
		flows: several(1, func() Controller { return &Copa{NoLossLimit: true, MaxWindow: 2000 * defaultMSS} }),
	}
	require.Greater(t, b.run(t).loss, 0.98)
	b.flows = several(1, defaultCopa)
	m := b.run(t)
	require.Less(t, m.loss, 0.9)
	require.InDelta(t, 5e6, m.Flows[0].Rate(b.from, b.duration), 0.1e6)
}

// TestCopaVariable is RFC 8867 section 5.1; an independent implementation had 98.4 %
// of the capacity at 27 ms in the median and 59 ms at p95.
func TestCopaVariable(t *testing.T) {
	b := bottle{rate: 1e6, rtt: 100 * ms, buffer: 300 * ms, flows: several(1, defaultCopa)}
	b.service, b.duration = variable()
	want{.984, 27, 59, 1.3}.check(t, b.run(t))
}

// TestCopaCellular: utilisation, median and p95 of an independent implementation
// over recorded cellular links with 40 ms of path and a buffer of 4 MiB.
func TestCopaCellular(t *testing.T) {
	for name, w := range map[string]want{
		"TMobile-LTE-short.down": {.70, 7.4, 69, 1.5},
		"Verizon-LTE-short.down": {.81, 10, 54, 1.5},
		"Verizon-LTE-short.up":   {.83, 9.7, 51, 1.5},
	} {
		t.Run(name, func(t *testing.T) {
			b := bottle{
				rate: 1e9, service: recordedTrace(t, name), rtt: 40 * ms, duration: 140 * time.Second,
				buffer: 4 << 20 * 8 * time.Nanosecond, flows: several(1, defaultCopa),
			}
			m := b.run(t)
			// Ours gets more out of the links, which makes the reference stronger.
			t.Logf("utilisation %.3f", m.utilisation)
			require.InDelta(t, w.utilisation, m.utilisation, 0.05)
			w.utilisation = m.utilisation
			w.check(t, m)
		})
	}
}
