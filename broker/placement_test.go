package broker

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// A place is a directory with one pool, one resource for everybody of the group
// staff, and hosts that are up.
type place struct {
	t   testing.TB
	dir *MemoryDirectory
}

func newPlace(t testing.TB, hosts ...string) *place {
	p := &place{t, &MemoryDirectory{}}
	require.NoError(t, p.dir.Apply(t.Context(), &Seed{
		Pools:     []SeedPool{{Name: "pool"}},
		Resources: []SeedResource{{ID: "desktop", Pool: "pool", Assign: []string{"group:staff"}}},
	}))
	for _, id := range hosts {
		p.dir.hostRows[id] = &Host{ID: id, Name: id, Pool: "pool", Approved: true}
		p.up(id)
	}
	return p
}

func (p *place) up(host string) uint64 {
	a, err := p.dir.Attach(p.t.Context(), host)
	require.NoError(p.t, err)
	return a.Epoch
}

func (p *place) reserve(who string) *Session {
	token, err := p.dir.NewTokenID(p.t.Context())
	require.NoError(p.t, err)
	s, err := p.dir.Reserve(p.t.Context(), &Reservation{User: *user(who), Resource: "desktop", Token: token})
	require.NoError(p.t, err)
	return s
}

func (p *place) joined(who string) *Session {
	s := p.reserve(who)
	require.NoError(p.t, p.dir.Joined(p.t.Context(), s.ID, "call"))
	return s
}

func BenchmarkReserve(b *testing.B) {
	var hosts []string
	for i := range 1000 {
		hosts = append(hosts, fmt.Sprint("host", i))
	}
	p := newPlace(b, hosts...)
	n := 0
	for b.Loop() {
		n++
		require.NoError(b, p.dir.Release(b.Context(), p.reserve(fmt.Sprint(n%10_000)).ID))
	}
}
