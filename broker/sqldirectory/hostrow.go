package sqldirectory

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// hostColumns are those that hostRow.scan reads. A statement with them has the floor
// of leases as its first parameter; the host is h.
const hostColumns = `h.id, h.tenant, h.name, h.pool, h.key, h.assigned_to, h.approved, h.drain, h.revoked, h.revision,
	h.enrolled_at, ` + hostUp + `, h.up, h.absent_since, h.epoch, h.draining, h.replaced, h.duplicate_until, h.health,
	h.user_sessions, COALESCE((SELECT n.lease_until FROM nodes n WHERE n.id = h.node), 0)`

// hostUp is whether a host has a channel. Without its node a channel is nobody's.
const hostUp = `(h.up AND COALESCE((SELECT n.lease_until FROM nodes n WHERE n.id = h.node), 0) > $1)`

// A hostRow is a row of hosts.
type hostRow struct {
	broker.Host
	up             bool // and its lease in force
	marked         bool // up, whatever its lease
	absentSince    int64
	epoch          int64
	draining       bool
	replaced       []int64
	duplicateUntil int64
	health         string
	userSessions   int64
	leaseUntil     int64
}

func (h *hostRow) scan(r row) error {
	var key []byte
	var revision, enrolled int64
	var replaced, assigned string
	err := r.Scan(&h.ID, &h.Tenant, &h.Name, &h.Pool, &key, &assigned, &h.Approved, &h.Drain, &h.Revoked, &revision,
		&enrolled, &h.up, &h.marked, &h.absentSince, &h.epoch, &h.draining, &replaced, &h.duplicateUntil, &h.health,
		&h.userSessions, &h.leaseUntil)
	if err != nil {
		return err
	}
	copy(h.Key[:], key)
	h.AssignedTo, h.Revision, h.EnrolledAt = userID(assigned), uint64(revision), atMicros(enrolled)
	if replaced != "" {
		return json.Unmarshal([]byte(replaced), &h.replaced)
	}
	return nil
}

func (h *hostRow) isDuplicate(now int64) bool { return now < h.duplicateUntil }

// replace notes that a channel of the host is replaced by another.
func (h *hostRow) replace(now int64) {
	h.replaced = slices.DeleteFunc(h.replaced, func(then int64) bool {
		return now-then >= broker.DuplicateWindow.Microseconds()
	})
	h.replaced = append(h.replaced, now)
	h.replaced = h.replaced[max(0, len(h.replaced)-broker.DuplicateReplacements):]
	if len(h.replaced) >= broker.DuplicateReplacements || h.isDuplicate(now) {
		h.duplicateUntil = now + broker.DuplicateWindow.Microseconds()
	}
}

// lostAt is when the sessions of a host that is absent are lost.
func (h *hostRow) lostAt() int64 {
	switch {
	case h.up:
		return never
	case h.marked: // the lease of its node has ended, and nobody has written it down
		return h.leaseUntil + broker.AbsentFor.Microseconds()
	}
	return h.absentSince + broker.AbsentFor.Microseconds()
}

func (h *hostRow) status(now int64) (broker.HostStatus, error) {
	s := broker.HostStatus{
		Host: h.Host, Up: h.up, Epoch: uint64(h.epoch), Draining: h.draining, Duplicate: h.isDuplicate(now), UserSessions: int(h.userSessions),
	}
	if h.health == "" {
		return s, nil
	}
	s.Health = &broker.Health{}
	return s, json.Unmarshal([]byte(h.health), s.Health)
}

// host reads a host's row.
func (d *Directory) host(t *tx, id string) (*hostRow, error) {
	return d.findHost(t, "SELECT "+hostColumns+" FROM hosts h WHERE h.id = $2", d.floor(t), id)
}

// lockHost is host for who will change the row, or what is on the host.
func (d *Directory) lockHost(t *tx, id string) (*hostRow, error) {
	return d.findHost(t, "SELECT "+hostColumns+" FROM hosts h WHERE h.id = $2 {lock h}", d.floor(t), id)
}

// findHost reads the first row, nil where there is none.
func (d *Directory) findHost(t *tx, sql string, args ...any) (*hostRow, error) {
	var found *hostRow
	err := t.query(func(r row) error {
		if found != nil {
			return nil
		}
		found = &hostRow{}
		return found.scan(r)
	}, sql, args...)
	return found, err
}

// enrolled refuses what is no host, or no more.
func (h *hostRow) enrolled() error {
	switch {
	case h == nil:
		return reachback.Refuse(reachback.CodeHostUnknown)
	case h.Revoked:
		return reachback.Refuse(reachback.CodeHostRevoked)
	}
	return nil
}

// second cuts a time as operators see it.
func second(now int64) int64 { return now - now%time.Second.Microseconds() }

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // no type here has a value that fails
	}
	return string(b)
}
