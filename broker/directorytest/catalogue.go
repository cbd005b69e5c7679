package directorytest

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// wholeSeed says everything that a seed can say, with pools by name, resources by
// id, and no user.
func wholeSeed() *broker.Seed {
	return &broker.Seed{
		Workspace: "Work",
		Pools: []broker.SeedPool{
			{Name: "desktops", Kind: broker.PoolPooled, Balance: broker.DepthFirst, MaxSessions: 10, Raw: true, Approval: true, Linger: 600,
				Policy: broker.SeedPolicy{Shortpath: true, Networks: []string{"10.0.0.0/8", "2001:db8::/32"}, DSCP: 46, MaxRate: 1e6},
				RDP:    map[string]string{"audiomode": "i:0", "drivestoredirect": "s:"}},
			{Name: "own", Kind: broker.PoolPersonal, Balance: broker.BreadthFirst},
		},
		Resources: []broker.SeedResource{
			{ID: "app", Title: "App", Kind: reachback.KindRemoteApp, Pool: "desktops", Program: "||app", Icon: "app.png", Folder: "/tools", Extensions: []string{".txt"}, Assign: []string{"group:staff"}},
			{ID: "desktop", Title: "Desktop", Kind: reachback.KindDesktop, Pool: "desktops", Folder: "/", Assign: []string{"group:staff", "user:eve"}},
			{ID: "mine", Title: "A place of my own", Kind: reachback.KindDesktop, Pool: "own", Folder: "/", Assign: []string{"user:u1"}},
		},
	}
}

// setup is what is in force for the tenant "", with what no order has sorted.
func (p *place) setup() *broker.Seed {
	p.t.Helper()
	s, err := p.second.Setup(p.t.Context(), "")
	p.ok(err)
	for i := range s.Resources {
		slices.Sort(s.Resources[i].Assign)
	}
	return s
}

func (p *place) resources(u *reachback.User) []reachback.Resource {
	p.t.Helper()
	r, err := p.second.Resources(p.t.Context(), u)
	p.ok(err)
	return r
}

// sees are the ids of what a user sees, in its order.
func (p *place) sees(u *reachback.User) []string {
	p.t.Helper()
	var ids []string
	for _, r := range p.resources(u) {
		ids = append(ids, r.ID)
	}
	return ids
}

var catalogueCases = []testCase{
	{"a directory begins with nothing set up", func(p *place) {
		s := p.setup()
		require.Empty(p.t, s.Pools)
		require.Empty(p.t, s.Resources)
		title, err := p.d.Workspace(p.t.Context(), "")
		p.ok(err)
		require.Empty(p.t, title)
		require.Empty(p.t, p.sees(user("u1")))
	}},
	{"what is applied is in force, whole", func(p *place) {
		with := wholeSeed()
		with.Users = []broker.SeedUser{{Name: "u1"}}
		slices.Reverse(with.Pools)
		slices.Reverse(with.Resources)
		p.apply(with)
		require.Equal(p.t, wholeSeed(), p.setup())
		title, err := p.d.Workspace(p.t.Context(), "")
		p.ok(err)
		require.Equal(p.t, "Work", title)
	}},
	{"what is applied takes the place of what was", func(p *place) {
		p.apply(wholeSeed())
		next := &broker.Seed{
			Pools:     []broker.SeedPool{{Name: "new", Kind: broker.PoolPooled, Balance: broker.BreadthFirst}},
			Resources: []broker.SeedResource{{ID: "desktop", Title: "D", Kind: reachback.KindDesktop, Pool: "new", Folder: "/", Assign: []string{"user:u2"}}},
		}
		p.apply(next)
		require.Equal(p.t, next, p.setup())
		require.Empty(p.t, p.sees(user("u1")))
		require.Equal(p.t, []string{"desktop"}, p.sees(user("u2")))
	}},
	{"a seed that cannot work is refused whole", func(p *place) {
		p.apply(wholeSeed())
		for name, edit := range map[string]func(s *broker.Seed){
			"a resource of no pool": func(s *broker.Seed) { s.Resources[0].Pool = "nowhere" },
			"an assignment":         func(s *broker.Seed) { s.Resources[2].Assign = []string{"u1"} },
			"a pool twice":          func(s *broker.Seed) { s.Pools[1] = s.Pools[0] },
			"a resource twice":      func(s *broker.Seed) { s.Resources[1] = s.Resources[0] },
			"a workspace":           func(s *broker.Seed) { s.Workspace = "a\nb" },
		} {
			s := wholeSeed()
			s.Resources[0].Title = "another title"
			edit(s)
			require.Equal(p.t, reachback.CodeBadRequest, reachback.CodeOf(p.d.Apply(p.t.Context(), s)), name)
		}
		require.Equal(p.t, wholeSeed(), p.setup())
	}},
	{"a resource has been updated when users can see that it has", func(p *place) {
		updated := func() (at []time.Time) {
			for _, r := range p.resources(user("u1")) { // mine, app, desktop
				at = append(at, r.UpdatedAt)
			}
			return at
		}
		p.apply(wholeSeed())
		first := updated()
		require.WithinDuration(p.t, p.now(), first[0], 10*time.Second)
		p.wait(time.Hour)
		p.apply(wholeSeed())
		s := wholeSeed()
		p.ok(p.d.PutPool(p.t.Context(), "", &s.Pools[0]))
		p.ok(p.d.Assign(p.t.Context(), "", "app", "user:u9"))
		require.Equal(p.t, first, updated(), "nothing has changed for who sees it")

		s.Resources[0].Title = "Better app"
		p.ok(p.d.PutResource(p.t.Context(), "", &s.Resources[0]))
		second := updated()
		require.Equal(p.t, first[0], second[0])
		require.True(p.t, second[1].After(first[1]))
		require.Equal(p.t, first[2], second[2])
		p.wait(time.Hour)
		s.Pools[0].RDP["audiomode"] = "i:1" // of app and desktop
		p.ok(p.d.PutPool(p.t.Context(), "", &s.Pools[0]))
		third := updated()
		require.Equal(p.t, second[0], third[0])
		require.True(p.t, third[1].After(second[1]))
		require.True(p.t, third[2].After(second[2]))
	}},
	{"sessions go on whatever is set up anew", in(breadth, oneHost, func(p *place) {
		s := p.goes("u1", "a")
		p.apply(&broker.Seed{Pools: []broker.SeedPool{{Name: pool}}})
		require.Equal(p.t, broker.SessionActive, p.state(s))
		p.counts("a", 1)
		p.refused("u1", reachback.CodeNotAssigned)
	})},
	{"a user sees what is assigned to him or to a group of his, by title", func(p *place) {
		p.apply(wholeSeed())
		require.Equal(p.t, []string{"mine", "app", "desktop"}, p.sees(user("u1")))
		require.Equal(p.t, []string{"app", "desktop"}, p.sees(user("u2")))
		require.Equal(p.t, []string{"desktop"}, p.sees(&reachback.User{Issuer: "https://idp.example", Subject: "eve"}))
		r := p.resources(user("u1"))[1]
		r.UpdatedAt = time.Time{}
		require.Equal(p.t, reachback.Resource{
			ID: "app", Title: "App", Kind: reachback.KindRemoteApp, Pool: "desktops", Program: "||app", Icon: "app.png", Folder: "/tools",
			Extensions: []string{".txt"}, RDP: map[string]string{"audiomode": "i:0", "drivestoredirect": "s:"}, Raw: true,
		}, r)
	}},
	{"what a resource leaves out is filled in for its users", func(p *place) {
		p.apply(&broker.Seed{Pools: []broker.SeedPool{{Name: pool}}, Resources: []broker.SeedResource{{ID: "d", Pool: pool, Assign: []string{"user:u1"}}}})
		r := p.resources(user("u1"))[0]
		require.Equal(p.t, "d", r.Title)
		require.Equal(p.t, reachback.KindDesktop, r.Kind)
		require.Equal(p.t, "/", r.Folder)
	}},
	{"a user of two groups sees a resource of both once", func(p *place) {
		s := wholeSeed()
		s.Resources[0].Assign = []string{"group:staff", "group:admins", "user:u1"}
		p.apply(s)
		u := user("u1")
		u.Groups = []string{"admins", "staff"}
		require.Equal(p.t, []string{"mine", "app", "desktop"}, p.sees(u))
	}},
	{"an assignment comes with the policy of its pool", func(p *place) {
		p.apply(wholeSeed())
		a, err := p.d.Assigned(p.t.Context(), user("u1"), "desktop")
		p.ok(err)
		require.Equal(p.t, "Desktop", a.Resource.Title)
		require.Equal(p.t, reachback.Policy{
			Raw: true, Shortpath: true, DSCP: 46, MaxRate: 1e6,
			Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
		}, a.Policy)
	}},
	{"an assignment says by which of the user's groups he has it", func(p *place) {
		s := wholeSeed()
		s.Resources[0].Assign = []string{"group:staff", "group:admins", "group:others", "user:u1"}
		p.apply(s)
		u := user("u1")
		for _, tt := range []struct{ groups, want []string }{
			{nil, nil},
			{[]string{"guests"}, nil},
			{[]string{"guests", "staff", "cooks", "admins"}, []string{"staff", "admins"}},
		} {
			u.Groups = tt.groups
			a, err := p.d.Assigned(p.t.Context(), u, s.Resources[0].ID)
			p.ok(err)
			require.Equal(p.t, tt.want, a.Groups)
		}
	}},
	{"A8: what is not the user's is not told apart from what is not there, but for the log", func(p *place) {
		p.apply(wholeSeed())
		_, err := p.d.Assigned(p.t.Context(), user("u2"), "mine")
		p.code(reachback.CodeNotAssigned, err)
		require.NotContains(p.t, err.Error(), "own", "neither title nor pool is told")
		_, err = p.d.Assigned(p.t.Context(), user("u2"), "nothing")
		p.code(reachback.CodeResourceNotFound, err)
	}},
	{"pools and resources can be put one by one", func(p *place) {
		ctx, want := p.t.Context(), wholeSeed()
		p.ok(p.d.Apply(ctx, &broker.Seed{Workspace: "Work"}))
		for i := range want.Pools {
			p.ok(p.d.PutPool(ctx, "", &want.Pools[i]))
		}
		for i := range want.Resources {
			p.ok(p.d.PutResource(ctx, "", &want.Resources[i]))
		}
		require.Equal(p.t, want, p.setup())
		want.Pools[1].MaxSessions = 3
		p.ok(p.d.PutPool(ctx, "", &want.Pools[1]))
		want.Resources[0].Assign = []string{"user:u7", "user:u8"}
		p.ok(p.d.PutResource(ctx, "", &want.Resources[0]))
		require.Equal(p.t, want, p.setup())
	}},
	{"a pool or resource that cannot work is refused", func(p *place) {
		ctx := p.t.Context()
		p.apply(wholeSeed())
		for name, edit := range map[string]func(p *broker.SeedPool){
			"name":    func(p *broker.SeedPool) { p.Name = "A B" },
			"kind":    func(p *broker.SeedPool) { p.Kind = "shared" },
			"balance": func(p *broker.SeedPool) { p.Balance = "width" },
			"depth":   func(p *broker.SeedPool) { p.MaxSessions = 0 },
			"limit":   func(p *broker.SeedPool) { p.MaxSessions = -1 },
			"linger":  func(p *broker.SeedPool) { p.Linger = 30*24*3600 + 1 },
			"dscp":    func(p *broker.SeedPool) { p.Policy.DSCP = 64 },
			"rate":    func(p *broker.SeedPool) { p.Policy.MaxRate = -1 },
			"network": func(p *broker.SeedPool) { p.Policy.Networks = []string{"10.0.0.1/8"} },
			"rdp":     func(p *broker.SeedPool) { p.RDP = map[string]string{"audiomode": "0"} },
		} {
			bad := wholeSeed().Pools[0]
			edit(&bad)
			require.Equal(p.t, reachback.CodeBadRequest, reachback.CodeOf(p.d.PutPool(ctx, "", &bad)), name)
		}
		for name, edit := range map[string]func(r *broker.SeedResource){
			"id":      func(r *broker.SeedResource) { r.ID = "A B" },
			"title":   func(r *broker.SeedResource) { r.Title = strings.Repeat("x", 257) },
			"kind":    func(r *broker.SeedResource) { r.Kind = "table" },
			"program": func(r *broker.SeedResource) { r.Program = "" },
			"folder":  func(r *broker.SeedResource) { r.Folder = "tools" },
			"assign":  func(r *broker.SeedResource) { r.Assign = []string{"role:x"} },
		} {
			bad := wholeSeed().Resources[0]
			edit(&bad)
			require.Equal(p.t, reachback.CodeBadRequest, reachback.CodeOf(p.d.PutResource(ctx, "", &bad)), name)
		}
		lost := wholeSeed().Resources[0]
		lost.Pool = "nowhere"
		p.code(reachback.CodePoolNotFound, p.d.PutResource(ctx, "", &lost))
		require.Equal(p.t, wholeSeed(), p.setup())
	}},
	{"a pool is not deleted while something belongs to it", func(p *place) {
		ctx := p.t.Context()
		p.apply(wholeSeed())
		p.enrol("a", "own")
		p.code(reachback.CodeInUse, p.d.DeletePool(ctx, "", "own"))
		p.ok(p.d.DeleteResource(ctx, "", "mine"))
		p.code(reachback.CodeInUse, p.d.DeletePool(ctx, "", "own"))
		p.ok(p.d.RevokeHost(ctx, p.ids["a"]))
		p.ok(p.d.DeletePool(ctx, "", "own"))
		p.code(reachback.CodeNotFound, p.d.DeletePool(ctx, "", "own"))
		p.code(reachback.CodeNotFound, p.d.DeleteResource(ctx, "", "mine"))
		require.Equal(p.t, []string{"app", "desktop"}, p.sees(user("u1")))
		require.Len(p.t, p.setup().Pools, 1)
	}},
	{"assignments can be added and taken away", func(p *place) {
		ctx := p.t.Context()
		p.apply(wholeSeed())
		for range 2 { // twice is harmless
			p.ok(p.d.Assign(ctx, "", "mine", "user:u2"))
		}
		require.Equal(p.t, []string{"user:u1", "user:u2"}, p.setup().Resources[2].Assign)
		require.Equal(p.t, []string{"mine", "app", "desktop"}, p.sees(user("u2")))
		for range 2 {
			p.ok(p.d.Unassign(ctx, "", "mine", "user:u2"))
			p.ok(p.d.Unassign(ctx, "", "app", "group:staff"))
		}
		require.Equal(p.t, []string{"desktop"}, p.sees(user("u2")))
		require.Equal(p.t, []string{"mine", "desktop"}, p.sees(user("u1")))
		p.code(reachback.CodeNotFound, p.d.Assign(ctx, "", "nothing", "user:u2"))
		p.code(reachback.CodeNotFound, p.d.Unassign(ctx, "", "nothing", "user:u2"))
		for _, to := range []string{"", "u2", "user:", "role:x", "user:a\nb"} {
			p.code(reachback.CodeBadRequest, p.d.Assign(ctx, "", "mine", to))
			p.code(reachback.CodeBadRequest, p.d.Unassign(ctx, "", "mine", to))
		}
	}},
	{"who changes what he was given, or has given, changes nothing", func(p *place) {
		s := wholeSeed()
		p.apply(s)
		s.Pools[0].RDP["audiomode"] = "i:2"
		s.Resources[0].Assign[0] = "user:eve"
		p.resources(user("u1"))[1].RDP["audiomode"] = "i:2"
		p.setup().Pools[0].Policy.Networks[0] = "192.0.2.0/24"
		require.Equal(p.t, "i:0", p.resources(user("u1"))[1].RDP["audiomode"])
		require.Equal(p.t, wholeSeed(), p.setup())
	}},
	{"an icon is named by its content", func(p *place) {
		ctx, data := p.t.Context(), []byte("\x89PNG and so on")
		sum := sha256.Sum256(data)
		for range 2 {
			hash, err := p.d.PutIcon(ctx, data)
			p.ok(err)
			require.Equal(p.t, hex.EncodeToString(sum[:]), hash)
		}
		got, err := p.second.Icon(ctx, hex.EncodeToString(sum[:]))
		p.ok(err)
		require.Equal(p.t, data, got)
		_, err = p.d.Icon(ctx, strings.Repeat("0", 64))
		p.code(reachback.CodeNotFound, err)
		_, err = p.d.PutIcon(ctx, make([]byte, broker.MaxIcon))
		p.ok(err)
		for _, data := range [][]byte{nil, make([]byte, broker.MaxIcon+1)} {
			_, err = p.d.PutIcon(ctx, data)
			p.code(reachback.CodeBadRequest, err)
		}
	}},
}
