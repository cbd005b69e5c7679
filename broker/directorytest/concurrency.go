package directorytest

import (
	"fmt"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// atOnce calls f so often at the same time, half of it at the other broker, and
// counts the codes that come of it.
func (p *place) atOnce(n int, f func(i int, d broker.Directory) error) map[reachback.Code]int {
	p.t.Helper()
	var mu sync.Mutex
	var failed error
	counts := make(map[reachback.Code]int)
	var wg sync.WaitGroup
	for i := range n {
		d := p.d
		if i%2 == 1 {
			d = p.second
		}
		wg.Go(func() {
			err := f(i, d)
			mu.Lock()
			defer mu.Unlock()
			code := reachback.CodeOf(err)
			counts[code]++
			if code == reachback.CodeInternal {
				failed = err
			}
		})
	}
	wg.Wait()
	p.ok(failed)
	return counts
}

var concurrencyCases = []testCase{
	{"B11: no more than the limit is placed, however many ask at once", in(broker.SeedPool{MaxSessions: 4}, []string{"a", "b", "c", "d", "e"}, func(p *place) {
		var asked []*broker.Reservation
		for i := range 64 {
			asked = append(asked, p.wants(fmt.Sprint("user", i)))
		}
		got := p.atOnce(len(asked), func(i int, d broker.Directory) error {
			_, err := d.Reserve(p.t.Context(), asked[i])
			return err
		})
		require.Equal(p.t, map[reachback.Code]int{"": 20, reachback.CodeHostsFull: 44}, got)
		for name := range p.ids {
			p.counts(name, 4)
		}
	})},
	{"B11: one user who asks at once from everywhere has one slot", in(breadth, twoHosts, func(p *place) {
		var asked []*broker.Reservation
		for range 16 {
			asked = append(asked, p.wants("u1"))
		}
		got := p.atOnce(len(asked), func(i int, d broker.Directory) error {
			_, err := d.Reserve(p.t.Context(), asked[i])
			return err
		})
		require.Equal(p.t, map[reachback.Code]int{"": 16}, got)
		require.Equal(p.t, 1, p.status("a").UserSessions+p.status("b").UserSessions)
	})},
	{"a token that is shown at once everywhere opens one call", in(broker.SeedPool{}, oneHost, func(p *place) {
		r := p.wants("u1")
		got := p.atOnce(16, func(_ int, d broker.Directory) error {
			_, err := d.Reserve(p.t.Context(), again(r))
			return err
		})
		require.Equal(p.t, map[reachback.Code]int{"": 1, reachback.CodeTokenReplayed: 15}, got)
	})},
	{"G10: a raw token that is shown at once is one session", in(raw, twoHosts, func(p *place) {
		r := p.wantsRaw("u1")
		var mu sync.Mutex
		sessions := map[string]bool{}
		p.atOnce(8, func(_ int, d broker.Directory) error {
			s, err := d.Reserve(p.t.Context(), again(r))
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				sessions[s.ID] = true
			}
			return err
		})
		require.Len(p.t, sessions, 1)
	})},
	{"F5: personal hosts are given out once each, however many ask at once", in(personal, []string{"a", "b", "c", "d"}, func(p *place) {
		var asked []*broker.Reservation
		for i := range 16 {
			asked = append(asked, p.wants(fmt.Sprint("user", i)))
		}
		got := p.atOnce(len(asked), func(i int, d broker.Directory) error {
			_, err := d.Reserve(p.t.Context(), asked[i])
			return err
		})
		require.Equal(p.t, map[reachback.Code]int{"": 4, reachback.CodeHostsFull: 12}, got)
		owners := map[string]bool{}
		for name := range p.ids {
			owners[p.status(name).AssignedTo] = true
		}
		require.Len(p.t, owners, 4)
		require.NotContains(p.t, owners, "")
	})},
	{"F5: one user who asks at once has one personal host", in(personal, []string{"a", "b", "c", "d"}, func(p *place) {
		var asked []*broker.Reservation
		for range 16 {
			asked = append(asked, p.wants("u1"))
		}
		p.atOnce(len(asked), func(i int, d broker.Directory) error {
			_, err := d.Reserve(p.t.Context(), asked[i])
			return err
		})
		mine, err := p.d.Hosts(p.t.Context(), &broker.HostQuery{AssignedTo: user("u1").ID()})
		p.ok(err)
		require.Len(p.t, mine, 1)
	})},
	{"B8: a registration token that is shown at once makes no more hosts than it may", func(p *place) {
		p.apply(&twoPools)
		e := p.registration(broker.Registration{Pool: pool, Uses: 5})
		got := p.atOnce(16, func(_ int, d broker.Directory) error {
			one := *e
			one.Key = randomKey()
			_, err := d.Enrol(p.t.Context(), &one)
			return err
		})
		require.Equal(p.t, map[reachback.Code]int{"": 5, reachback.CodeRegistrationUsedUp: 11}, got)
	}},
	{"G5: a name that many ask for at once is given to one", func(p *place) {
		p.apply(&twoPools)
		e := p.registration(broker.Registration{Pool: pool, Uses: 16})
		e.Name = "pc1"
		p.atOnce(16, func(_ int, d broker.Directory) error {
			one := *e
			one.Key = randomKey()
			_, err := d.Enrol(p.t.Context(), &one)
			return err
		})
		names := p.listed(broker.HostQuery{})
		require.Len(p.t, names, 16)
		n := 0
		for _, name := range names {
			if name == "pc1" {
				n++
			}
		}
		require.Equal(p.t, 1, n)
	}},
	{"a key that enrols at once is one host", func(p *place) {
		p.apply(&twoPools)
		e := p.registration(broker.Registration{Pool: pool, Uses: 8})
		got := p.atOnce(8, func(_ int, d broker.Directory) error {
			_, err := d.Enrol(p.t.Context(), e)
			return err
		})
		require.Equal(p.t, map[reachback.Code]int{"": 8}, got)
		require.Len(p.t, p.listed(broker.HostQuery{}), 1)
	}},
	{"channels that begin at once have epochs of their own", in(breadth, oneHost, func(p *place) {
		var mu sync.Mutex
		epochs := map[uint64]bool{}
		p.atOnce(16, func(_ int, d broker.Directory) error {
			a, err := d.Attach(p.t.Context(), p.ids["a"])
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				epochs[a.Epoch] = true
			}
			return err
		})
		require.Len(p.t, epochs, 16)
	})},
	{"kills that are written at once have revisions of their own", in(broker.SeedPool{}, oneHost, func(p *place) {
		var sessions []string
		for i := range 16 {
			sessions = append(sessions, p.goes(fmt.Sprint("user", i), "a").ID)
		}
		p.atOnce(len(sessions), func(i int, d broker.Directory) error {
			return d.Kill(p.t.Context(), sessions[i], reachback.CodeKilled)
		})
		kills, err := p.d.Kills(p.t.Context(), 0)
		p.ok(err)
		require.Len(p.t, kills, 16)
		for i := range kills[1:] {
			require.Greater(p.t, kills[i+1].Revision, kills[i].Revision)
		}
	})},
}
