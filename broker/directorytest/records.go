package directorytest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// someRecords are of three connections.
func someRecords(now time.Time) []broker.Record {
	at := func(minute int) time.Time {
		return now.Add(time.Duration(minute-60) * time.Minute).UTC().Truncate(time.Second)
	}
	return []broker.Record{
		{Time: at(0), Step: broker.StepConnect, Party: "broker", User: "u1", CorrelationID: "c1", Resource: "desktop"},
		{Time: at(1), Step: broker.StepJoined, Party: "gateway", User: "u1", CorrelationID: "c1", Session: "s1", Call: "call1", Host: "h1",
			Gateway: "https://gw.example", Remote: "192.0.2.1:50000", Duration: 42 * time.Millisecond, Detail: "by the shortest way"},
		{Time: at(2), Step: broker.StepConnect, Party: "broker", User: "u2", CorrelationID: "c2", Code: reachback.CodeResourceNotFound},
		{Time: at(3), Step: broker.StepEnd, Party: "gateway", User: "u1", CorrelationID: "c1", Session: "s1", Host: "h1", Code: reachback.CodeClosed},
		{Time: at(4), Step: broker.StepConnect, Party: "broker", Tenant: "other", User: "u1", CorrelationID: "c3", Host: "h1"},
	}
}

var recordCases = []testCase{
	{"records are found by user, host, code, time and connection, the newest first", func(p *place) {
		ctx, all := p.t.Context(), someRecords(p.now())
		p.ok(p.d.AddRecords(ctx, all[:2]))
		p.ok(p.second.AddRecords(ctx, all[2:4]))
		p.ok(p.d.AddRecords(ctx, all[4:]))
		for _, tt := range []struct {
			name string
			q    broker.RecordQuery
			want []int // of all
		}{
			{"all", broker.RecordQuery{}, []int{4, 3, 2, 1, 0}},
			{"tenant", broker.RecordQuery{Tenant: "other"}, []int{4}},
			{"user", broker.RecordQuery{User: "u1"}, []int{4, 3, 1, 0}},
			{"user of a tenant", broker.RecordQuery{User: "u1", Tenant: "other"}, []int{4}},
			{"host", broker.RecordQuery{Host: "h1"}, []int{4, 3, 1}},
			{"session", broker.RecordQuery{Session: "s1"}, []int{3, 1}},
			{"connection", broker.RecordQuery{CorrelationID: "c1"}, []int{3, 1, 0}},
			{"step", broker.RecordQuery{Step: broker.StepConnect}, []int{4, 2, 0}},
			{"code", broker.RecordQuery{Code: reachback.CodeClosed}, []int{3}},
			{"any code", broker.RecordQuery{Code: "*"}, []int{3, 2}},
			{"from, with its first instant", broker.RecordQuery{From: all[3].Time}, []int{4, 3}},
			{"to, without its last", broker.RecordQuery{To: all[1].Time}, []int{0}},
			{"from and to", broker.RecordQuery{From: all[1].Time, To: all[3].Time}, []int{2, 1}},
			{"all of it", broker.RecordQuery{User: "u1", Host: "h1", Step: broker.StepEnd, Code: "*", From: all[0].Time}, []int{3}},
			{"so many", broker.RecordQuery{Limit: 2}, []int{4, 3}},
			{"none", broker.RecordQuery{User: "u1", Code: reachback.CodeKilled}, nil},
		} {
			got, err := p.d.FindRecords(ctx, &tt.q)
			p.ok(err)
			require.Len(p.t, got, len(tt.want), tt.name)
			for i, n := range tt.want {
				want := all[n]
				want.ID = got[i].ID
				got[i].Time = got[i].Time.UTC()
				require.Equal(p.t, want, got[i], tt.name)
			}
		}
	}},
	{"records come in pages, by ids that rise", func(p *place) {
		ctx := p.t.Context()
		p.ok(p.d.AddRecords(ctx, someRecords(p.now())))
		q := broker.RecordQuery{Limit: 2}
		var ids []uint64
		for range 4 {
			page, err := p.second.FindRecords(ctx, &q)
			p.ok(err)
			for _, r := range page {
				ids = append(ids, r.ID)
				q.Before = r.ID
			}
		}
		require.Len(p.t, ids, 5)
		for i := range ids[1:] {
			require.Greater(p.t, ids[i], ids[i+1])
		}
		p.ok(p.d.AddRecords(ctx, someRecords(p.now())[:1]))
		newest, err := p.d.FindRecords(ctx, &broker.RecordQuery{Limit: 1})
		p.ok(err)
		require.Greater(p.t, newest[0].ID, ids[0])
	}},
	{"a list has a thousand rows at most", func(p *place) {
		ctx := p.t.Context()
		batch := make([]broker.Record, 300)
		for i := range batch {
			batch[i] = broker.Record{Time: p.now(), Step: broker.StepFeed, Party: "broker"}
		}
		for range 4 {
			p.ok(p.d.AddRecords(ctx, batch))
		}
		for _, limit := range []int{0, -1, broker.MaxPage + 1, broker.MaxPage} {
			got, err := p.d.FindRecords(ctx, &broker.RecordQuery{Limit: limit})
			p.ok(err)
			require.Len(p.t, got, broker.MaxPage)
		}
	}},
	{"no record is none", func(p *place) { p.ok(p.d.AddRecords(p.t.Context(), nil)) }},
}
