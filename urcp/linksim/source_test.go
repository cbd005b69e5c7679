package linksim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/urcp"
)

func unlimited(time.Duration) Controller { return Unlimited{} }

// source runs a source for so long on a link and returns the flow.
func sourceRun(t *testing.T, d time.Duration, l Link, f Flow) *FlowResult {
	t.Helper()
	l.Name, f.Name, f.Path = "link", "flow", []int{0}
	return run(t, &Scenario{Name: "source", Seed: 5, Duration: d, Links: []Link{l}, Flows: []Flow{f}}).Flows[0]
}

func TestFrames(t *testing.T) {
	v := Frames{Rate: 2400e3, KeyEvery: 2 * time.Second, KeyFactor: 6, Deviation: .1}
	f := sourceRun(t, 101*time.Second, Link{Rate: 100e6, Delay: 20 * ms}, Flow{New: unlimited, Source: v, Stop: 100 * time.Second})
	require.Len(t, f.Messages, 3000)
	require.InEpsilon(t, 2400e3, float64(f.DeliveredBytes)*8/100, .02)
	// Of 60 frames 59 are of one size and one of six: 10,000 bytes * 60/65, and six times that.
	var key, other, keys float64
	for i, m := range f.Messages {
		require.Equal(t, time.Duration(int64(i)*1e9/30), m.Made)
		if i%60 == 0 {
			key += float64(m.Bytes)
			keys++
		} else {
			other += float64(m.Bytes)
		}
	}
	require.InEpsilon(t, 6*10000*60/65, key/keys, .05)
	require.InEpsilon(t, 10000*60/65, other/(3000-keys), .01)
	// 9,230 bytes at 100 Mbit/s and 20 ms.
	require.InDelta(t, float64(20738*time.Microsecond), float64(f.Latency(0, time.Hour).P50), float64(50*time.Microsecond))
}

// What is lost is repeated, and delivered late but in its order.
func TestFramesLost(t *testing.T) {
	f := sourceRun(t, 62*time.Second,
		Link{Rate: 100e6, Delay: 20 * ms, Elements: []Element{Loss{P: .05}}},
		Flow{New: unlimited, Source: Frames{Rate: 1e6}, Pauses: []Interval{{60 * time.Second, 62 * time.Second}}})
	require.NotZero(t, f.Dropped)
	var bytes int64
	last := time.Duration(0)
	for _, m := range f.Messages {
		require.Positive(t, m.Done)
		require.GreaterOrEqual(t, m.Done, last)
		last = m.Done
		bytes += m.Bytes
	}
	require.Equal(t, bytes, f.DeliveredBytes)
	l := f.Latency(0, time.Hour)
	require.Less(t, l.P50, 25*ms)
	require.Greater(t, l.P95, 60*ms)
}

// What was taken for lost is repeated, unless the sender hears of it before; what comes
// twice counts once; and a message is done after those before it.
func TestStream(t *testing.T) {
	sc := &Scenario{Duration: time.Second, Flows: []Flow{{Name: "flow"}}}
	f := &flow{cfg: &sc.Flows[0], result: newResult(sc).Flows[0]}
	st := newStream(f)
	st.add(0, 1300)
	st.add(ms, 700)
	var chunks []int32
	for _, want := range []int{1250, 50, 700} {
		require.Equal(t, want, st.ready(nil, nil))
		c, greedy := st.take(nil, nil, want)
		require.False(t, greedy)
		chunks = append(chunks, c)
	}
	require.Zero(t, st.ready(nil, nil))

	st.lost(&flight{chunk: chunks[0]})
	st.lost(&flight{chunk: chunks[1]})
	require.Equal(t, 1250, st.ready(nil, nil))
	st.acked(&flight{chunk: chunks[0]})
	require.Equal(t, 50, st.ready(nil, nil))
	again, _ := st.take(nil, nil, 50)
	require.Equal(t, chunks[1], again)

	st.arrived(&sim{now: 2 * ms}, chunks[0])
	st.arrived(&sim{now: 3 * ms}, chunks[2])
	require.Negative(t, f.result.Messages[1].Done)
	st.arrived(&sim{now: 4 * ms}, chunks[0])
	st.arrived(&sim{now: 5 * ms}, chunks[1])
	st.arrived(&sim{now: 6 * ms}, chunks[1])
	require.Equal(t, []Message{{0, 1300, 5 * ms}, {ms, 700, 5 * ms}}, f.result.Messages)
	require.True(t, st.all())
}

// A message that never arrives counts with the time until the end.
func TestLatencyOfTheLost(t *testing.T) {
	f := sourceRun(t, 10*time.Second, Link{Service: Steps{{0, 1e6}, {5 * time.Second, 0}}},
		Flow{New: unlimited, Source: Frames{FPS: 1, Rate: 1e4}})
	l := f.Latency(5500*ms, 7*time.Second)
	require.Equal(t, 4*time.Second, l.Max)
	require.Negative(t, f.Messages[6].Done)
}

// hinted is a controller that tells its encoder what to make.
type hinted struct {
	Unlimited
	rate int64
}

func (h *hinted) TargetBitrate() int64 { return h.rate }

func TestFramesFollowTheController(t *testing.T) {
	for rate, want := range map[int64]float64{1e5: 15e4, 1e6: 1e6, 9e6: 15e5} {
		f := sourceRun(t, 20*time.Second, Link{Rate: 100e6}, Flow{
			New:    func(time.Duration) Controller { return &hinted{rate: rate} },
			Source: Frames{Rate: 3e5, Min: 150e3, Max: 1500e3},
		})
		require.InEpsilon(t, want, f.Rate(0, 20*time.Second), .01)
	}
}

// An encoder that cannot get rid of its frames leaves some out.
func TestFramesSkipped(t *testing.T) {
	f := sourceRun(t, 20*time.Second, Link{Rate: 100e6}, Flow{New: cbr(5e5), Source: Frames{Rate: 1e6}})
	require.InDelta(t, 300, f.Skipped, 20)
	require.Less(t, f.Latency(10*time.Second, 18*time.Second).Max, 1200*ms)
}

func TestDesktop(t *testing.T) {
	f := sourceRun(t, 600*time.Second, Link{Rate: 100e6, Delay: ms}, Flow{New: unlimited, Source: Desktop{Video: 8e6}})
	var small, scroll, video int
	for _, m := range f.Messages {
		switch {
		case m.Bytes == 33333:
			video++
		case m.Bytes >= 200e3 && m.Bytes <= 500e3:
			scroll++
		case m.Bytes <= 600:
			small++
		}
	}
	require.Equal(t, len(f.Messages), small+scroll+video)
	require.Greater(t, small, 200)
	require.Greater(t, scroll, 20)
	require.Greater(t, video, 1000)
	// A scene lasts 5 s on average and is video for a quarter of the time.
	require.InDelta(t, 8e6/4+350e3*8/1.5/4, f.Rate(0, 600*time.Second), 8e5)
}

// counting tells how many controllers were made, and that each gets word of its own
// packets only.
type counting struct {
	Reno
	first  uint64
	begun  bool
	strays *int
}

func (c *counting) OnSent(now time.Duration, p urcp.Packet) {
	if !c.begun {
		c.begun, c.first = true, p.Seq
	}
	c.Reno.OnSent(now, p)
}

func (c *counting) OnFeedback(now time.Duration, f *urcp.Feedback) {
	for _, a := range f.Acked {
		if a.Seq < c.first {
			*c.strays++
		}
	}
	c.Reno.OnFeedback(now, f)
}

func TestOnOff(t *testing.T) {
	made, strays := 0, 0
	f := sourceRun(t, 300*time.Second,
		Link{Rate: 10e6, Delay: 10 * ms, Queue: Queue{Bytes: 30e3}},
		Flow{
			Source: OnOff{Off: 500 * ms},
			New: func(time.Duration) Controller {
				made++
				return &counting{strays: &strays}
			},
		})
	require.Equal(t, made, len(f.Messages))
	require.Zero(t, strays)
	require.InDelta(t, 275, made, 50)
	require.NotZero(t, f.Dropped)
	for i, m := range f.Messages {
		require.GreaterOrEqual(t, m.Bytes, int64(100e3))
		require.LessOrEqual(t, m.Bytes, int64(1e6))
		if i > 0 {
			// The sender hears of the end 10 ms later at the earliest.
			require.GreaterOrEqual(t, m.Made, f.Messages[i-1].Done+10*ms)
		}
	}
}

// Transfers go on whatever is lost, repeated and delayed, and with either feedback.
func TestOnOffOverBadLinks(t *testing.T) {
	for _, kind := range []FeedbackKind{Ideal, RDPUDP2} {
		f := sourceRun(t, 300*time.Second,
			Link{Rate: 10e6, Delay: 10 * ms, Elements: []Element{
				Loss{P: .02}, Reorder{P: .05, By: 30 * ms}, Duplicate{P: .05, After: 3 * ms},
			}},
			Flow{
				Source: OnOff{Off: 2 * time.Second, Late: true}, Feedback: Feedback{Kind: kind},
				New: func(time.Duration) Controller { return &CBR{Rate: 5e6} },
			})
		require.Greater(t, len(f.Messages), 60)
		require.NotZero(t, f.Spurious)
		require.Greater(t, f.Messages[len(f.Messages)-1].Made, 280*time.Second)
		require.Greater(t, f.Messages[0].Made, time.Duration(0))
	}
}

// A packet that comes when its transfer is over is no business of the next one's
// controller.
func TestLaterTransfersAreApart(t *testing.T) {
	for _, kind := range []FeedbackKind{Ideal, RDPUDP2} {
		strays := 0
		f := sourceRun(t, 60*time.Second,
			Link{Rate: 10e6, Delay: 10 * ms, Elements: []Element{Reorder{P: .05, By: 500 * ms}}},
			Flow{
				Source: OnOff{Off: 10 * ms}, Feedback: Feedback{Kind: kind},
				New: func(time.Duration) Controller { return &counting{strays: &strays} },
			})
		require.Greater(t, len(f.Messages), 10)
		require.Zero(t, strays)
	}
}

func TestPoisson(t *testing.T) {
	f := sourceRun(t, 1000*time.Second, Link{Rate: 100e6}, Flow{New: unlimited, Source: Poisson{Rate: 1e6}})
	require.InEpsilon(t, 1e6, f.Rate(0, 1000*time.Second), .02)
	// Of exponential gaps 1/e are longer than the mean, which is 10 ms.
	long := 0
	for i := 1; i < f.arrivals.n; i++ {
		if f.arrivals.at(i).at-f.arrivals.at(i-1).at > 10*ms {
			long++
		}
	}
	require.InDelta(t, .3679, float64(long)/float64(f.arrivals.n), .005)
}

// A paused source makes nothing, and goes on at the end of the pause.
func TestPauses(t *testing.T) {
	for name, f := range map[string]Flow{
		"greedy":  {New: cbr(1e6)},
		"frames":  {New: unlimited, Source: Frames{Rate: 1e6}},
		"poisson": {New: unlimited, Source: Poisson{Rate: 1e6}},
	} {
		t.Run(name, func(t *testing.T) {
			f.Pauses = []Interval{{3 * time.Second, 6 * time.Second}}
			r := sourceRun(t, 10*time.Second, Link{}, f)
			require.InEpsilon(t, 1e6, r.Rate(0, 3*time.Second), .15)
			require.Zero(t, r.Rate(3001*ms, 6*time.Second))
			require.InEpsilon(t, 1e6, r.Rate(6*time.Second, 10*time.Second), .15)
		})
	}
}

// A flow that has stopped sends nothing more, not even what was lost.
func TestStop(t *testing.T) {
	f := sourceRun(t, 10*time.Second, Link{Rate: 1e6, Delay: 50 * ms, Elements: []Element{Loss{P: .1}}},
		Flow{New: unlimited, Source: Frames{Rate: 5e5}, Start: 2 * time.Second, Stop: 4 * time.Second})
	require.Zero(t, f.Rate(0, 2*time.Second))
	require.NotZero(t, f.Rate(2*time.Second, 4*time.Second))
	require.Zero(t, f.Rate(4200*ms, 10*time.Second))
}
