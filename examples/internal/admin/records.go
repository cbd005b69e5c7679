package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin/api"
)

type recordsInput struct {
	Tenant        string    `query:"tenant" maxLength:"256" doc:"Records of this tenant only; empty: of all." example:"contoso"`
	User          string    `query:"user" maxLength:"256" doc:"Records of this user only, by his subject." example:"alice"`
	Host          string    `query:"host" maxLength:"64" doc:"Records of this host only, by name or id." example:"pc-17"`
	Session       string    `query:"session" maxLength:"64" doc:"Records of this session only." example:"3b1c5d7e9f20416283a4b5c6d7e8f901"`
	CorrelationID string    `query:"correlation_id" maxLength:"64" doc:"Records of this connection only." example:"5e8f1c0a9d3b47f2a6c1d4e7b8f90213"`
	Step          string    `query:"step" maxLength:"64" doc:"Records of this step only." example:"orchestrate"`
	Code          string    `query:"code" maxLength:"64" doc:"Records with this code only; *: with any, which is what failed or ended." example:"no_host"`
	From          time.Time `query:"from" doc:"Records from this time on." example:"2026-03-01T09:00:00Z"`
	To            time.Time `query:"to" doc:"Records before this time." example:"2026-03-01T10:00:00Z"`
	Before        uint64    `query:"before" doc:"Only ids before this one: the next page." example:"4700"`
	Limit         int       `query:"limit" minimum:"0" maximum:"1000" doc:"Most records on the page; 1000 by default." example:"100"`
}

// records registers what is about records.
func (a *operators) records() {
	on(a, http.MethodGet, "/records", "find-records", "Find records",
		"One record for each step of each connection, and for what hosts, gateways and operators did: the answer to why a user could not connect. The newest first.",
		func(ctx context.Context, in *recordsInput) (*answer[api.Records], error) {
			host, err := a.hostID(ctx, in.Tenant, in.Host)
			if err != nil {
				return nil, err
			}
			found, err := a.Directory.FindRecords(ctx, &broker.RecordQuery{
				Tenant: in.Tenant, User: in.User, Host: host, Session: in.Session, CorrelationID: in.CorrelationID,
				Step: broker.Step(in.Step), Code: reachback.Code(in.Code), From: in.From, To: in.To, Before: in.Before, Limit: in.Limit,
			})
			if err != nil {
				return nil, err
			}
			page := api.Records{Records: []api.Record{}}
			for i := range found {
				page.Records = append(page.Records, recordOf(&found[i]))
			}
			if n := len(found); n > 0 && n == pageSize(in.Limit) {
				page.Next = found[n-1].ID
			}
			return body(page), nil
		})
}

func recordOf(r *broker.Record) api.Record {
	return api.Record{
		ID: r.ID, Time: r.Time, Step: string(r.Step), Party: r.Party, Code: string(r.Code), Message: r.Code.Text(),
		CorrelationID: r.CorrelationID, DurationMS: float64(r.Duration) / float64(time.Millisecond), Tenant: r.Tenant, User: r.User,
		Resource: r.Resource, Session: r.Session, Call: r.Call, Host: r.Host, Gateway: r.Gateway, Remote: r.Remote, Detail: r.Detail,
	}
}
