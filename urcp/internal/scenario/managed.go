package scenario

import (
	"github.com/reachback/reachback/urcp"
	"github.com/reachback/reachback/urcp/linksim"
)

// managed are queues that drop or mark before they are full.
func managed() []Scenario {
	var all []Scenario
	for _, x := range []struct {
		name, shows string
		aqm         linksim.AQM
		ecn         linksim.ECN
		means       urcp.ECN
	}{
		{"CoDel", "A queue that drops from 5 ms on; a short queue never meets it.", linksim.CoDel{}, linksim.NotECT, urcp.ECNClassic},
		{"CoDel with marks", "The same, with marks in the place of drops.", linksim.CoDel{}, linksim.ECT0, urcp.ECNClassic},
		{"L4S step", "A queue that marks every packet from 1 ms on.", linksim.StepMark{}, linksim.ECT1, urcp.ECNL4S},
		{"DualQ", "The queue of RFC 9332, with the flows on its low-latency side.", linksim.DualQ{}, linksim.ECT1, urcp.ECNL4S},
	} {
		link := pipe(20*mbit, 40*ms, 200*ms)
		link.Queue.AQM = x.aqm
		all = append(all, Scenario{
			Name:   "managed/" + x.name,
			Shows:  x.shows,
			Seeded: true,
			Peak:   20 * mbit,
			ECN:    x.means,
			Make: several(60*s, func(seed uint64, new New) []linksim.Flow {
				all := flows(2, new, within(seed, 2*s), 0)
				for i := range all {
					all[i].ECN = x.ecn
				}
				return all
			}, link),
			Bounds: []Bound{
				Utilisation(5*s, 0).AtLeast(0.9),
				Fairness(20*s, 0).AtLeast(0.95),
				Queue("p95", 0, 0).AtMost(15),
				Loss(5*s, 0).AtMost(0.005),
			},
		})
	}
	return all
}
