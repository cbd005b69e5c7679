package linksim

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The tests of the references reproduce what is published of each, or what an
// independent implementation in another simulator gave. That simulator counts the
// time of serving a packet as part of its queueing delay, and so does bottle.run.

// A bottle is one bottleneck and greedy flows through it.
type bottle struct {
	rate        int64
	rtt, buffer time.Duration
	service     Service // in the place of rate, which then sizes the buffer
	loss        float64
	every       int // of so many packets one is lost
	policer     *Policer
	duration    time.Duration
	from        time.Duration   // of what is measured
	stagger     time.Duration   // between the starts
	delays      []time.Duration // of each flow, one way, in addition
	feedback    Feedback
	packetBytes int
	flows       []func() Controller
}

// measured are delays in milliseconds, shares and losses from 0 to 1.
type measured struct {
	*Result
	utilisation, mean, p50, p95 float64
	loss, jain                  float64
	shares                      []float64
}

func (b *bottle) run(t *testing.T) measured {
	t.Helper()
	if raceDetector && b.rate >= 50e6 {
		t.Skip("nothing runs beside the simulator, and this run is long under the race detector")
	}
	sc := &Scenario{Name: t.Name(), Seed: 1, Duration: b.duration}
	l := Link{Name: "link", Delay: b.rtt / 2, Queue: Queue{Bytes: Buffer(b.rate, b.buffer)}, Policer: b.policer}
	if l.Service = b.service; l.Service == nil {
		l.Rate = b.rate
	}
	if b.every > 0 {
		l.Elements = []Element{everyNth{b.every}}
	}
	if b.loss > 0 {
		l.Elements = []Element{Loss{P: b.loss}}
	}
	sc.Links = []Link{l}
	for i, c := range b.flows {
		f := Flow{
			Name: fmt.Sprint("flow", i), New: func(time.Duration) Controller { return c() },
			Path: []int{0}, Start: time.Duration(i) * b.stagger, Feedback: b.feedback, PacketBytes: b.packetBytes,
		}
		if b.delays != nil {
			f.Delay = b.delays[i]
		}
		sc.Flows = append(sc.Flows, f)
	}
	r, err := Run(sc)
	require.NoError(t, err)

	q := r.Links[0].Queue(b.from, b.duration)
	service := float64(sc.Flows[0].packetBytes()) * 8 / float64(b.rate) * 1e3
	m := measured{Result: r, utilisation: r.Links[0].Utilisation(b.from, b.duration)}
	m.mean = q.Mean.Seconds()*1e3 + service
	m.p50 = q.P50.Seconds()*1e3 + service
	m.p95 = q.P95.Seconds()*1e3 + service
	var sum, squares float64
	for _, f := range r.Flows {
		rate := f.Rate(b.from, b.duration)
		m.shares = append(m.shares, rate)
		sum, squares = sum+rate, squares+rate*rate
		m.loss += f.Loss(b.from, b.duration) / float64(len(r.Flows))
	}
	m.jain = sum * sum / squares / float64(len(r.Flows))
	for i := range m.shares {
		m.shares[i] /= sum
	}
	return m
}

// want is what is to be reproduced: the utilisation within two hundredths, and the
// median and the 95th percentile of the queueing delay within a factor.
type want struct{ utilisation, p50, p95, factor float64 }

func (w want) check(t *testing.T, m measured) {
	t.Helper()
	t.Logf("utilisation %.3f, queue %.1f ms, p95 %.1f ms, loss %.4f, Jain %.3f", m.utilisation, m.p50, m.p95, m.loss, m.jain)
	require.InDelta(t, w.utilisation, m.utilisation, 0.02, "utilisation")
	require.LessOrEqual(t, max(m.p50/w.p50, w.p50/m.p50), w.factor, "median %.1f ms instead of %.1f", m.p50, w.p50)
	require.LessOrEqual(t, max(m.p95/w.p95, w.p95/m.p95), w.factor, "p95 %.1f ms instead of %.1f", m.p95, w.p95)
}

// several returns so many of the same.
func several(n int, c func() Controller) (flows []func() Controller) {
	for range n {
		flows = append(flows, c)
	}
	return flows
}

// recordedTrace opens one of the cellular recordings of the mahimahi project, which
// are not part of this module: REACHBACK_TESTDATA names the directory in whose
// folder traces they lie.
func recordedTrace(t *testing.T, name string) *Trace {
	t.Helper()
	dir := os.Getenv("REACHBACK_TESTDATA")
	if dir == "" {
		t.Skip("REACHBACK_TESTDATA is not set: recordings of cellular links, from the mahimahi project")
	}
	f, err := os.Open(filepath.Join(dir, "traces", name))
	require.NoError(t, err)
	defer f.Close()
	trace, err := ReadTrace(f)
	require.NoError(t, err)
	return trace
}

// variable is the capacity of RFC 8867 section 5.1: one flow, 50 ms each way, a
// queue of 300 ms.
func variable() (Steps, time.Duration) {
	return Steps{{0, 1e6}, {40 * time.Second, 2.5e6}, {60 * time.Second, 600e3}, {80 * time.Second, 1e6}}, 100 * time.Second
}

// everyNth loses one packet of so many, which is what the models of windows under
// loss assume.
type everyNth struct{ n int }

func (everyNth) check() error  { return nil }
func (everyNth) kind() string  { return "every" }
func (everyNth) label() string { return "" }

func (e everyNth) node(_ *sim, at element, out node) node {
	return &nthNode{n: e.n, link: at.link, out: out}
}

type nthNode struct {
	n, i int
	link *link
	out  node
}

func (d *nthNode) push(s *sim, p uint32) {
	if d.i++; d.i%d.n == 0 {
		s.drop(p, d.link, dropElement)
		return
	}
	d.out.push(s, p)
}

// TestReferencesOverUDP2: what RDP-UDP tells a sender, rounded and with gaps, is
// enough for every reference to do as well as with all there is to know.
func TestReferencesOverUDP2(t *testing.T) {
	for name, c := range map[string]func() Controller{"reno": reno, "cubic": cubic, "copa": copa, "bbr": bbr, "nada": nada} {
		for _, loss := range []float64{0, 0.01} {
			b := bottle{
				rate: 10e6, rtt: 40 * ms, buffer: 100 * ms, loss: loss, duration: 30 * time.Second, from: 5 * time.Second,
				flows: several(1, c),
			}
			if name == "nada" {
				b.rate, b.from = 1e6, 10*time.Second
			}
			ideal := b.run(t)
			b.feedback.Kind = RDPUDP2
			m := b.run(t)
			require.InDelta(t, ideal.utilisation, m.utilisation, 0.04, name)
			require.InDelta(t, ideal.p50, m.p50, 3+0.2*ideal.p50, name)
			require.Less(t, m.p95, 1.2*ideal.p95+6, name)
		}
	}
}
