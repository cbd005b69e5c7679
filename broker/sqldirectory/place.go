package sqldirectory

import (
	"fmt"
	"slices"

	"github.com/reachback/reachback"
)

// The conditions under which a host is asked, and those under which it takes new
// users. The first parameter is the floor of leases, the second the time.
const (
	reachable  = hostUp + ` AND h.duplicate_until <= $2`
	takesUsers = `h.up AND h.approved AND h.fit AND NOT h.drain AND NOT h.draining AND NOT h.revoked AND ` + reachable
)

// place finds the host for the user and the resource, locks it, and has the user's
// user session there in hand.
func (p *placing) place() (*ledger, error) {
	if p.host != "" {
		l, err := p.lock(p.host)
		if err == nil && l.desktops[p.person] == nil {
			err = errAgain // it has just ended
		}
		return l, err
	}
	if p.pool.personal {
		return p.personal()
	}
	return p.pooled()
}

// args are the parameters of a condition, and more.
func (p *placing) args(more ...any) []any {
	return append([]any{p.d.floor(p.t), p.t.now}, more...)
}

// reachable reports whether a host can be asked at all; drain and limits are not
// considered.
func (p *placing) reachable(host string) (bool, error) {
	if slices.Contains(p.r.Exclude, host) {
		return false, nil
	}
	return p.t.exists("SELECT 1 FROM hosts h WHERE h.id = $3 AND "+reachable, p.args(host)...)
}

// lock locks a host that was reachable just now, and has the user's user session
// there in hand.
func (p *placing) lock(host string) (*ledger, error) {
	h, err := p.d.lockHost(p.t, host)
	if err != nil {
		return nil, err
	}
	if h == nil || !h.up || h.isDuplicate(p.t.now) {
		return nil, errAgain
	}
	return p.ledger(h)
}

func (p *placing) ledger(h *hostRow) (*ledger, error) {
	l := p.d.newLedger(p.t, h)
	return l, l.findPerson(p.person)
}

// existing looks for the host of a user session that the user has in the pool, the last
// used first. Its limit does not matter, because it is counted
// already. One on a personal host that is not the user's any more is not looked at: by
// now it may be another's.
func (p *placing) existing() {
	excluded, args := in(p.args(p.person, p.r.User.Tenant, p.r.Resource), p.r.Exclude)
	p.t.later(func(r row) error { return r.Scan(&p.host) }, `SELECT d.host FROM desktops d JOIN hosts h ON h.id = d.host
		WHERE d.person = $3 AND d.tenant = $4 AND d.pool = (SELECT r.pool FROM resources r WHERE r.tenant = $4 AND r.id = $5)
			AND (h.assigned_to = $3 OR NOT (SELECT q.personal FROM pools q WHERE q.tenant = d.tenant AND q.name = d.pool))
			AND `+reachable+` AND h.id NOT IN (`+excluded+`)
		ORDER BY d.used DESC, d.host LIMIT 1`, args...)
}

// candidates is the condition of hosts that take new users of the pool, with its
// parameters.
func (p *placing) candidates() (condition string, args []any) {
	excluded, args := in(p.args(p.r.User.Tenant, p.pool.name), p.r.Exclude)
	return takesUsers + ` AND h.tenant = $3 AND h.pool = $4 AND h.id NOT IN (` + excluded + `)`, args
}

// personal returns the user's own host. Without one he gets the first that is
// nobody's, durably: who has a host is never given another.
func (p *placing) personal() (*ledger, error) {
	h, err := p.first("h.assigned_to = $%d AND h.assigned_to <> ''", p.person, "h.rank, h.name, h.id", "{lock h}")
	if err != nil {
		return nil, err
	}
	if h != nil {
		return p.ledger(h)
	}
	his, err := p.t.exists("SELECT 1 FROM hosts WHERE tenant = $1 AND pool = $2 AND assigned_to = $3 AND assigned_to <> ''", p.r.User.Tenant, p.pool.name, p.person)
	if err != nil {
		return nil, err
	}
	if his {
		return nil, reachback.Refuse(reachback.CodeNoHost) // it is away
	}
	if h, err = p.firstFree("h.rank = $%d", 0); err != nil {
		return nil, err
	}
	h.AssignedTo = p.r.User.ID()
	p.t.exec("UPDATE hosts SET assigned_to = $2, rank = 1 WHERE id = $1", h.ID, p.person)
	return p.ledger(h)
}

// pooled returns the emptiest host, or the fullest one that has room.
func (p *placing) pooled() (*ledger, error) {
	most := p.pool.maxSessions
	if most == 0 {
		most = never
	}
	var h *hostRow
	var err error
	if p.pool.depth {
		h, err = p.fullest(most)
	} else {
		h, err = p.firstFree("h.rank < $%d", most)
	}
	if err != nil {
		return nil, err
	}
	return p.ledger(h)
}

// queue has everybody else wait who is to queue for a host of the pool.
//
// Who waits for the lock of a host may find it full when he has it, and keeps the
// lock nevertheless, as PostgreSQL does, while he waits for the next. Two who did so
// could wait for each other. So one at a time waits, and nobody queues who has the lock
// of a host of the pool.
func (p *placing) queue() {
	p.t.exec("SELECT 1 FROM pools p WHERE p.tenant = $1 AND p.name = $2 {lock p}", p.r.User.Tenant, p.pool.name)
}

// fullest locks the fullest candidate that has room, and waits for it.
func (p *placing) fullest(most int64) (*hostRow, error) {
	p.queue()
	h, err := p.first("h.rank > $%d", -most, "h.rank, h.name, h.id", "{lock h}")
	if h == nil && err == nil {
		err = p.none("h.rank > $%d", -most)
	}
	return h, err
}

// firstFree locks the first candidate that meets one more condition, passing over
// those that somebody else is just taking. If there is nothing else it begins again, and
// queues for one of them.
func (p *placing) firstFree(condition string, value int64) (*hostRow, error) {
	order, lock := "h.rank, h.name, h.id", "{skip h}"
	if p.queued {
		p.queue()
		order, lock = "h.id", "{lock h}"
	}
	h, err := p.first(condition, value, order, lock)
	if h == nil && err == nil {
		p.queued = true
		err = p.none(condition, value)
	}
	return h, err
}

// first locks the first candidate that meets one more condition, nil where none does.
func (p *placing) first(condition string, value any, order, lock string) (*hostRow, error) {
	candidates, args := p.candidates()
	condition = fmt.Sprintf(condition, len(args)+1)
	return p.d.findHost(p.t, "SELECT "+hostColumns+" FROM hosts h WHERE "+candidates+" AND "+condition+
		" ORDER BY "+order+" LIMIT 1 "+lock, append(args, value)...)
}

// none says why no candidate meets one more condition: the pool has no host, or all
// are full, which may be because of slots that are due to be given back. Should one
// meet it by now, or be another's who is not done, this attempt was too early.
func (p *placing) none(condition string, value any) error {
	candidates, args := p.candidates()
	condition = fmt.Sprintf(condition, len(args)+1)
	var there, room bool
	// One statement, so that no slot is given back between two looks.
	_, err := p.t.get([]any{&there, &room, &p.due}, `SELECT EXISTS (SELECT 1 FROM hosts h WHERE `+candidates+`),
		EXISTS (SELECT 1 FROM hosts h WHERE `+candidates+` AND `+condition+`),
		EXISTS (SELECT 1 FROM sessions s WHERE s.state = 0 AND s.due <= $2 AND s.tenant = $3 AND s.pool = $4)
		OR EXISTS (SELECT 1 FROM desktops d WHERE d.live = 0 AND NOT d.held AND d.linger <= $2 AND d.tenant = $3 AND d.pool = $4)`,
		append(args, value)...)
	switch {
	case err != nil:
		return err
	case room:
		return errAgain
	case there:
		return reachback.Refuse(reachback.CodeHostsFull)
	}
	return reachback.Refuse(reachback.CodeNoHost)
}
