package relay

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/reachback/reachback/internal/carrier"
)

const (
	// maxProbes bounds how many gateways are asked at once.
	maxProbes = 8
	// probeTimeout bounds the whole choice.
	probeTimeout = 2 * time.Second
	// minGrace is how long, at least, slower gateways may take after the first
	// answer. It is that answer's whole time otherwise: what takes more than
	// twice as long is not nearer.
	minGrace = 20 * time.Millisecond
)

// Nearest returns the gateways, base URLs, in the order in which they are to be
// tried: by the round trip of a health request, then those not asked, too slow to
// matter or cut off by ctx, in the order given, last those that refused or could not
// be reached. One gateway is not asked. It takes 2 s at most.
func (d *Dialer) Nearest(ctx context.Context, gateways []string) []string {
	if len(gateways) < 2 {
		return slices.Clone(gateways)
	}
	type probe struct {
		i    int
		took time.Duration
		err  error
	}
	probing, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	n := min(len(gateways), maxProbes)
	results := make(chan probe) // of which n are awaited below, so that no prober is left behind
	cd := &carrier.Dialer{TLS: d.TLS, NetDial: d.NetDial}
	for i, g := range gateways[:n] {
		go func() {
			took, err := cd.Probe(probing, g)
			results <- probe{i, took, err}
		}()
	}

	const unknown, unreachable = probeTimeout + 1, probeTimeout + 2
	rank := slices.Repeat([]time.Duration{unknown}, len(gateways))
	start := time.Now()
	var enough <-chan time.Time
	calledOff := false
	for left := n; left > 0; {
		select {
		case p := <-results:
			left--
			switch {
			case p.err == nil:
				rank[p.i] = min(p.took, probeTimeout)
				if enough == nil {
					enough = time.After(max(minGrace, time.Since(start)))
				}
			case !calledOff && ctx.Err() == nil:
				rank[p.i] = unreachable
			}
		case <-enough:
			calledOff = true
			cancel()
		}
	}
	order := make([]int, len(gateways))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rank[a], rank[b]) })
	sorted := make([]string, len(gateways))
	for i, j := range order {
		sorted[i] = gateways[j]
	}
	return sorted
}
