package sqldirectory

import (
	"time"

	"github.com/reachback/reachback/broker"
)

// A ledger is what a transaction has in hand of one host, whose row it has locked:
// user sessions, and sessions. Changes are made here, by the same few steps whoever
// asks for them, and written by store.
type ledger struct {
	t        *tx
	host     *hostRow
	pool     ledgerPool
	desktops map[string]*desktop
	sessions map[string]*session
	keep     []keeping
}

// A desktop is a user session: see the table of that name.
type desktop struct {
	person, tenant, pool string
	live                 int64
	used, linger         int64
	last                 string
	held                 bool

	was, is bool // in the table
	changed bool
}

// A ledgerPool is what matters of a host's pool.
type ledgerPool struct {
	linger          int64
	depth, personal bool
}

// A keeping has a session that is over forgotten in due time, which is not in hand.
type keeping struct {
	session string
	least   time.Duration // of the three times, at least
	now     int64
}

// openLedger locks a host. It is nil where there is no such host.
func (d *Directory) openLedger(t *tx, host string) (*ledger, error) {
	h, err := d.lockHost(t, host)
	return d.newLedger(t, h), err
}

func (d *Directory) newLedger(t *tx, h *hostRow) *ledger {
	if h == nil {
		return nil
	}
	l := &ledger{t: t, host: h, desktops: make(map[string]*desktop), sessions: make(map[string]*session)}
	l.pool.linger = broker.DefaultLinger.Microseconds()
	t.later(func(r row) error {
		return r.Scan(&l.pool.linger, &l.pool.depth, &l.pool.personal)
	}, "SELECT linger, depth, personal FROM pools WHERE tenant = $1 AND name = $2", h.Tenant, h.Pool)
	return l
}

const desktopColumns = "d.person, d.tenant, d.pool, d.live, d.used, d.last, d.held, d.linger"

func scanDesktop(r row) (*desktop, error) {
	u := &desktop{was: true, is: true}
	return u, r.Scan(&u.person, &u.tenant, &u.pool, &u.live, &u.used, &u.last, &u.held, &u.linger)
}

// takeDesktop and takeSession take a row in hand, unless it is already.
func (l *ledger) takeDesktop(r row) error {
	u, err := scanDesktop(r)
	if err == nil && l.desktops[u.person] == nil {
		l.desktops[u.person] = u
	}
	return err
}

func (l *ledger) takeSession(r row) error {
	s, err := scanSession(r)
	if err == nil && l.sessions[s.id] == nil {
		l.sessions[s.id] = s
	}
	return err
}

// find has a session of the host in hand, with its user session; nil where there is
// none, or what is left of it is due to be forgotten.
func (l *ledger) find(id string) (*session, error) {
	l.t.later(l.takeDesktop, "SELECT "+desktopColumns+` FROM desktops d
		WHERE d.host = $1 AND d.person = (SELECT person FROM sessions WHERE id = $2)`, l.host.ID, id)
	err := l.t.query(l.takeSession, "SELECT "+sessionColumns+" FROM sessions s WHERE s.id = $1 AND s.host = $2 {lock s}", id, l.host.ID)
	if s := l.sessions[id]; s != nil && !s.forgotten(l.t.now) {
		return s, err
	}
	return nil, err
}

// findPerson has the user session of a user in hand, if he has one.
func (l *ledger) findPerson(person string) error {
	return l.t.query(l.takeDesktop, "SELECT "+desktopColumns+" FROM desktops d WHERE d.host = $1 AND d.person = $2", l.host.ID, person)
}

// findAll has all user sessions of the host in hand, with the sessions that they are
// made of.
func (l *ledger) findAll() error {
	l.t.later(l.takeDesktop, "SELECT "+desktopColumns+" FROM desktops d WHERE d.host = $1", l.host.ID)
	l.t.later(l.takeSession, "SELECT "+sessionColumns+" FROM sessions s WHERE s.host = $1 AND s.state IN (0, 1) {lock s}", l.host.ID)
	return l.t.query(l.takeSession, "SELECT "+sessionColumns+` FROM sessions s
		WHERE s.id IN (SELECT last FROM desktops WHERE host = $1 AND last <> '') {lock s}`, l.host.ID)
}

// desktop returns the user session that s belongs to, and begins one.
func (l *ledger) desktop(s *session) *desktop {
	u := l.desktops[s.person]
	if u == nil {
		u = &desktop{person: s.person, tenant: s.tenant, pool: s.pool}
		l.desktops[s.person] = u
	}
	u.is, u.changed = true, true
	return u
}

// current returns the user session of s, nil where there is none.
func (l *ledger) current(s *session) *desktop {
	if u := l.desktops[s.person]; u != nil && u.is {
		return u
	}
	return nil
}

// store writes what has changed.
func (l *ledger) store() {
	count := int64(0)
	for _, u := range l.desktops {
		switch {
		case u.is && !u.was:
			count++
			l.t.exec("INSERT INTO desktops (host, person, tenant, pool, live, used, last, held, linger) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
				l.host.ID, u.person, u.tenant, u.pool, u.live, u.used, u.last, u.held, u.linger)
		case u.was && !u.is:
			count--
			l.t.exec("DELETE FROM desktops WHERE host = $1 AND person = $2", l.host.ID, u.person)
		case u.is && u.changed:
			l.t.exec("UPDATE desktops SET live = $3, used = $4, last = $5, held = $6, linger = $7 WHERE host = $1 AND person = $2",
				l.host.ID, u.person, u.live, u.used, u.last, u.held, u.linger)
		}
	}
	if count != 0 {
		l.host.userSessions += count
		l.t.exec("UPDATE hosts SET user_sessions = $2, rank = $3 WHERE id = $1", l.host.ID, l.host.userSessions, l.rank())
	}
	for _, s := range l.sessions {
		s.store(l.t)
	}
	for _, k := range l.keep {
		l.t.exec(`UPDATE sessions SET due = $1 + CASE state WHEN 4 THEN CAST($2 AS BIGINT) WHEN 2 THEN $3 ELSE $4 END WHERE id = $5 AND state >= 2`,
			k.now, broker.KeepKilled.Microseconds(), broker.KeepLost.Microseconds(), k.least.Microseconds(), k.session)
	}
}

// rank is the host's place in the order in which its pool's hosts are taken.
func (l *ledger) rank() int64 {
	switch {
	case l.pool.personal && l.host.AssignedTo != "":
		return 1
	case l.pool.personal:
		return 0
	case l.pool.depth:
		return -l.host.userSessions
	}
	return l.host.userSessions
}
