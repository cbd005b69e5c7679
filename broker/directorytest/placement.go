package directorytest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

var (
	breadth  = broker.SeedPool{MaxSessions: 2}
	depth    = broker.SeedPool{MaxSessions: 2, Balance: broker.DepthFirst}
	personal = broker.SeedPool{Kind: broker.PoolPersonal}
	raw      = broker.SeedPool{MaxSessions: 2, Raw: true}

	oneHost  = []string{"a"}
	twoHosts = []string{"b", "a"} // enrolled in this order
)

var placementCases = []testCase{
	{"breadth-first fills hosts evenly, the first by name at a tie", in(breadth, twoHosts, func(p *place) {
		p.goes("u1", "a")
		p.goes("u2", "b")
		p.goes("u3", "a")
		p.goes("u4", "b")
	})},
	{"depth-first fills one host after the other, the first by name at a tie", in(depth, twoHosts, func(p *place) {
		p.goes("u1", "a")
		p.goes("u2", "a")
		p.goes("u3", "b")
	})},
	{"without a limit breadth-first never finds a host full", in(broker.SeedPool{}, oneHost, func(p *place) {
		for _, who := range []string{"u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9"} {
			p.goes(who, "a")
		}
	})},
	{"full hosts are another matter than no hosts", in(breadth, oneHost, func(p *place) {
		p.goes("u1", "a")
		p.goes("u2", "a")
		p.refused("u3", reachback.CodeHostsFull)
		p.down("a")
		p.refused("u3", reachback.CodeNoHost)
	})},
	{"a user goes where his user session is, even to a full host", in(depth, twoHosts, func(p *place) {
		p.goes("u1", "a")
		p.goes("u2", "a")
		p.goes("u1", "a")
		p.counts("a", 2)
	})},
	{"an absent host keeps its counts and its users may go elsewhere", in(breadth, twoHosts, func(p *place) {
		p.goes("u1", "a")
		p.down("a")
		p.goes("u1", "b")
		p.up("a")
		p.goes("u2", "a") // one of u1 is still there, and one on b
		p.goes("u3", "b")
	})},
	{"a slot that is never joined comes back after 30 s", in(breadth, oneHost, func(p *place) {
		p.goes("u1", "a")
		s := p.reserved(p.wants("u2"))
		p.around(30*time.Second, func() {
			p.refused("u3", reachback.CodeHostsFull)
		}, func() {
			p.goes("u3", "a")
			require.Equal(p.t, broker.SessionEnded, p.state(s))
		})
	})},
}
