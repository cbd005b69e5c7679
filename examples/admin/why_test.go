package main

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// happened has the directory keep records of one connection, a second apart.
func (w *world) happened(correlation, user string, records ...broker.Record) {
	began := time.Now().Add(-time.Minute)
	for i := range records {
		r := &records[i]
		r.CorrelationID, r.User, r.Resource, r.Time = correlation, user, "desktop", began.Add(time.Duration(i)*time.Second)
		if r.Party == "" {
			r.Party = "broker"
		}
	}
	require.NoError(w.t, w.dir.AddRecords(w.t.Context(), records))
}

func TestWhyTellsWhatWentWrong(t *testing.T) {
	connect, call := broker.Record{Step: broker.StepConnect}, broker.Record{Step: broker.StepCall, Party: "gateway"}
	summon, answer := broker.Record{Step: broker.StepSummon, Host: "h1"}, broker.Record{Step: broker.StepAnswer, Party: "gateway"}
	found, joined := broker.Record{Step: broker.StepOrchestrate}, broker.Record{Step: broker.StepJoined, Party: "gateway"}
	for _, tt := range []struct {
		name    string
		records []broker.Record
		code    reachback.Code
		meaning string // empty: nothing is wrong
	}{
		{"no host", []broker.Record{connect, call, {Step: broker.StepOrchestrate, Code: reachback.CodeNoHost, Detail: "pool desktops"}},
			reachback.CodeNoHost, "no session host of the pool is ready: pool desktops"},
		{"not assigned", []broker.Record{{Step: broker.StepConnect, Code: reachback.CodeNotAssigned}}, reachback.CodeNotAssigned, "assigned"},
		{"the second host did it", []broker.Record{connect, call, {Step: broker.StepSummon, Code: reachback.CodeHostRefused}, summon, found, answer, joined}, "", ""},
		{"it came about and ended well", []broker.Record{connect, call, summon, found, answer, joined, {Step: broker.StepEnd, Code: reachback.CodeClosed}}, "", ""},
		{"it came about and was killed", []broker.Record{connect, call, summon, found, answer, joined, {Step: broker.StepEnd, Code: reachback.CodeKilled}},
			reachback.CodeKilled, "operator"},
		{"the client broke off", []broker.Record{connect, call, summon, found, answer, joined,
			{Step: broker.StepEnd, Party: "gateway", Code: reachback.CodeClientLost}, {Step: broker.StepEnd, Party: "host", Code: reachback.CodePathLost}},
			reachback.CodeClientLost, "client"},
		{"an operator asked too much of the host", []broker.Record{connect, call, summon, found, answer, joined, {Step: broker.StepAdmin, Code: reachback.CodeHostNotConnected}}, "", ""},
		{"no gateway saw the client", []broker.Record{connect}, "", "does it reach the gateways?"},
		{"the gateway asked nobody", []broker.Record{connect, call}, "", "does it reach the broker?"},
		{"the host never came", []broker.Record{connect, call, summon, found}, "", "-instance-url"},
		{"the client left first", []broker.Record{connect, call, summon, found, answer}, "", "the client left first"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.happened("c0ffee", "alice", tt.records...)
			w.happened("d00d", "bob", connect, call, summon, found, answer, joined)
			told := w.events("why", "-user", "alice")
			if tt.meaning == "" {
				require.Empty(t, told)
				require.Equal(t, "0 that failed or broke off, 1 that did not.\n", w.table("why", "-user", "alice"))
				told = w.events("why", "-all", "-user", "alice")
			}
			require.Len(t, told, len(tt.records)+1)
			for i, r := range tt.records {
				require.Equal(t, string(r.Step), told[i]["step"], "in their order")
			}
			last := told[len(told)-1]
			require.Equal(t, "connection", last["event"])
			require.Equal(t, "c0ffee", last["correlation_id"])
			require.Equal(t, "alice", last["user"])
			require.Equal(t, "desktop", last["resource"])
			if tt.code == "" {
				require.NotContains(t, last, "code")
			} else {
				require.Equal(t, string(tt.code), last["code"])
			}
			if tt.meaning != "" {
				require.Contains(t, last["meaning"], tt.meaning)
			}
		})
	}
}

func TestWhyIsAStoryForPeople(t *testing.T) {
	w := newWorld(t)
	w.happened("c0ffee", "alice",
		broker.Record{Step: broker.StepConnect, Duration: 1500 * time.Microsecond},
		broker.Record{Step: broker.StepCall, Party: "gateway", Remote: "192.0.2.1:50000"},
		broker.Record{Step: broker.StepOrchestrate, Code: reachback.CodeHostsFull, Detail: "a\x1b[2Jb"})
	when := regexp.MustCompile(`20[0-9-]{8} [0-9:]{8}`)
	require.Equal(t, `c0ffee  alice to desktop, TIME
     +0.000s  broker   connect      ok                   1.5 ms
     +1.000s  gateway  call         ok                   from 192.0.2.1:50000
     +2.000s  broker   orchestrate  hosts_full           a[2Jb
  = every session host of the pool is at its session limit: a[2Jb; SPEC.md, section 8, has causes and remedies of hosts_full

1 that failed or broke off, 0 that did not.
`, when.ReplaceAllString(w.table("why"), "TIME"))
}

func TestWhyReadsAsFarBackAsItIsAsked(t *testing.T) {
	w := newWorld(t)
	w.happened("c0ffee", "alice", broker.Record{Step: broker.StepConnect, Code: reachback.CodeNotAssigned})
	require.Empty(t, w.events("why", "-since", "1s"))
	require.NotEmpty(t, w.events("why", "-since", "1s", "-correlation", "c0ffee"), "who names a connection means that one")
	require.NotEmpty(t, w.events("why", "-since", "0"))

	records := w.events("records", "-code", "*", "-user", "alice", "-step", "connect", "-n", "5")
	require.Len(t, records, 1)
	require.Equal(t, "not_assigned", records[0]["code"])
	require.Contains(t, w.table("records"), "not_assigned")
	require.Empty(t, w.events("records", "-code", "no_host"))

	// More than one page of them.
	many := make([]broker.Record, 2*broker.MaxPage)
	for i := range many {
		many[i] = broker.Record{Step: broker.StepCall, Party: "gateway"}
	}
	w.happened("d00d", "bob", many...)
	require.Len(t, w.events("why", "-user", "bob", "-since", "0"), len(many)+1)
}
