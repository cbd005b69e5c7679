package broker

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

// A place is a directory with one pool, one resource for everybody of the group
// staff, and hosts by name.
type place struct {
	t   *testing.T
	dir *MemoryDirectory
	ids map[string]string // of hosts by name
	at  map[string]uint64 // their epochs
}

func newPlace(t *testing.T, pool SeedPool, hosts ...string) *place {
	pool.Name = "pool"
	p := &place{t: t, dir: &MemoryDirectory{}, ids: make(map[string]string), at: make(map[string]uint64)}
	require.NoError(t, p.dir.Apply(p.t.Context(), &Seed{
		Pools:     []SeedPool{pool},
		Resources: []SeedResource{{ID: "desktop", Pool: "pool", Assign: []string{"group:staff"}}},
	}))
	for _, name := range hosts {
		p.enrol(name)
		p.up(name)
	}
	return p
}

func (p *place) enrol(name string) {
	id, hash, ok := parseRegistrationToken(registered(p.t, p.dir, TokenOptions{Pool: "pool"}))
	require.True(p.t, ok)
	h, err := p.dir.Enrol(p.t.Context(), &EnrolRequest{Registration: id, Hash: hash, Key: Thumbprint([]byte(randomID(16))), Name: name})
	require.NoError(p.t, err)
	p.ids[name] = h.ID
}

// token is the id of a connection token that this directory has drawn.
func (p *place) token(id string) string {
	p.dir.begin()
	defer p.dir.mu.Unlock()
	return p.dir.instance + "." + id
}

func (p *place) up(name string) {
	a, err := p.dir.Attach(p.t.Context(), p.ids[name])
	require.NoError(p.t, err)
	p.at[name] = a.Epoch
}

func (p *place) down(name string) {
	require.NoError(p.t, p.dir.Detach(p.t.Context(), p.ids[name], p.at[name]))
}

func (p *place) drain(name string, on bool) {
	require.NoError(p.t, p.dir.Drain(p.t.Context(), p.ids[name], p.at[name], on))
}

func (p *place) says(name string, full bool, reports ...SessionReport) *ReportAnswer {
	a, err := p.dir.HostReport(p.t.Context(), p.ids[name], p.at[name], full, reports)
	require.NoError(p.t, err)
	return a
}

func (p *place) name(id string) string {
	for name, i := range p.ids {
		if i == id {
			return name
		}
	}
	return ""
}

func (p *place) reserve(who, token string, raw bool, exclude ...string) (*Session, error) {
	r := &Reservation{User: *user(who), Resource: "desktop", Token: p.token(token), Expires: time.Now().Add(10 * time.Minute), Call: randomID(8), Raw: raw}
	for _, name := range exclude {
		r.Exclude = append(r.Exclude, p.ids[name])
	}
	return p.dir.Reserve(p.t.Context(), r)
}

// put places a user and joins the session.
func (p *place) put(who string) (*Session, string) {
	p.t.Helper()
	s, err := p.reserve(who, randomID(8), false)
	require.NoError(p.t, err)
	require.NoError(p.t, p.dir.Joined(p.t.Context(), s.ID, "call"))
	return s, p.name(s.Host)
}

func (p *place) goes(who, want string) *Session {
	p.t.Helper()
	s, got := p.put(who)
	require.Equal(p.t, want, got, "where %s goes", who)
	return s
}

func (p *place) refused(who string, want reachback.Code) {
	p.t.Helper()
	_, err := p.reserve(who, randomID(8), false)
	requireCode(p.t, want, err)
}

func (p *place) leave(s *Session) { require.NoError(p.t, p.dir.Left(p.t.Context(), s.ID, "call")) }

func TestPlacement(t *testing.T) {
	breadth, depth := SeedPool{MaxSessions: 2}, SeedPool{MaxSessions: 2, Balance: DepthFirst}
	personal, raw := SeedPool{Kind: PoolPersonal}, SeedPool{MaxSessions: 2, Raw: true}
	for _, tt := range []struct {
		name  string
		pool  SeedPool
		hosts []string
		run   func(p *place)
	}{
		{"breadth-first fills hosts evenly, the first by name at a tie", breadth, []string{"b", "a"}, func(p *place) {
			p.goes("u1", "a")
			p.goes("u2", "b")
			p.goes("u3", "a")
			p.goes("u4", "b")
		}},
		{"depth-first fills one host after the other", depth, []string{"b", "a"}, func(p *place) {
			p.goes("u1", "a")
			p.goes("u2", "a")
			p.goes("u3", "b")
		}},
		{"full hosts are another matter than no hosts", breadth, []string{"a"}, func(p *place) {
			p.goes("u1", "a")
			p.goes("u2", "a")
			p.refused("u3", reachback.CodeHostsFull)
			p.down("a")
			p.refused("u3", reachback.CodeNoHost)
		}},
		{"a user goes where his user session is, even to a full host", depth, []string{"a", "b"}, func(p *place) {
			p.goes("u1", "a")
			p.goes("u2", "a")
			p.goes("u1", "a")
			require.Len(p.t, p.dir.hosts[p.ids["a"]].desktops, 2)
		}},
		{"a user goes back to a disconnected user session", breadth, []string{"a", "b"}, func(p *place) {
			p.leave(p.goes("u1", "a"))
			p.goes("u2", "b")
			p.goes("u3", "a") // full now
			p.goes("u1", "a")
		}},
		{"a disconnected user session counts until it has lingered", breadth, []string{"a"}, func(p *place) {
			p.leave(p.goes("u1", "a"))
			p.goes("u2", "a")
			time.Sleep(5*time.Minute - time.Second)
			p.refused("u3", reachback.CodeHostsFull)
			time.Sleep(time.Second)
			p.goes("u3", "a")
		}},
		{"how long it lingers can be set", breadth, []string{"a"}, func(p *place) {
			p.dir.Linger = time.Second
			p.leave(p.goes("u1", "a"))
			p.goes("u2", "a")
			time.Sleep(time.Second)
			p.goes("u3", "a")
		}},
		{"B12: a drained host gets its own users back and no new one", breadth, []string{"a", "b"}, func(p *place) {
			p.goes("u1", "a")
			p.drain("a", true)
			p.goes("u2", "b")
			p.goes("u3", "b")
			p.refused("u4", reachback.CodeHostsFull) // of b
			p.goes("u1", "a")
			p.drain("a", false)
			p.goes("u4", "a")
		}},
		{"when all are drained there is no host", breadth, []string{"a"}, func(p *place) {
			p.drain("a", true)
			p.refused("u1", reachback.CodeNoHost)
		}},
		{"an absent host keeps its counts and its users may go elsewhere", breadth, []string{"a", "b"}, func(p *place) {
			p.goes("u1", "a")
			p.down("a")
			p.goes("u1", "b")
			p.up("a")
			p.goes("u2", "a") // one of u1 is still there, and one on b
			p.goes("u3", "b")
		}},
		{"G12: the slots of a dead host come back after ten minutes, and not twice when it returns", breadth, []string{"a"}, func(p *place) {
			one, two := p.goes("u1", "a"), p.goes("u2", "a")
			p.down("a")
			time.Sleep(10*time.Minute - time.Second)
			require.Len(p.t, p.dir.hosts[p.ids["a"]].desktops, 2)
			time.Sleep(time.Second)
			p.up("a")
			p.says("a", true, SessionReport{Session: one.ID, State: ReportActive})
			p.says("a", true, SessionReport{Session: one.ID, State: ReportActive})
			p.goes("u3", "a")
			p.refused("u2", reachback.CodeHostsFull)
			p.says("a", false, SessionReport{Session: two.ID, State: ReportEnded})
			p.refused("u2", reachback.CodeHostsFull)
		}},
		{"a host that comes back within ten minutes keeps what it reports and loses the rest", breadth, []string{"a"}, func(p *place) {
			p.dir.Linger = time.Nanosecond
			one := p.goes("u1", "a")
			p.goes("u2", "a")
			p.down("a")
			time.Sleep(9 * time.Minute)
			p.up("a")
			p.says("a", true, SessionReport{Session: one.ID, State: ReportActive})
			time.Sleep(time.Hour)
			p.goes("u3", "a")
			p.refused("u2", reachback.CodeHostsFull)
		}},
		{"a full report does not end what the host was just summoned for", breadth, []string{"a"}, func(p *place) {
			s := p.goes("u1", "a")
			p.says("a", true)
			require.Equal(p.t, SessionActive, p.dir.sessions[s.ID].State)
		}},
		{"a slot that is never joined comes back after 30 s", breadth, []string{"a"}, func(p *place) {
			p.goes("u1", "a")
			_, err := p.reserve("u2", "t", false)
			require.NoError(p.t, err)
			time.Sleep(30*time.Second - time.Millisecond)
			p.refused("u3", reachback.CodeHostsFull)
			time.Sleep(time.Millisecond)
			p.goes("u3", "a")
		}},
		{"a released slot is free at once", breadth, []string{"a"}, func(p *place) {
			p.goes("u1", "a")
			s, err := p.reserve("u2", "t", false)
			require.NoError(p.t, err)
			require.NoError(p.t, p.dir.Release(p.t.Context(), s.ID))
			p.goes("u3", "a")
		}},
		{"hosts that were tried in vain are not picked again", breadth, []string{"a", "b"}, func(p *place) {
			s, err := p.reserve("u1", "t", false, "a")
			require.NoError(p.t, err)
			require.Equal(p.t, "b", p.name(s.Host))
			_, err = p.reserve("u2", "t2", false, "a", "b")
			requireCode(p.t, reachback.CodeNoHost, err)
		}},
		{"a personal host is one user's and no other's", personal, []string{"a", "b"}, func(p *place) {
			p.leave(p.goes("u1", "a"))
			p.goes("u2", "b")
			time.Sleep(24 * time.Hour)
			p.refused("u3", reachback.CodeHostsFull)
			p.goes("u1", "a")
		}},
		{"a user whose personal host is away gets no other", personal, []string{"a", "b"}, func(p *place) {
			p.goes("u1", "a")
			p.down("a")
			p.refused("u1", reachback.CodeNoHost)
			p.up("a")
			p.goes("u1", "a")
		}},
		{"a host of a pool with approval waits for it", SeedPool{Approval: true}, []string{"a"}, func(p *place) {
			p.refused("u1", reachback.CodeNoHost)
			require.NoError(p.t, p.dir.Approve(p.t.Context(), p.ids["a"]))
			p.goes("u1", "a")
		}},
		{"a revoked host gets nobody and its users go elsewhere", breadth, []string{"a", "b"}, func(p *place) {
			p.goes("u1", "a")
			require.NoError(p.t, p.dir.RevokeHost(p.t.Context(), p.ids["a"]))
			p.goes("u1", "b")
			_, err := p.dir.Attach(p.t.Context(), p.ids["a"])
			requireCode(p.t, reachback.CodeHostRevoked, err)
		}},
		{"a duplicate host is out of placement until a quiet minute has passed", breadth, []string{"a"}, func(p *place) {
			p.goes("u1", "a")
			for range 3 {
				p.up("a")
			}
			p.refused("u1", reachback.CodeNoHost)
			time.Sleep(50 * time.Second)
			p.up("a")
			time.Sleep(time.Minute - time.Second)
			p.refused("u1", reachback.CodeNoHost)
			time.Sleep(time.Second)
			p.goes("u1", "a")
		}},
		{"G10: a raw token that repeats leads to the same session and slot", raw, []string{"a", "b"}, func(p *place) {
			first, err := p.reserve("u1", "t", true)
			require.NoError(p.t, err)
			require.NoError(p.t, p.dir.Joined(p.t.Context(), first.ID, "call"))
			p.leave(first)
			for range 2 {
				again, err := p.reserve("u1", "t", true)
				require.NoError(p.t, err)
				require.Equal(p.t, first.ID, again.ID)
				require.Equal(p.t, first.Host, again.Host)
			}
			require.Len(p.t, p.dir.hosts[first.Host].desktops, 1)
		}},
		{"a raw call needs a pool that admits it", breadth, []string{"a"}, func(p *place) {
			_, err := p.reserve("u1", "t", true)
			requireCode(p.t, reachback.CodeRawNotAllowed, err)
		}},
		{"who has no assignment gets no slot", breadth, []string{"a"}, func(p *place) {
			_, err := p.dir.Reserve(p.t.Context(), &Reservation{User: reachback.User{Subject: "eve"}, Resource: "desktop", Token: p.token("eve")})
			requireCode(p.t, reachback.CodeNotAssigned, err)
			_, err = p.dir.Reserve(p.t.Context(), &Reservation{User: reachback.User{Subject: "u1", Groups: []string{"staff"}, Tenant: "other"}, Resource: "desktop", Token: p.token("other")})
			requireCode(p.t, reachback.CodeNotAssigned, err)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tt.run(newPlace(t, tt.pool, tt.hosts...)) })
		})
	}
}

func TestB11_NoMoreThanTheLimitIsPlacedAtOnce(t *testing.T) {
	p := newPlace(t, SeedPool{MaxSessions: 4}, "a", "b", "c", "d", "e")
	var placed, full atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			_, err := p.reserve(fmt.Sprint("user", i), fmt.Sprint("token", i), false)
			switch reachback.CodeOf(err) {
			case "":
				placed.Add(1)
			case reachback.CodeHostsFull:
				full.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 20, placed.Load())
	require.EqualValues(t, 44, full.Load())
	for _, h := range p.dir.hosts {
		require.Len(t, h.desktops, 4)
	}
}

func TestDirectoryForgetsWhatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, SeedPool{}, "a")
		for i := range 100 {
			s := p.goes(fmt.Sprint("u", i), "a")
			switch i % 3 {
			case 0:
				p.leave(s)
			case 1:
				require.NoError(t, p.dir.Kill(t.Context(), s.ID, reachback.CodeKilled))
			}
		}
		p.down("a")
		time.Sleep(25 * time.Hour)
		p.dir.begin()
		defer p.dir.mu.Unlock()
		require.Empty(t, p.dir.sessions)
		require.Empty(t, p.dir.tokens)
		require.Empty(t, p.dir.spent)
		require.Empty(t, p.dir.kills)
		require.Empty(t, p.dir.desktops)
		require.Empty(t, p.dir.agenda.entries)
		require.Empty(t, p.dir.hosts[p.ids["a"]].desktops)
	})
}

// What a host has put off, it has put off once: its reports and reconnections do
// not pile up until their times come.
func TestAgendaDoesNotGrowByWhatHostsSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, SeedPool{}, "a")
		s := p.goes("alice", "a")
		for range 100 {
			p.says("a", false, SessionReport{Session: s.ID, State: ReportEnded}, SessionReport{Session: s.ID, State: ReportActive})
			p.down("a")
			p.up("a")
		}
		require.LessOrEqual(t, len(p.dir.agenda.entries), 2)
		require.Equal(t, SessionActive, p.dir.sessions[s.ID].State)
	})
}

func BenchmarkReserve(b *testing.B) {
	d := &MemoryDirectory{}
	seed := Seed{
		Pools:     []SeedPool{{Name: "pool"}},
		Resources: []SeedResource{{ID: "desktop", Pool: "pool", Assign: []string{"group:staff"}}},
	}
	if err := d.Apply(b.Context(), &seed); err != nil {
		b.Fatal(err)
	}
	for range 1000 {
		id := randomID(16)
		d.saved.Hosts[id] = &Host{ID: id, Name: id, Pool: "pool", Approved: true}
		if _, err := d.Attach(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	for b.Loop() {
		n++
		s, err := d.Reserve(b.Context(), &Reservation{User: *user(fmt.Sprint(n % 10_000)), Resource: "desktop", Token: d.instance + "." + fmt.Sprint(n)})
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Release(b.Context(), s.ID); err != nil {
			b.Fatal(err)
		}
	}
}
