//go:build unix

package examples_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/examples/internal/admin/api"
)

// soon is how soon a stock client knows that its session is over, or that there will be none.
const soon = 10 * time.Second

// A stock client's session is the operator's as any other: he sees it, finds its records,
// and ends it; and it takes a slot.
func TestStockSessionIsCountedRecordedAndKilled(t *testing.T) {
	t.Parallel()
	d := startDesktop(t)
	in := installStock(t)
	host := in.host("host", d.addr, "-pool", "shadow")
	file := in.stockFile(t, "alice", "shadow")
	v := d.open(t, "killed", "xfreerdp", file, "/cert:ignore")
	id := host.await("session", patience).str("session")

	live := in.liveSessions()
	require.Len(t, live, 1)
	require.Equal(t, id, live[0].ID)
	require.Equal(t, "active", live[0].State)
	require.Equal(t, "alice", live[0].User.Subject)
	require.True(t, live[0].Raw)
	var steps []string
	eventually(t, "the records are written", func() bool {
		steps = nil
		for _, r := range in.records("correlation_id=" + live[0].CorrelationID) {
			require.Empty(t, r.Code, "%+v", r)
			steps = append(steps, r.Party+" "+r.Step)
		}
		return slices.Contains(steps, "gateway joined")
	})
	for _, step := range []string{"broker connect", "broker orchestrate", "broker summon", "gateway answer"} {
		require.Contains(t, steps, step)
	}

	// The pool's only host has one slot.
	bob := startViewer(t, "full", "xfreerdp", in.stockFile(t, "bob", "shadow"), "/cert:ignore")
	require.NotZero(t, bob.client.exit(soon), bob.client.log())
	in.recorded("user=bob", "hosts_full")
	d.greet(t, v)

	in.operate("POST", "/sessions/"+id+"/kill", "{}", nil)
	require.NotZero(t, v.client.exit(soon), v.client.log())
	require.Equal(t, "killed", host.await("end", patience).str("code"))
	in.recorded("session="+id, "killed")
	require.Empty(t, in.liveSessions())

	// What is killed does not come back with its file.
	again := startViewer(t, "killed-again", "xfreerdp", file, "/cert:ignore")
	require.NotZero(t, again.client.exit(soon), again.client.log())
	require.Empty(t, in.liveSessions())
}

// An RDP client tries one security protocol after the other, each by a call of its own, with
// the same token: it is one user, on one host, in one session.
func TestG10_TriesOfSecurityProtocolsAreOneSession(t *testing.T) {
	t.Parallel()
	d := startShadow(t, t.TempDir(), "/sec:rdp") // refuses what clients ask for first
	in := installStock(t)
	hosts := []*process{in.host("host1", d.addr, "-pool", "shadow"), in.host("host2", d.addr, "-pool", "shadow")}
	v := d.open(t, "retries", "xfreerdp", in.stockFile(t, "alice", "shadow"), "/cert:ignore")
	d.greet(t, v)

	live := in.liveSessions()
	require.Len(t, live, 1)
	calls := 0
	for _, h := range hosts {
		ids := h.sessions()
		if len(ids) == 0 {
			continue
		}
		require.Zero(t, calls, "a second host was asked")
		calls = len(ids)
		for _, id := range ids {
			require.Equal(t, live[0].ID, id)
		}
	}
	require.Greater(t, calls, 1, "the client was content with its first try")
	v.leave()
}

// A host that dies takes its own sessions with it, at once, and no others.
func TestStockClientLosesItsHost(t *testing.T) {
	t.Parallel()
	shadow, other := startDesktop(t), startDesktop(t)
	in := installStock(t)
	host := in.host("host-shadow", shadow.addr, "-pool", "shadow")
	in.host("host-other", other.addr, "-pool", "weston")
	v := shadow.open(t, "lost", "xfreerdp", in.stockFile(t, "alice", "shadow"), "/cert:ignore")
	neighbour := other.open(t, "neighbour", "xfreerdp", in.stockFile(t, "alice", "weston"), "/cert:ignore", "/gt:http,no-websockets")
	host.signal(syscall.SIGKILL)
	require.NotZero(t, v.client.exit(soon), v.client.log())
	in.recorded("user=alice", "host_lost")
	other.greet(t, neighbour)
	neighbour.leave()
}

func (in *installation) liveSessions() []api.Session {
	in.t.Helper()
	var all api.Sessions
	in.operate("GET", "/sessions?live=true", "", &all)
	return all.Sessions
}

func (in *installation) records(query string) []api.Record {
	in.t.Helper()
	var all api.Records
	in.operate("GET", "/records?"+query, "", &all)
	return all.Records
}

// recorded waits for a record with the code.
func (in *installation) recorded(query, code string) {
	in.t.Helper()
	eventually(in.t, "a record has the code "+code, func() bool { return len(in.records(query+"&code="+code)) > 0 })
}

// sessions are the sessions that a host has told of.
func (p *process) sessions() (ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if e.str("event") == "session" {
			ids = append(ids, e.str("session"))
		}
	}
	return ids
}
