package admin

import (
	"context"
	"net/http"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin/api"
)

type sessionsInput struct {
	Scope
	User  string `query:"user" maxLength:"256" doc:"Sessions of this user only, by his subject." example:"alice"`
	Host  string `query:"host" maxLength:"64" doc:"Sessions on this host only, by name or id." example:"pc-17"`
	Live  bool   `query:"live" doc:"Pending and active ones only." example:"true"`
	Limit int    `query:"limit" minimum:"0" maximum:"1000" doc:"Most sessions in the answer; 1000 by default." example:"100"`
}

// A SessionPath names a session.
type SessionPath struct {
	ID string `path:"id" maxLength:"64" doc:"The session's id." example:"3b1c5d7e9f20416283a4b5c6d7e8f901"`
}

type messageInput struct {
	SessionPath
	Body api.Message
}

// sessions registers what is about sessions.
func (a *operators) sessions() {
	on(a, http.MethodGet, "/sessions", "list-sessions", "List sessions", "Sessions of the tenant, the newest first. Those that are over are remembered for a while.",
		func(ctx context.Context, in *sessionsInput) (*answer[api.Sessions], error) {
			host, err := a.hostID(ctx, in.Tenant, in.Host)
			if err != nil {
				return nil, err
			}
			found, err := a.Directory.ListSessions(ctx, &broker.SessionQuery{Tenant: in.Tenant, User: in.User, Host: host, Live: in.Live, Limit: in.Limit})
			if err != nil {
				return nil, err
			}
			all := api.Sessions{Sessions: []api.Session{}}
			for i := range found {
				all.Sessions = append(all.Sessions, sessionOf(&found[i]))
			}
			return body(all), nil
		})
	on(a, http.MethodGet, "/sessions/{id}", "get-session", "Get a session", "One session.",
		func(ctx context.Context, in *SessionPath) (*answer[api.Session], error) {
			s, err := a.Directory.Session(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return body(sessionOf(s)), nil
		})
	act := func(path, id, summary, description string, do func(context.Context, string) error) {
		on(a, http.MethodPost, path, id, summary, description, func(ctx context.Context, in *SessionPath) (*nothing, error) {
			return nil, do(ctx, in.ID)
		})
	}
	act("/sessions/{id}/kill", "kill-session", "Kill a session",
		"Ends the connection at its gateway and its host within two seconds, and refuses its token. The desktop goes on.", a.Broker.Kill)
	act("/sessions/{id}/logoff", "log-off", "Log the user off",
		"Ends the user's desktop with all programs in it. Refused where the host has no means to.", a.Broker.LogOff)
	act("/sessions/{id}/disconnect", "disconnect-user", "Disconnect the user",
		"Takes the desktop from the user's screen; it goes on. Refused where the host has no means to.", a.Broker.DisconnectUser)
	on(a, http.MethodPost, "/sessions/{id}/message", "message-user", "Show the user a message",
		"On his screen. Refused where the host has no means to.",
		func(ctx context.Context, in *messageInput) (*nothing, error) {
			if len(in.Body.Title)+len(in.Body.Text) > broker.MaxUserMessage {
				return nil, badRequest("title and text are longer than 4096 bytes")
			}
			return nil, a.Broker.MessageUser(ctx, in.ID, in.Body.Title, in.Body.Text)
		})
}

func sessionOf(s *broker.Session) api.Session {
	return api.Session{
		ID: s.ID, State: s.State.String(), User: api.User{Issuer: s.User.Issuer, Subject: s.User.Subject}, Tenant: s.User.Tenant,
		Resource: s.Resource.ID, Pool: s.Resource.Pool, Host: s.Host, Raw: s.Raw, CorrelationID: s.CorrelationID, Created: s.Created, Changed: s.Changed,
	}
}
