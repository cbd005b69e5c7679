package sqldirectory

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/internal/peertest"
)

// patient opens a database whose server leaves those who wait for each other to it.
func patient(t *testing.T, server *peertest.PostgresServer) *Directory {
	return openedWith(t, server.DSN+"&deadlock_timeout=1min", &Options{idle: true})
}

// Whoever finds the host full that he waited for goes on to the next, and PostgreSQL
// has him keep the lock of the first. Two who go two ways must not meet.
func TestB11_TwoWhoWaitForFullHostsDoNotWaitForEachOther(t *testing.T) {
	server := peertest.StartPostgres(t)
	d := patient(t, server)
	pool := broker.SeedPool{Name: "pool", MaxSessions: 5, Balance: broker.DepthFirst}
	ids, resource := putHosts(t, d, &pool, 2)
	a, b := holdHost(t, server, ids[0]), holdHost(t, server, ids[1])
	a.fill(3)
	a.commit()
	a.lock()

	got := make(chan error)
	ask := func(n int) {
		r := wants(t, d, n, resource)
		go func() {
			_, err := d.Reserve(t.Context(), r)
			got <- err
		}()
	}
	ask(1) // to whom the first host is the fuller
	b.await(1)
	b.fill(4)
	b.commit()
	b.lock()
	ask(2) // to whom it is the second
	a.await(2)
	a.fill(5)
	a.commit()
	a.awaitTaken() // by the first, who goes on
	a.await(2)
	b.fill(5)
	b.commit()
	for range 2 {
		require.Equal(t, reachback.CodeHostsFull, reachback.CodeOf(<-got))
	}
}

// A heldHost is the row of a host that another holds.
type heldHost struct {
	t    *testing.T
	conn *pgx.Conn
	id   string
}

func holdHost(t *testing.T, server *peertest.PostgresServer, id string) *heldHost {
	conn, err := pgx.Connect(t.Context(), server.DSN)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	h := &heldHost{t, conn, id}
	h.lock()
	return h
}

func (h *heldHost) exec(sql string, args ...any) {
	h.t.Helper()
	_, err := h.conn.Exec(h.t.Context(), sql, args...)
	require.NoError(h.t, err)
}

func (h *heldHost) lock() {
	h.exec("BEGIN")
	h.exec("SELECT 1 FROM hosts WHERE id = $1 FOR NO KEY UPDATE", h.id)
}

func (h *heldHost) fill(sessions int) {
	h.exec("UPDATE hosts SET user_sessions = $2, rank = $3 WHERE id = $1", h.id, sessions, -sessions)
}

func (h *heldHost) commit() { h.exec("COMMIT") }

// await waits until so many wait for a lock.
func (h *heldHost) await(waiting int) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		n := 0
		err := h.conn.QueryRow(h.t.Context(), "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted").Scan(&n)
		return err == nil && n == waiting
	}, 10*time.Second, 5*time.Millisecond)
}

// awaitTaken waits until another has the row.
func (h *heldHost) awaitTaken() {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		tag, err := h.conn.Exec(h.t.Context(), "SELECT 1 FROM hosts WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED", h.id)
		return err == nil && tag.RowsAffected() == 0
	}, 10*time.Second, 5*time.Millisecond)
}

// Of many who ask at once for the last places nobody waits for one who waits for him.
func TestB11_ARushForTheLastPlacesIsNoDeadlock(t *testing.T) {
	const rounds, hosts, callers = 6, 6, 48
	server := peertest.StartPostgres(t)
	brokers := []*Directory{patient(t, server), patient(t, server)}
	for round := range rounds {
		for _, pool := range []broker.SeedPool{
			{Name: "breadth", MaxSessions: 2},
			{Name: "depth", MaxSessions: 2, Balance: broker.DepthFirst},
			{Name: "personal", Kind: broker.PoolPersonal},
		} {
			pool.Name += strconv.Itoa(round)
			places := hosts * max(1, pool.MaxSessions)
			got := rush(t, brokers, pool, hosts, callers)
			require.Equal(t, map[reachback.Code]int{"": places, reachback.CodeHostsFull: callers - places}, got, pool.Name)
		}
	}
}

// rush has as many users at once ask for a place on the hosts of a new pool, and counts
// the codes that come of it.
func rush(t *testing.T, brokers []*Directory, pool broker.SeedPool, hosts, callers int) map[reachback.Code]int {
	_, resource := putHosts(t, brokers[0], &pool, hosts)
	var mu sync.Mutex
	got := make(map[reachback.Code]int)
	var wg sync.WaitGroup
	for n := range callers {
		d, r := brokers[n%len(brokers)], wants(t, brokers[0], n, resource)
		wg.Go(func() {
			_, err := d.Reserve(t.Context(), r)
			mu.Lock()
			defer mu.Unlock()
			got[reachback.CodeOf(err)]++
		})
	}
	wg.Wait()
	return got
}

// putHosts makes a pool with hosts that are up, and a resource for everybody.
func putHosts(t *testing.T, d *Directory, pool *broker.SeedPool, hosts int) (ids []string, resource string) {
	resource = pool.Name
	require.NoError(t, d.PutPool(t.Context(), "", pool))
	require.NoError(t, d.PutResource(t.Context(), "", &broker.SeedResource{ID: resource, Pool: pool.Name, Assign: []string{"group:all"}}))
	insert(t, d, "hosts", hostInsert, hosts, func(n int) string {
		id := fmt.Sprintf("%s-host%02d", pool.Name, n)
		ids = append(ids, id)
		return fmt.Sprintf(`('%[1]s', '', '%[1]s', '%[2]s', '%[1]s', '', TRUE, FALSE, FALSE, 0, 1, TRUE, '%[3]s', FALSE, 1, 0, FALSE, '', 0, TRUE, '', 0, 0)`,
			id, pool.Name, d.node.id)
	})
	return ids, resource
}

// wants is a reservation for the nth user.
func wants(t *testing.T, d *Directory, n int, resource string) *broker.Reservation {
	token, err := d.NewTokenID(t.Context())
	require.NoError(t, err)
	return &broker.Reservation{
		User:     reachback.User{Issuer: "https://idp.example", Subject: fmt.Sprint("user", n), Groups: []string{"all"}},
		Resource: resource, Token: token, Expires: time.Now().Add(time.Minute), Call: token,
	}
}
