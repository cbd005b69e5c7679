package sqldirectory

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/directorytest"
	"github.com/reachback/reachback/internal/peertest"
)

func TestB11_NoMoreThanTheLimitIsPlacedThroughTwoBrokersOnOneDatabase(t *testing.T) {
	directorytest.RunAttack(t, onPostgres.harness(t), "B11")
}

func TestADatabaseThatGoesDownIsAnErrorUntilItIsBack(t *testing.T) {
	server := peertest.StartPostgres(t)
	d := openedWith(t, server.DSN, nil)
	desktopFor(t, d, broker.SeedPool{})
	host := enrol(t, d, "pool")
	_, err := d.Attach(t.Context(), host)
	require.NoError(t, err)
	reserve(t, d, "desktop")

	server.Stop(t)
	for range 3 {
		began := time.Now()
		_, err = d.Resources(t.Context(), alice())
		require.Equal(t, reachback.CodeInternal, reachback.CodeOf(err), "it is no refusal")
		err = d.Detach(t.Context(), host, 1)
		require.Error(t, err)
		require.Less(t, time.Since(began), 2*opTimeout+time.Second)
	}
	_, err = Open(t.Context(), server.DSN, nil)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "\n")

	server.Start(t)
	reserve(t, d, "desktop")
	resources, err := d.Resources(t.Context(), alice())
	require.NoError(t, err)
	require.Len(t, resources, 1)
}

// A pair of brokers on one database, each with a host.
type pair struct {
	t          *testing.T
	ahead      atomic.Int64
	one, other *Directory
	of1, of2   string
}

func newPair(t *testing.T) *pair {
	p := &pair{t: t}
	dsn := onPostgres.dsn(t)
	p.one, p.other = opened(t, dsn, &p.ahead), opened(t, dsn, &p.ahead)
	desktopFor(t, p.one, broker.SeedPool{MaxSessions: 1})
	p.of1, p.of2 = enrol(t, p.one, "pool"), enrol(t, p.other, "pool")
	_, err := p.one.Attach(t.Context(), p.of1)
	require.NoError(t, err)
	_, err = p.other.Attach(t.Context(), p.of2)
	require.NoError(t, err)
	p.judging(true)
	return p
}

// judging says whether both have reached the database for long enough.
func (p *pair) judging(on bool) {
	for _, d := range []*Directory{p.one, p.other} {
		d.reached(false)
		d.reached(true)
		if on {
			d.node.mu.Lock()
			d.node.judgeFrom = time.Now()
			d.node.mu.Unlock()
		}
	}
}

func (p *pair) passes(d time.Duration) { p.ahead.Add(d.Microseconds()) }

func (p *pair) up() (up []string) {
	p.t.Helper()
	hosts, err := p.one.Hosts(p.t.Context(), &broker.HostQuery{})
	require.NoError(p.t, err)
	for _, h := range hosts {
		if h.Up {
			up = append(up, h.ID)
		}
	}
	return up
}

func TestTheHostsOfABrokerThatDiedAreAbsentFromTheEndOfItsLease(t *testing.T) {
	p := newPair(t)
	_, err := p.other.Attach(t.Context(), p.of1) // both are the other's now
	require.NoError(t, err)
	s := reserve(t, p.one, "desktop")
	require.NoError(t, p.one.Joined(t.Context(), s.ID, "call"))
	p.passes(DefaultLease - 10*time.Second)
	require.NoError(t, p.one.renew(t.Context()))
	require.ElementsMatch(t, []string{p.of1, p.of2}, p.up())
	p.passes(11 * time.Second)
	require.Empty(t, p.up(), "before anybody has written it down")
	require.NoError(t, p.one.clear(t.Context()))
	require.Empty(t, p.up())

	// Its sessions are lost ten minutes after the end of the lease, not after it was noticed.
	p.passes(broker.AbsentFor - 15*time.Second)
	require.NoError(t, p.one.renew(t.Context()))
	require.NoError(t, p.one.clear(t.Context()))
	require.Equal(t, broker.SessionActive, stateOf(t, p.one, s))
	p.passes(15 * time.Second)
	require.NoError(t, p.one.renew(t.Context()))
	require.NoError(t, p.one.clear(t.Context()))
	require.Equal(t, broker.SessionLost, stateOf(t, p.one, s))
}

func stateOf(t *testing.T, d *Directory, s *broker.Session) broker.SessionState {
	t.Helper()
	got, err := d.Session(t.Context(), s.ID)
	require.NoError(t, err)
	return got.State
}

func TestABrokerThatWasCutOffPutsItsHostsBack(t *testing.T) {
	p := newPair(t)
	p.passes(DefaultLease + time.Second)
	require.NoError(t, p.one.renew(t.Context()))
	require.NoError(t, p.one.clear(t.Context()))
	require.Equal(t, []string{p.of1}, p.up())
	require.NoError(t, p.other.renew(t.Context()))
	require.ElementsMatch(t, []string{p.of1, p.of2}, p.up())

	// But not one whose channel has ended meanwhile.
	p.passes(DefaultLease + time.Second)
	require.NoError(t, p.one.renew(t.Context()))
	require.NoError(t, p.one.clear(t.Context()))
	require.NoError(t, p.other.Detach(t.Context(), p.of2, 1))
	require.NoError(t, p.other.renew(t.Context()))
	require.Equal(t, []string{p.of1}, p.up())
}

func TestAfterAnOutageNoLeaseIsJudgedForOneLeaseTime(t *testing.T) {
	p := newPair(t)
	p.judging(false) // as after an outage
	p.passes(time.Hour)
	require.NoError(t, p.one.clear(t.Context()))
	require.ElementsMatch(t, []string{p.of1, p.of2}, p.up())
	p.judging(true)
	require.NoError(t, p.one.clear(t.Context()))
	require.Empty(t, p.up())
}

func TestABrokerThatClosesLeavesNoHostBehind(t *testing.T) {
	dsn := onPostgres.dsn(t)
	one := opened(t, dsn, nil)
	other, err := Open(t.Context(), dsn, nil)
	require.NoError(t, err)
	desktopFor(t, one, broker.SeedPool{})
	_, err = other.Attach(t.Context(), enrol(t, one, "pool"))
	require.NoError(t, err)
	require.NoError(t, other.Close())
	hosts, err := one.Hosts(t.Context(), &broker.HostQuery{})
	require.NoError(t, err)
	require.False(t, hosts[0].Up)
}
