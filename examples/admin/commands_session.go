package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/reachback/reachback/examples/internal/admin/api"
	"github.com/reachback/reachback/examples/internal/program"
)

var sessionCommands = []command{
	{"sessions", "", "list sessions, the newest first", listSessions},
	{"session", "ID", "show a session", show("session", "sessions")},
	{"kill", "SESSION", "end a session; the desktop goes on", do("kill", http.MethodPost, "sessions", "kill", nil)},
	{"disconnect", "SESSION", "take the desktop from the user's screen; it goes on", do("disconnect", http.MethodPost, "sessions", "disconnect", nil)},
	{"logoff", "SESSION", "end the user's desktop with all programs in it", do("logoff", http.MethodPost, "sessions", "logoff", nil)},
	{"message", "SESSION TEXT", "show the user a message", message},
	{"records", "", "list records of what happened, the newest first", listRecords},
	{"why", "", "tell why users could not connect", why},
	{"health", "", "show whether everything that the server needs answers; fails where it does not", plain(func(ctx context.Context, a *asking, _ []string) error {
		status, object, err := a.send(ctx, http.MethodGet, "/healthz", nil, nil)
		if err != nil {
			return err
		}
		if err := a.thing("health", object); err != nil {
			return err
		}
		if status != http.StatusOK {
			a.flush()
			return errors.New("something that the server needs does not answer")
		}
		return nil
	})},
	{"stats", "", "show what the server counts", plain(func(ctx context.Context, a *asking, _ []string) error {
		var object json.RawMessage
		if err := a.get(ctx, "/stats", nil, &object); err != nil {
			return err
		}
		return a.thing("stats", object)
	})},
}

func listSessions(f *flag.FlagSet) func(context.Context, *asking, []string) error {
	user := f.String("user", "", "sessions of this `user` only, by his subject")
	host := f.String("host", "", "sessions on this `host` only, by name or id")
	live := f.Bool("live", false, "pending and active ones only")
	limit := f.Int("n", 0, "`number` of them at most; 1000 by default")
	return func(ctx context.Context, a *asking, _ []string) error {
		q := a.scope("user", *user, "host", *host, "limit", number(*limit))
		if *live {
			q.Set("live", "true")
		}
		_, err := a.page(ctx, "session", "/sessions", "sessions", q)
		return err
	}
}

func message(f *flag.FlagSet) func(context.Context, *asking, []string) error {
	title := f.String("title", "", "the message's `title`")
	return func(ctx context.Context, a *asking, args []string) error {
		in := api.Message{Title: *title, Text: args[1]}
		if err := a.change(ctx, http.MethodPost, path("sessions", ":"+args[0], "message"), nil, in, nil); err != nil {
			return err
		}
		a.done("message", args[0])
		return nil
	}
}

// A recordFilter says which records a command is about.
type recordFilter struct {
	user, host, session, correlation *string
	since                            *time.Duration
}

func newRecordFilter(f *flag.FlagSet) *recordFilter {
	return &recordFilter{
		user:        f.String("user", "", "records of this `user` only, by his subject"),
		host:        f.String("host", "", "records of this `host` only, by name or id"),
		session:     f.String("session", "", "records of this `session` only"),
		correlation: f.String("correlation", "", "records with this correlation `id` only"),
		since:       f.Duration("since", time.Hour, "`duration` to look back, such as 30m or 48h; 0: of all time"),
	}
}

func (r *recordFilter) query(a *asking) (url.Values, error) {
	if *r.since < 0 {
		return nil, program.UsageError(fmt.Sprintf("flag -since: %v is negative", *r.since))
	}
	q := a.scope("user", *r.user, "host", *r.host, "session", *r.session, "correlation_id", *r.correlation)
	// Who names a connection wants it whenever it was.
	if *r.since > 0 && *r.correlation == "" {
		q.Set("from", time.Now().Add(-*r.since).UTC().Format(time.RFC3339Nano))
	}
	return q, nil
}

func listRecords(f *flag.FlagSet) func(context.Context, *asking, []string) error {
	filter := newRecordFilter(f)
	step := f.String("step", "", "records of this `step` only")
	code := f.String("code", "", "records with this `code` only; * for any code")
	before := f.Int("before", 0, "records with a smaller `id` only, for the next page")
	limit := f.Int("n", 0, "`number` of them at most; 1000 by default")
	return func(ctx context.Context, a *asking, _ []string) error {
		q, err := filter.query(a)
		if err != nil {
			return err
		}
		for name, value := range map[string]string{"step": *step, "code": *code, "before": number(*before), "limit": number(*limit)} {
			if value != "" {
				q.Set(name, value)
			}
		}
		_, err = a.page(ctx, "record", "/records", "records", q)
		return err
	}
}
