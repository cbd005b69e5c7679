package sqldirectory

import (
	"context"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/relay"
)

// A killRow is a row of kills to be.
type killRow struct {
	session, onHost, host, gateway string
	code                           reachback.Code
	due                            int64 // zero: it stays
}

// addKill writes a kill and returns its revision. Whoever else writes one waits for
// the end of this transaction, so that a revision never comes into sight after a
// higher one. It is the last lock that a transaction takes.
func (t *tx) addKill(k *killRow) (revision int64, err error) {
	if revision, err = t.count("revision", 1); err != nil {
		return 0, err
	}
	t.exec("INSERT INTO kills (revision, session, on_host, host, gateway, code, due) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		revision, k.session, k.onHost, k.host, k.gateway, string(k.code), k.due)
	return revision, nil
}

// count adds n to a counter and returns the sum.
func (t *tx) count(name string, n int) (sum int64, err error) {
	_, err = t.get([]any{&sum}, "UPDATE counters SET value = value + $1 WHERE name = $2 RETURNING value", int64(n), name)
	return sum, err
}

// kills returns those in force that meet a condition, in which $2 is arg.
func (t *tx) kills(condition string, arg any) ([]broker.Kill, error) {
	return list(t, func(r row) (broker.Kill, error) {
		var revision int64
		var session, on, host, gateway, code string
		err := r.Scan(&revision, &session, &on, &host, &gateway, &code)
		k := relay.Kill{Revision: uint64(revision), Session: session, Host: host, Code: reachback.Code(code)}
		return broker.Kill{Kill: k, On: on, Gateway: gateway}, err
	}, "SELECT revision, session, on_host, host, gateway, code FROM kills WHERE (due = 0 OR due > $1) AND "+condition+" ORDER BY revision", t.now, arg)
}

// Kills implements broker.Enrolment.
func (d *Directory) Kills(ctx context.Context, after uint64) ([]broker.Kill, error) {
	var found []broker.Kill
	err := d.read(ctx, func(t *tx) (err error) {
		found, err = t.kills("revision > CASE WHEN (SELECT value FROM counters WHERE name = 'revision') < $2 THEN 0 ELSE $2 END", int64(after))
		return err
	})
	return found, err
}
