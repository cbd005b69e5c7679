package sqldirectory

import (
	"context"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/relay"
)

// HostReport implements broker.Presence.
func (d *Directory) HostReport(ctx context.Context, host string, epoch uint64, full bool, reports []broker.SessionReport) (*broker.ReportAnswer, error) {
	var answer *broker.ReportAnswer
	err := d.write(ctx, "", func(t *tx) error {
		answer = &broker.ReportAnswer{}
		l, err := d.openLedger(t, host)
		if err != nil || l == nil || !l.host.up || l.host.epoch != int64(epoch) {
			return err // a ghost's has no effect
		}
		if full {
			if err := l.findAll(); err != nil {
				return err
			}
		}
		if err := l.findReported(reports); err != nil {
			return err
		}
		var changed []*session
		listed := make(map[string]bool, len(reports))
		for _, r := range reports {
			s := l.sessions[r.Session]
			if s == nil || s.forgotten(t.now) {
				answer.Unknown++
				continue
			}
			listed[s.id] = true
			if l.reported(s, r.State, t.now) {
				changed = append(changed, s)
			}
			if s.state == broker.SessionKilled && r.State == broker.ReportActive {
				answer.Kills = append(answer.Kills, broker.Kill{Kill: relay.Kill{Session: s.id, Code: reachback.CodeKilled}, On: host})
			}
		}
		if full {
			changed = append(changed, l.unlisted(listed, t.now)...)
		}
		l.store()
		for _, s := range changed {
			v, err := s.session()
			if err != nil {
				return err
			}
			answer.Changed = append(answer.Changed, *v)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// findReported has the sessions of a report in hand, as far as they are the host's,
// with the user sessions that they are of.
func (l *ledger) findReported(reports []broker.SessionReport) error {
	var ids []string
	for _, r := range reports {
		if l.sessions[r.Session] == nil {
			ids = append(ids, r.Session)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	params, args := in([]any{l.host.ID}, ids)
	l.t.later(l.takeSession, "SELECT "+sessionColumns+" FROM sessions s WHERE s.host = $1 AND s.id IN ("+params+") {lock s}", args...)
	return l.t.query(l.takeDesktop, "SELECT "+desktopColumns+` FROM desktops d WHERE d.host = $1 AND d.person IN
		(SELECT person FROM sessions WHERE host = $1 AND id IN (`+params+`))`, args...)
}
