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
	{"depth-first takes the fullest host that has room, whatever its name", in(depth, twoHosts, func(p *place) {
		p.drain("a", true)
		p.goes("u1", "b")
		p.drain("a", false)
		p.goes("u2", "b")
		p.goes("u3", "a")
	})},
	{"without a limit no host is ever full", in(broker.SeedPool{}, oneHost, func(p *place) {
		for _, who := range []string{"u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9"} {
			p.goes(who, "a")
		}
	})},
	{"a limit that is changed holds from then on", in(breadth, oneHost, func(p *place) {
		p.goes("u1", "a")
		p.goes("u2", "a")
		p.ok(p.d.PutPool(p.t.Context(), "", &broker.SeedPool{Name: pool, MaxSessions: 3}))
		p.goes("u3", "a")
		p.ok(p.d.PutPool(p.t.Context(), "", &broker.SeedPool{Name: pool, MaxSessions: 1}))
		p.refused("u4", reachback.CodeHostsFull)
		p.goes("u1", "a")
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
	{"a user goes back to his disconnected user session", in(breadth, twoHosts, func(p *place) {
		p.leave(p.goes("u1", "a"))
		p.goes("u2", "b")
		p.goes("u3", "a") // full now
		p.goes("u1", "a")
	})},
	{"a reservation that nobody has joined yet is a user session too", in(breadth, twoHosts, func(p *place) {
		p.reserved(p.wants("u1"))
		p.goes("u1", "a")
		p.counts("a", 1)
	})},
	{"of several user sessions a user goes to the one that he used last", in(breadth, twoHosts, func(p *place) {
		p.goes("u1", "a")
		p.down("a")
		p.wait(time.Second)
		p.goes("u1", "b")
		p.up("a")
		p.goes("u1", "b")
		p.down("b")
		p.wait(time.Second)
		p.goes("u1", "a")
		p.up("b")
		p.goes("u1", "a")
	})},
	{"the resources of a pool are on one host for one user", in(breadth, twoHosts, func(p *place) {
		p.ok(p.d.PutResource(p.t.Context(), "", &broker.SeedResource{ID: "other", Pool: pool, Assign: []string{"user:u2"}}))
		p.goes("u1", "a")
		p.goes("u2", "b")
		r := p.wants("u2")
		r.Resource = "other"
		require.Equal(p.t, "b", p.name(p.reserved(r).Host))
		p.counts("b", 1)
	})},
	{"a user session in one pool is none in another", in(breadth, oneHost, func(p *place) {
		p.ok(p.d.PutPool(p.t.Context(), "", &broker.SeedPool{Name: "pool2"}))
		p.ok(p.d.PutResource(p.t.Context(), "", &broker.SeedResource{ID: "other", Pool: "pool2", Assign: []string{"user:u1"}}))
		p.goes("u1", "a")
		r := p.wants("u1")
		r.Resource = "other"
		_, err := p.reserve(r)
		p.code(reachback.CodeNoHost, err)
		p.enrol("c", "pool2")
		p.up("c")
		r.Token = p.token()
		require.Equal(p.t, "c", p.name(p.reserved(r).Host))
	})},
	{"users of different issuers are different users", in(breadth, oneHost, func(p *place) {
		p.goes("u1", "a")
		r := p.wants("u1")
		r.User.Issuer = "https://other.example"
		p.reserved(r)
		p.counts("a", 2)
	})},

	{"B12: a host in drain gets its own users back and no new one", in(breadth, twoHosts, func(p *place) {
		p.goes("u1", "a")
		p.leave(p.goes("u2", "b"))
		p.leave(p.goes("u3", "a"))
		p.drain("a", true)
		p.goes("u4", "b")
		p.refused("u5", reachback.CodeHostsFull) // of b
		p.goes("u1", "a")
		p.goes("u3", "a")
		p.ok(p.d.PutPool(p.t.Context(), "", &broker.SeedPool{Name: pool, MaxSessions: 3}))
		p.goes("u5", "b")
		p.refused("u6", reachback.CodeHostsFull)
		p.drain("a", false)
		p.goes("u6", "a")
	})},
	{"B12: the operator's drain does as the host's own", in(breadth, twoHosts, func(p *place) {
		p.leave(p.goes("u1", "a"))
		p.ok(p.d.SetDrain(p.t.Context(), p.ids["a"], true))
		p.goes("u2", "b")
		p.goes("u3", "b")
		p.refused("u4", reachback.CodeHostsFull)
		p.goes("u1", "a")
		p.ok(p.d.SetDrain(p.t.Context(), p.ids["a"], false))
		p.goes("u4", "a")
	})},
	{"when all hosts are in drain there is no host", in(breadth, oneHost, func(p *place) {
		p.drain("a", true)
		p.refused("u1", reachback.CodeNoHost)
	})},
	{"a host that is not fit gets its own users back and no new one", in(breadth, twoHosts, func(p *place) {
		p.goes("u1", "a")
		p.fit("a", false)
		p.goes("u2", "b")
		p.goes("u3", "b")
		p.refused("u4", reachback.CodeHostsFull)
		p.goes("u1", "a")
		p.fit("a", true)
		p.goes("u4", "a")
	})},
	{"a host at its limit is not unhealthy, and an unhealthy one is not full", in(breadth, oneHost, func(p *place) {
		p.fit("a", false)
		p.refused("u1", reachback.CodeNoHost)
		p.fit("a", true)
		p.goes("u1", "a")
		p.goes("u2", "a")
		p.refused("u3", reachback.CodeHostsFull)
	})},
	{"an absent host keeps its counts and its users may go elsewhere", in(breadth, twoHosts, func(p *place) {
		p.goes("u1", "a")
		p.down("a")
		p.goes("u1", "b")
		p.up("a")
		p.goes("u2", "a") // one of u1 is still there, and one on b
		p.goes("u3", "b")
	})},
	{"a host of a pool with approval gets nobody before it", in(broker.SeedPool{Approval: true}, oneHost, func(p *place) {
		p.refused("u1", reachback.CodeNoHost)
		p.ok(p.d.Approve(p.t.Context(), p.ids["a"]))
		p.goes("u1", "a")
	})},
	{"a revoked host gets nobody and its users go elsewhere", in(breadth, twoHosts, func(p *place) {
		p.goes("u1", "a")
		p.ok(p.d.RevokeHost(p.t.Context(), p.ids["a"]))
		p.goes("u1", "b")
		p.counts("a", 0)
		_, err := p.d.Attach(p.t.Context(), p.ids["a"])
		p.code(reachback.CodeHostRevoked, err)
	})},
	{"a duplicate host gets nobody, not even its own, until a quiet minute has passed", in(breadth, oneHost, func(p *place) {
		p.goes("u1", "a")
		for range 3 {
			p.up("a")
		}
		p.refused("u1", reachback.CodeNoHost)
		p.wait(30 * time.Second)
		require.True(p.t, p.up("a").Duplicate)
		p.around(time.Minute, func() {
			p.refused("u1", reachback.CodeNoHost)
		}, func() {
			p.goes("u1", "a")
		})
	})},
	{"hosts that were tried in vain are not picked again", in(breadth, twoHosts, func(p *place) {
		r := p.wants("u1")
		r.Exclude = []string{p.ids["a"]}
		require.Equal(p.t, "b", p.name(p.reserved(r).Host))
		r = p.wants("u2")
		r.Exclude = []string{p.ids["a"], p.ids["b"]}
		_, err := p.reserve(r)
		p.code(reachback.CodeNoHost, err)
	})},
	{"a user whose host was tried in vain goes elsewhere", in(breadth, twoHosts, func(p *place) {
		p.goes("u1", "a")
		r := p.wants("u1")
		r.Exclude = []string{p.ids["a"]}
		require.Equal(p.t, "b", p.name(p.reserved(r).Host))
	})},
	{"a raw call needs a pool that admits it", in(breadth, oneHost, func(p *place) {
		r := p.wants("u1")
		r.Raw = true
		_, err := p.reserve(r)
		p.code(reachback.CodeRawNotAllowed, err)
	})},
	{"who has no assignment gets no slot", in(breadth, oneHost, func(p *place) {
		for name, edit := range map[string]func(r *broker.Reservation){
			"of no group":     func(r *broker.Reservation) { r.User.Groups = nil },
			"other group":     func(r *broker.Reservation) { r.User.Groups = []string{"guests"} },
			"other tenant":    func(r *broker.Reservation) { r.User.Tenant = "other" },
			"no such desktop": func(r *broker.Reservation) { r.Resource = "nothing" },
		} {
			r := p.wants("u1")
			edit(r)
			_, err := p.reserve(r)
			require.Equal(p.t, reachback.CodeNotAssigned, reachback.CodeOf(err), name)
		}
		p.counts("a", 0)
	})},
	{"an assignment counts when the session begins, not when the token was drawn", in(breadth, oneHost, func(p *place) {
		r := p.wants("u1")
		p.ok(p.d.Unassign(p.t.Context(), "", desktop, "group:staff"))
		_, err := p.reserve(r)
		p.code(reachback.CodeNotAssigned, err)
	})},
}
