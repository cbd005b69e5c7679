package linksim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func bbr() Controller { return &BBR{} }

// TestBBRLoss: full rate up to some 5 % random loss, its authors' figure, and the
// loss where a probe at 1.25 no longer makes up for it, near 20 %, is its end.
func TestBBRLoss(t *testing.T) {
	b := bottle{rate: 10e6, rtt: 40 * ms, buffer: 300 * ms, duration: 60 * time.Second, from: 5 * time.Second, flows: several(1, bbr)}
	for _, loss := range []float64{0, 0.01, 0.05} {
		b.loss = loss
		require.Greater(t, b.run(t).utilisation, 0.95)
	}
	b.loss = 0.25
	require.Less(t, b.run(t).utilisation, 0.6)
}

// TestBBRQueue: one flow keeps a short queue; several overestimate the bandwidth,
// come to the limit of two bandwidth-delay products in flight, and so keep one
// bandwidth-delay product in the queue.
func TestBBRQueue(t *testing.T) {
	b := bottle{rate: 20e6, rtt: 40 * ms, buffer: 300 * ms, duration: 60 * time.Second, from: 20 * time.Second}
	b.flows = several(1, bbr)
	require.Less(t, b.run(t).p50, 10.0)
	for _, n := range []int{2, 4, 8} {
		b.flows, b.stagger = several(n, bbr), 300*ms
		m := b.run(t)
		t.Logf("%d flows: %.1f ms, Jain %.3f", n, m.p50, m.jain)
		require.InEpsilon(t, 40, m.p50, 0.35)
		require.Greater(t, m.jain, 0.9)
	}
}

// TestBBRDips: some ten seconds after it last saw the path's own round trip a flow
// falls to four packets for 200 ms, which empties the queue and costs 2 %.
func TestBBRDips(t *testing.T) {
	b := bottle{rate: 20e6, rtt: 40 * ms, buffer: 300 * ms, duration: 60 * time.Second, flows: several(1, bbr)}
	m := b.run(t)
	dips := 0
	for at := 2 * time.Second; at < b.duration; at += 100 * ms {
		if m.Flows[0].Rate(at, at+100*ms) < 10e6 && m.Flows[0].Rate(at-100*ms, at) >= 10e6 {
			dips++
		}
	}
	require.Equal(t, 5, dips)
	require.InDelta(t, 0.98, m.utilisation, 0.01)
}

// TestBBRShallow: what made version 1 infamous: behind a buffer of a tenth of a
// bandwidth-delay product several flows lose many packets and do not mind.
func TestBBRShallow(t *testing.T) {
	b := bottle{rate: 50e6, rtt: 40 * ms, buffer: 4 * ms, duration: 30 * time.Second, from: 5 * time.Second, stagger: 130 * ms}
	b.flows = several(4, bbr)
	m := b.run(t)
	require.Greater(t, m.loss, 0.04)
	require.Greater(t, m.utilisation, 0.97)
	b.flows = several(4, cubic)
	require.Less(t, b.run(t).loss, 0.005)
}

// TestBBRAndCubics: one flow holds some half of the link, however many Cubic flows
// there are: what it keeps in flight does not depend on them. Measurements found 40 %
// (Ware, Mukerjee, Seshan and Sherry, IMC 2019); behind a deeper buffer it is less.
func TestBBRAndCubics(t *testing.T) {
	b := bottle{rate: 50e6, rtt: 40 * ms, buffer: 120 * ms, duration: 40 * time.Second, from: 15 * time.Second, stagger: 130 * ms}
	for _, n := range []int{1, 4, 16} {
		b.flows = append(several(1, bbr), several(n, cubic)...)
		share := b.run(t).shares[0]
		t.Logf("against %d: %.2f", n, share)
		require.Greater(t, share, 0.3)
		require.Less(t, share, 0.7)
	}
}
