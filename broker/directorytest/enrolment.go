package directorytest

import (
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// twoPools is a seed with two pools, of which one is personal.
var twoPools = broker.Seed{Pools: []broker.SeedPool{{Name: "own", Kind: broker.PoolPersonal}, {Name: pool}}}

// enrols is a request to enrol, and what becomes of it.
func (p *place) enrols(e *broker.EnrolRequest) (*broker.Enrolled, error) {
	return p.d.Enrol(p.t.Context(), e)
}

var enrolmentCases = []testCase{
	{"a host that enrols has an id of its own, and the name that it asked for", func(p *place) {
		p.apply(&twoPools)
		h := p.enrol("pc1", pool)
		require.NotEmpty(p.t, h.ID)
		require.False(p.t, h.NameTaken)
		require.WithinDuration(p.t, p.now(), h.EnrolledAt, 10*time.Second)
		want := broker.Host{ID: h.ID, Name: "pc1", Pool: pool, Key: p.keys["pc1"], Approved: true, EnrolledAt: h.EnrolledAt}
		require.Equal(p.t, want, h.Host)
		got, err := p.second.Host(p.t.Context(), h.ID)
		p.ok(err)
		require.WithinDuration(p.t, want.EnrolledAt, got.EnrolledAt, time.Second)
		got.EnrolledAt = want.EnrolledAt
		require.Equal(p.t, &want, got)
	}},
	{"a host that asks for no name has its id for one", func(p *place) {
		p.apply(&twoPools)
		h := p.enrol("", pool)
		require.Equal(p.t, h.ID, h.Name)
	}},
	{"a host of a pool that asks for approval waits for it", func(p *place) {
		p.apply(&broker.Seed{Pools: []broker.SeedPool{{Name: pool, Approval: true}}})
		require.False(p.t, p.enrol("pc1", pool).Approved)
		p.ok(p.d.Approve(p.t.Context(), p.ids["pc1"]))
		p.ok(p.d.Approve(p.t.Context(), p.ids["pc1"]))
		require.True(p.t, p.status("pc1").Approved)
	}},
	{"B8: a registration token that was never issued, is wrong or withdrawn is invalid", func(p *place) {
		p.apply(&twoPools)
		e := p.registration(broker.Registration{Pool: pool})
		wrong, other := *e, *e
		wrong.Hash[31] ^= 1
		other.Registration = "another"
		for _, e := range []*broker.EnrolRequest{&wrong, &other, {Key: randomKey()}} {
			_, err := p.enrols(e)
			p.code(reachback.CodeRegistrationInvalid, err)
			_, err = p.d.Registration(p.t.Context(), e.Registration, e.Hash)
			p.code(reachback.CodeRegistrationInvalid, err)
		}
		p.ok(p.d.DeleteRegistration(p.t.Context(), e.Registration))
		_, err := p.enrols(e)
		p.code(reachback.CodeRegistrationInvalid, err)
		p.code(reachback.CodeNotFound, p.d.DeleteRegistration(p.t.Context(), e.Registration))
	}},
	{"B8: a registration token has an end", func(p *place) {
		p.apply(&twoPools)
		e := p.registration(broker.Registration{Pool: pool, Uses: 9, Expires: p.now().Add(time.Hour)})
		p.around(time.Hour, func() {
			_, err := p.enrols(e)
			p.ok(err)
			_, err = p.d.Registration(p.t.Context(), e.Registration, e.Hash)
			p.ok(err)
		}, func() {
			_, err := p.enrols(e)
			p.code(reachback.CodeRegistrationExpired, err)
			_, err = p.d.Registration(p.t.Context(), e.Registration, e.Hash)
			p.code(reachback.CodeRegistrationExpired, err)
		})
	}},
	{"B8: a registration token makes so many hosts and no more", func(p *place) {
		p.apply(&twoPools)
		e := p.registration(broker.Registration{Pool: pool, Uses: 2})
		for range 2 {
			r, err := p.d.Registration(p.t.Context(), e.Registration, e.Hash)
			p.ok(err)
			require.Positive(p.t, r.Uses)
			e.Key = randomKey()
			_, err = p.enrols(e)
			p.ok(err)
		}
		e.Key = randomKey()
		_, err := p.enrols(e)
		p.code(reachback.CodeRegistrationUsedUp, err)
		_, err = p.d.Registration(p.t.Context(), e.Registration, e.Hash)
		p.code(reachback.CodeRegistrationUsedUp, err)
	}},
	{"B8: a registration token is for its own pool, or for one that there is", func(p *place) {
		p.apply(&twoPools)
		p.apply(&broker.Seed{Tenant: "other", Pools: []broker.SeedPool{{Name: "far"}}})
		for _, tt := range []struct {
			token broker.Registration
			asked string
			want  string // the pool; empty: refused
		}{
			{broker.Registration{Pool: pool}, "", pool},
			{broker.Registration{Pool: pool}, pool, pool},
			{broker.Registration{Pool: pool}, "own", ""},
			{broker.Registration{}, "own", "own"},
			{broker.Registration{}, "", ""}, // one of two
			{broker.Registration{}, "typo", ""},
			{broker.Registration{}, "far", ""}, // of another tenant
			{broker.Registration{Tenant: "other"}, "", "far"},
			{broker.Registration{Tenant: "other"}, pool, ""},
		} {
			e := p.registration(tt.token)
			e.Pool = tt.asked
			h, err := p.enrols(e)
			if tt.want == "" {
				require.Equal(p.t, reachback.CodeRegistrationWrongPool, reachback.CodeOf(err), "%+v", tt)
				continue
			}
			p.ok(err)
			require.Equal(p.t, tt.want, h.Pool)
			require.Equal(p.t, tt.token.Tenant, h.Tenant)
		}
	}},
	{"a refusal spends no use", func(p *place) {
		p.apply(&twoPools)
		e := p.registration(broker.Registration{Pool: pool})
		bad, wrong := *e, *e
		bad.Name, wrong.Pool = "a b", "own"
		_, err := p.enrols(&bad)
		p.code(reachback.CodeBadRequest, err)
		_, err = p.enrols(&wrong)
		p.code(reachback.CodeRegistrationWrongPool, err)
		_, err = p.enrols(e)
		p.ok(err)
	}},
	{"a gateway's token makes no host, and a host's no gateway", func(p *place) {
		p.apply(&twoPools)
		e := p.registration(broker.Registration{Role: broker.RoleGateway})
		_, err := p.enrols(e)
		p.code(reachback.CodeWrongRole, err)
		for _, role := range []broker.Role{"", broker.RoleHost} {
			e := p.registration(broker.Registration{Role: role, Pool: pool})
			e.URL = "https://gw.example"
			_, err := p.d.EnrolGateway(p.t.Context(), e)
			p.code(reachback.CodeWrongRole, err)
			_, err = p.enrols(e)
			p.ok(err)
		}
	}},
	{"B7: a key that is enrolled keeps its host, and spends nothing", func(p *place) {
		p.apply(&twoPools)
		e := p.registration(broker.Registration{Pool: pool})
		e.Name = "pc1"
		first, err := p.enrols(e)
		p.ok(err)
		again, err := p.enrols(e) // the token is used up
		p.ok(err)
		require.Equal(p.t, first.ID, again.ID)
		require.False(p.t, again.NameTaken)
		e.Name = "pc2"
		again, err = p.enrols(e)
		p.ok(err)
		require.Equal(p.t, first.ID, again.ID)
		require.Equal(p.t, "pc2", again.Name)
		e.Name = ""
		again, err = p.enrols(e)
		p.ok(err)
		require.Equal(p.t, "pc2", again.Name, "who asks for no name keeps what it has")
	}},
	{"B7: a key that is enrolled is of no use in another pool or tenant", func(p *place) {
		p.apply(&twoPools)
		p.apply(&broker.Seed{Tenant: "other", Pools: twoPools.Pools})
		p.enrol("pc1", pool)
		for _, r := range []broker.Registration{{Pool: "own"}, {Tenant: "other", Pool: pool}} {
			e := p.registration(r)
			e.Key = p.keys["pc1"]
			_, err := p.enrols(e)
			p.code(reachback.CodeRegistrationWrongPool, err)
		}
	}},
	{"B7: a revoked host's key is refused, also as an old key", func(p *place) {
		p.apply(&twoPools)
		p.enrol("pc1", pool)
		p.ok(p.d.RevokeHost(p.t.Context(), p.ids["pc1"]))
		e := p.registration(broker.Registration{Pool: pool})
		old := *e
		e.Key, old.OldKey = p.keys["pc1"], p.keys["pc1"]
		for _, e := range []*broker.EnrolRequest{e, &old} {
			_, err := p.enrols(e)
			p.code(reachback.CodeHostRevoked, err)
		}
	}},
	{"G5: a taken name makes a new host without the name and what is assigned to it", func(p *place) {
		p.apply(&twoPools)
		first := p.enrol("pc1", "own")
		p.ok(p.d.AssignHost(p.t.Context(), first.ID, user("u1").ID()))
		e := p.registration(broker.Registration{Pool: "own"})
		e.Name = "pc1"
		thief, err := p.enrols(e)
		p.ok(err)
		require.True(p.t, thief.NameTaken)
		require.NotEqual(p.t, first.ID, thief.ID)
		require.Equal(p.t, thief.ID, thief.Name)
		require.Empty(p.t, thief.AssignedTo)
		got, err := p.d.Host(p.t.Context(), first.ID)
		p.ok(err)
		require.Equal(p.t, "pc1", got.Name)
		require.Equal(p.t, p.keys["pc1"], got.Key)
		require.Equal(p.t, user("u1").ID(), got.AssignedTo)
	}},
	{"G5: a taken name is free when an operator has renamed or revoked its host", func(p *place) {
		p.apply(&twoPools)
		for name, free := range map[string]func() error{
			"pc1": func() error { return p.d.Rename(p.t.Context(), p.ids["pc1"], "old-pc1") },
			"pc2": func() error { return p.d.RevokeHost(p.t.Context(), p.ids["pc2"]) },
		} {
			p.enrol(name, pool)
			e := p.registration(broker.Registration{Pool: pool, Uses: 2})
			e.Name = name
			h, err := p.enrols(e)
			p.ok(err)
			require.True(p.t, h.NameTaken)
			p.ok(free())
			again, err := p.enrols(e)
			p.ok(err)
			require.Equal(p.t, h.ID, again.ID)
			require.False(p.t, again.NameTaken)
			require.Equal(p.t, name, again.Name)
		}
	}},
	{"G5: who holds the old key too keeps host, name and user, under the new key", func(p *place) {
		p.apply(&twoPools)
		first := p.enrol("pc1", "own")
		p.ok(p.d.AssignHost(p.t.Context(), first.ID, user("u1").ID()))
		e := p.registration(broker.Registration{Pool: "own"})
		e.Name, e.OldKey = "pc1", p.keys["pc1"]
		got, err := p.enrols(e)
		p.ok(err)
		require.False(p.t, got.NameTaken)
		want := first.Host
		want.Key, want.AssignedTo, want.EnrolledAt = e.Key, user("u1").ID(), got.EnrolledAt
		require.Equal(p.t, want, got.Host)
		got, err = p.enrols(e) // the answer may have been lost
		p.ok(err)
		require.Equal(p.t, want, got.Host)

		// It has spent nothing, and the old key is worth nothing any more.
		old := *e
		old.Key, old.OldKey = p.keys["pc1"], broker.Thumbprint{}
		got, err = p.enrols(&old)
		p.ok(err)
		require.NotEqual(p.t, first.ID, got.ID)
		require.True(p.t, got.NameTaken)
	}},
	{"an old key that nobody has enrolled makes a new host", func(p *place) {
		p.apply(&twoPools)
		p.enrol("pc1", pool)
		e := p.registration(broker.Registration{Pool: pool})
		e.OldKey = randomKey()
		h, err := p.enrols(e)
		p.ok(err)
		require.NotEqual(p.t, p.ids["pc1"], h.ID)
		_, err = p.enrols(&broker.EnrolRequest{Registration: e.Registration, Hash: e.Hash, Key: randomKey()})
		p.code(reachback.CodeRegistrationUsedUp, err)
	}},
	{"an old key is of no use in another pool", func(p *place) {
		p.apply(&twoPools)
		p.enrol("pc1", pool)
		e := p.registration(broker.Registration{Pool: "own"})
		e.OldKey = p.keys["pc1"]
		_, err := p.enrols(e)
		p.code(reachback.CodeRegistrationWrongPool, err)
	}},
	{"sessions of a host with a new key are for the new key", in(breadth, oneHost, func(p *place) {
		e := p.registration(broker.Registration{Pool: pool})
		e.OldKey = p.keys["a"]
		_, err := p.enrols(e)
		p.ok(err)
		require.Equal(p.t, e.Key, p.up("a").Key)
		require.Equal(p.t, e.Key, p.reserved(p.wants("u1")).HostKey)
	})},
	{"nobody is called by another's id", func(p *place) {
		p.apply(&twoPools)
		first := p.enrol("pc1", pool)
		require.True(p.t, p.enrol(first.ID, pool).NameTaken)
	}},
	{"registration tokens are listed by tenant, the newest first, without their secrets", func(p *place) {
		var ids []string
		for _, r := range []broker.Registration{{Pool: pool, Uses: 3}, {}, {Role: broker.RoleGateway}, {Tenant: "other"}} {
			ids = append([]string{p.registration(r).Registration}, ids...)
			p.wait(time.Second)
		}
		list, err := p.second.Registrations(p.t.Context(), "")
		p.ok(err)
		var got []string
		for _, r := range list {
			got = append(got, r.ID)
			require.Empty(p.t, r.Hash)
		}
		require.Equal(p.t, ids[1:], got)
		require.Equal(p.t, pool, list[2].Pool)
		require.Equal(p.t, 3, list[2].Uses)
		require.Equal(p.t, broker.RoleGateway, list[0].Role)
		list, err = p.d.Registrations(p.t.Context(), "other")
		p.ok(err)
		require.Len(p.t, list, 1)
		require.Equal(p.t, ids[0], list[0].ID)

		p.wait(day + broker.KeepExpired + time.Hour) // for how long it is said to be expired
		list, err = p.d.Registrations(p.t.Context(), "")
		p.ok(err)
		require.Empty(p.t, list)
	}},
	{"a registration token that cannot work is refused", func(p *place) {
		good := broker.Registration{ID: "good", Hash: make([]byte, 32), Pool: pool, Expires: p.now().Add(day), Uses: 1}
		p.ok(p.d.NewRegistration(p.t.Context(), &good))
		p.code(reachback.CodeInUse, p.d.NewRegistration(p.t.Context(), &good))
		for name, edit := range map[string]func(r *broker.Registration){
			"no id":               func(r *broker.Registration) { r.ID = "" },
			"a long id":           func(r *broker.Registration) { r.ID = strings.Repeat("x", 65) },
			"no hash":             func(r *broker.Registration) { r.Hash = nil },
			"no use":              func(r *broker.Registration) { r.Uses = 0 },
			"a role of its own":   func(r *broker.Registration) { r.Role = "admin" },
			"a pool's wrong name": func(r *broker.Registration) { r.Pool = "A B" },
			"a gateway in a pool": func(r *broker.Registration) { r.Role = broker.RoleGateway },
		} {
			r := good
			r.ID = "bad"
			edit(&r)
			require.Equal(p.t, reachback.CodeBadRequest, reachback.CodeOf(p.d.NewRegistration(p.t.Context(), &r)), name)
		}
	}},
}
