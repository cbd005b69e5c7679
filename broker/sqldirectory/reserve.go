package sqldirectory

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/internal/token"
)

// Reserve implements broker.Sessions. Before it refuses somebody because all hosts are
// full, what has run out is cleared.
func (d *Directory) Reserve(ctx context.Context, r *broker.Reservation) (*broker.Session, error) {
	s, due, err := d.reserve(ctx, r)
	if !due || reachback.CodeOf(err) != reachback.CodeHostsFull {
		return s, err
	}
	if err := d.clearDue(ctx); err != nil {
		return nil, err
	}
	s, _, err = d.reserve(ctx, r)
	return s, err
}

// reserve is Reserve, in one transaction. A refusal is an end of it that is committed
// too, because the token is used up. Due are slots of the pool then that clearDue would
// give back.
func (d *Directory) reserve(ctx context.Context, r *broker.Reservation) (_ *broker.Session, due bool, err error) {
	if !strings.HasPrefix(r.Token, d.mark+".") {
		return nil, false, reachback.Refuse(reachback.CodeTokenStale)
	}
	person := person(r.User.ID())
	var reserved *session
	var refusal *reachback.Error
	queued := false
	err = d.write(ctx, person, func(t *tx) error {
		p := &placing{d: d, t: t, r: r, person: person, queued: queued}
		s, err := p.run()
		queued, due, refusal = p.queued, p.due, nil
		if e, ok := errors.AsType[*reachback.Error](err); ok {
			refusal, err = e, nil
		}
		reserved = s
		return err
	})
	switch {
	case err != nil:
		return nil, false, err
	case refusal != nil:
		return nil, due, refusal
	}
	s, err := reserved.session()
	return s, false, err
}

// A placing is one attempt at a reservation.
type placing struct {
	d      *Directory
	t      *tx
	r      *broker.Reservation
	person string
	queued bool // for a host, in the next attempt

	spent spending
	pool  placingPool
	host  string // where he has a user session; or empty
	due   bool   // all hosts are full, and some slots due to be given back
}

// A spending is a row of spent.
type spending struct {
	call, address string
	raw, killed   bool
	since         int64
	session       string
	old           bool // was there
}

// A placingPool is what a reservation must know of its resource and pool.
type placingPool struct {
	found, assigned      bool
	name                 string
	personal, depth, raw bool
	maxSessions          int64
	view, policy         string // JSON
	updatedAt            int64
}

func (p *placing) run() (*session, error) {
	if err := p.look(); err != nil {
		return nil, err
	}
	if err := p.admit(); err != nil {
		return nil, err
	}
	if p.r.Raw && p.spent.session != "" {
		s, err := p.repeat()
		if s != nil || err != nil {
			return s, err
		}
	}
	h, err := p.place()
	if err != nil {
		return nil, err
	}
	return p.enter(h)
}

// look spends the token, and reads whether it was spent before, where the user is, and
// the resource.
func (p *placing) look() error {
	t, r := p.t, p.r
	p.spent.old = true
	due := r.Expires.Add(spentFor).UnixMicro()
	t.later(func(row row) error {
		p.spent.old = false
		return row.Scan(&p.spent.call)
	}, `INSERT INTO spent (token, call, raw, address, since, due, session, killed) VALUES ($1, $2, $3, $4, $5, $6, '', FALSE)
		ON CONFLICT (token) DO NOTHING RETURNING call`, r.Token, r.Call, r.Raw, r.Address.String(), t.now, due)
	p.existing()
	assignees, args := in([]any{r.User.Tenant, r.Resource}, assignees(&r.User))
	err := t.query(func(row row) error {
		p.pool.found = true
		return row.Scan(&p.pool.assigned, &p.pool.name, &p.pool.personal, &p.pool.depth, &p.pool.raw, &p.pool.maxSessions,
			&p.pool.view, &p.pool.updatedAt, &p.pool.policy)
	}, `SELECT EXISTS (SELECT 1 FROM assignments a WHERE a.tenant = $1 AND a.resource = $2 AND a.assignee IN (`+assignees+`)),
			p.name, p.personal, p.depth, p.raw, p.max_sessions, r.view, r.updated_at, p.policy
		FROM resources r JOIN pools p ON p.tenant = r.tenant AND p.name = r.pool WHERE r.tenant = $1 AND r.id = $2`, args...)
	if err != nil || !p.spent.old {
		return err
	}
	s := &p.spent
	_, err = t.get([]any{&s.call, &s.raw, &s.address, &s.since, &s.session, &s.killed},
		"SELECT call, raw, address, since, session, killed FROM spent WHERE token = $1", r.Token)
	return err
}

// admit refuses what needs no look at hosts.
func (p *placing) admit() error {
	s, r := &p.spent, p.r
	switch {
	case s.killed:
		return reachback.Refuse(reachback.CodeKilled)
	case !s.old, s.call == r.Call:
	case s.raw && r.Raw && s.address == r.Address.String() && p.t.now-s.since < broker.RawRepeats.Microseconds():
	default:
		return reachback.Refuse(reachback.CodeTokenReplayed)
	}
	switch {
	case !p.pool.assigned:
		return reachback.Refuse(reachback.CodeNotAssigned)
	case r.Raw && !p.pool.raw:
		return reachback.Refuse(reachback.CodeRawNotAllowed)
	}
	return nil
}

// repeat gives a raw token that was used before the session that it began, while its
// host can be reached; nil otherwise.
func (p *placing) repeat() (*session, error) {
	var host string
	found, err := p.t.get([]any{&host}, "SELECT host FROM sessions WHERE id = $1 AND (state IN (0, 1) OR due > $2)", p.spent.session, p.t.now)
	if !found || err != nil {
		return nil, err
	}
	if ok, err := p.reachable(host); !ok || err != nil {
		return nil, err
	}
	l, err := p.lock(host)
	if err != nil {
		return nil, err
	}
	s, err := l.find(p.spent.session)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return nil, errAgain
	case s.state != broker.SessionActive:
		l.move(s, broker.SessionPending, p.t.now)
	}
	s.epoch, s.hostKey, s.dirty = l.host.epoch, l.host.Key[:], true
	l.store()
	return s, nil
}

// enter takes the slot on a host that was found, locked and with the user's user
// session on it in hand.
func (p *placing) enter(l *ledger) (*session, error) {
	b := sessionBody{User: p.r.User, Raw: p.r.Raw, CorrelationID: p.r.CorrelationID}
	if err := json.Unmarshal([]byte(p.pool.view), &b.Resource); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(p.pool.policy), &b.Policy); err != nil {
		return nil, err
	}
	b.Resource.UpdatedAt = atMicros(p.pool.updatedAt)
	now := p.t.now
	s := &session{
		id: randomID(16), tenant: p.r.User.Tenant, subject: p.r.User.Subject, person: p.person, pool: p.pool.name, host: l.host.ID,
		token: p.r.Token, state: broker.SessionEnded, epoch: l.host.epoch, hostKey: l.host.Key[:], created: now, changed: now,
		body: toJSON(&b), new: true,
	}
	l.sessions[s.id] = s
	l.move(s, broker.SessionPending, now)
	l.desktop(s).used = now
	l.store()
	if p.r.Raw { // another token never leads here again
		p.t.exec("UPDATE spent SET session = $2 WHERE token = $1", p.r.Token, s.id)
	}
	return s, nil
}

// assignees are what a user's resources may be assigned to.
func assignees(u *reachback.User) []string {
	a := []string{"user:" + u.Subject}
	for _, g := range u.Groups {
		a = append(a, "group:"+g)
	}
	return a
}

// spentFor is how long a spent token is remembered beyond its end.
const spentFor = 2 * token.Leeway
