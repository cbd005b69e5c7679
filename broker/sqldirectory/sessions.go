package sqldirectory

import (
	"context"
	"fmt"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// NewTokenID implements broker.Sessions. The id begins with the mark of this
// database, so that one drawn by another is told from an unused one.
func (d *Directory) NewTokenID(context.Context) (string, error) {
	return d.mark + "." + randomID(16), nil
}

// onSession runs f with a session in hand, if there is one, and writes what f has
// changed.
func (d *Directory) onSession(ctx context.Context, id string, f func(l *ledger, s *session) error) error {
	return d.write(ctx, "", func(t *tx) error {
		// A session's host never changes, so it may be looked up before it is locked.
		h, err := d.findHost(t, "SELECT "+hostColumns+" FROM hosts h WHERE h.id = (SELECT host FROM sessions WHERE id = $2) {lock h}", d.floor(t), id)
		if h == nil || err != nil {
			return orNot(err, f)
		}
		l := d.newLedger(t, h)
		s, err := l.find(id)
		if s == nil || err != nil {
			return orNot(err, f)
		}
		if err := f(l, s); err != nil {
			return err
		}
		l.store()
		return nil
	})
}

// orNot is what f makes of no session.
func orNot(err error, f func(l *ledger, s *session) error) error {
	if err != nil {
		return err
	}
	return f(nil, nil)
}

// Release implements broker.Sessions.
func (d *Directory) Release(ctx context.Context, id string) error {
	return d.onSession(ctx, id, func(l *ledger, s *session) error {
		if s != nil && s.state == broker.SessionPending {
			l.move(s, broker.SessionEnded, l.t.now)
		}
		return nil
	})
}

// Joined implements broker.Sessions.
func (d *Directory) Joined(ctx context.Context, id, call string) error {
	joined := false
	err := d.write(ctx, "", func(t *tx) (err error) {
		// A session that counts already counts on: its host need not be locked.
		joined, err = t.exists(`UPDATE sessions SET state = 1, joined = TRUE, due = 0, calls = calls || $3,
			changed = CASE state WHEN 0 THEN $2 ELSE changed END
			WHERE id = $1 AND state IN (0, 1) AND length(calls) < 1024 RETURNING id`, id, t.now, callLine(call)+"\n")
		return err
	})
	if joined || err != nil {
		return err
	}
	return d.onSession(ctx, id, func(l *ledger, s *session) error {
		if s != nil && s.state != broker.SessionKilled {
			l.move(s, broker.SessionActive, l.t.now)
			s.join(call)
		}
		return nil
	})
}

// Left implements broker.Sessions.
func (d *Directory) Left(ctx context.Context, id, call string) error {
	return d.onSession(ctx, id, func(l *ledger, s *session) error {
		if s == nil {
			return nil
		}
		if s.leave(call); len(s.calls) == 0 && s.live() {
			l.move(s, broker.SessionEnded, l.t.now)
		}
		return nil
	})
}

// Kill implements broker.Sessions.
func (d *Directory) Kill(ctx context.Context, id string, c reachback.Code) error {
	return d.onSession(ctx, id, func(l *ledger, s *session) error {
		if s == nil {
			return reachback.Refuse(reachback.CodeNotFound)
		}
		if !l.move(s, broker.SessionKilled, l.t.now) {
			return nil
		}
		until := l.t.now + broker.KeepKilled.Microseconds()
		l.t.exec("UPDATE spent SET killed = TRUE, due = $1 WHERE token = $2 AND (session = $3 OR NOT raw)", until, s.token, s.id)
		_, err := l.t.addKill(&killRow{session: s.id, onHost: s.host, code: c, due: until})
		return err
	})
}

// Session implements broker.Sessions.
func (d *Directory) Session(ctx context.Context, id string) (*broker.Session, error) {
	var found *broker.Session
	err := d.read(ctx, func(t *tx) error {
		all, err := list(t, scanSession, "SELECT "+sessionColumns+" FROM sessions s WHERE s.id = $1", id)
		if err != nil {
			return err
		}
		if len(all) == 0 || all[0].forgotten(t.now) {
			return reachback.Refuse(reachback.CodeNotFound)
		}
		found, err = all[0].session()
		return err
	})
	return found, err
}

// ListSessions implements broker.Sessions.
func (d *Directory) ListSessions(ctx context.Context, q *broker.SessionQuery) ([]broker.Session, error) {
	var found []broker.Session
	err := d.read(ctx, func(t *tx) error {
		w := where{args: []any{q.Tenant, t.now}, terms: []string{"s.tenant = $1", "(s.state IN (0, 1) OR s.due > $2)"}}
		w.equal("s.subject", q.User)
		w.equal("s.host", q.Host)
		if q.Live {
			w.terms = append(w.terms, "s.state IN (0, 1)")
		}
		all, err := list(t, scanSession, fmt.Sprintf("SELECT %s FROM sessions s WHERE %s ORDER BY s.created DESC, s.id LIMIT %d",
			sessionColumns, w.String(), page(q.Limit)), w.args...)
		if err != nil {
			return err
		}
		found = make([]broker.Session, 0, len(all))
		for _, s := range all {
			v, err := s.session()
			if err != nil {
				return err
			}
			found = append(found, *v)
		}
		return nil
	})
	return found, err
}

// A where is a condition in the making.
type where struct {
	terms []string
	args  []any
}

// add adds a term in which %d stands for the number of the parameter.
func (w *where) add(term string, arg any) {
	w.args = append(w.args, arg)
	w.terms = append(w.terms, fmt.Sprintf(term, len(w.args)))
}

// equal adds a term unless the value, which then does not matter, is empty.
func (w *where) equal(column, value string) {
	if value != "" {
		w.add(column+" = $%d", value)
	}
}

// indexed is equal for a column whose index is without the rows where it is empty.
func (w *where) indexed(column, value string) {
	if value != "" {
		w.add(column+" = $%d AND "+column+" <> ''", value)
	}
}

func (w *where) String() string {
	if len(w.terms) == 0 {
		return "TRUE"
	}
	return strings.Join(w.terms, " AND ")
}

// page is how many rows a list may have that was asked for with that limit. Of the
// limits that are asked for there are few, so that they may stand in the statement.
func page(limit int) int {
	if limit <= 0 || limit > broker.MaxPage {
		return broker.MaxPage
	}
	return limit
}
