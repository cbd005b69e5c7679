package sqldirectory

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A database runs transactions. There is one kind for SQLite and one for PostgreSQL;
// both speak the SQL of this package, in which {lock x} locks the rows of x that a
// SELECT returns, and {skip x} does so and passes over those that another has locked.
// SQLite, with one writer, needs neither.
type database interface {
	// write runs f in a transaction, and commits it unless f fails. When it
	// returns nil all of it is durable. f may be run more than once. Two
	// writes for the same person, where one is named, run one after the other.
	write(ctx context.Context, person string, f func(t *tx) error) error
	// read runs f on a snapshot that it does not change.
	read(ctx context.Context, f func(t *tx) error) error
	// close ends what runs, and waits for it.
	close() error
}

// A tx is a transaction. It is used by one goroutine, and f does not keep it.
type tx struct {
	now int64 // the database's clock at the beginning, microseconds
	statements
}

// statements is how a transaction reaches its database.
type statements interface {
	// later has a statement run, and each called for its rows unless that is
	// nil, at the latest with the next query or the commit, which fails in its
	// place.
	later(each func(r row) error, sql string, args ...any)
	// query runs a statement and calls each for every row.
	query(each func(r row) error, sql string, args ...any) error
}

// exec has a statement run whose rows do not matter.
func (t *tx) exec(sql string, args ...any) { t.later(nil, sql, args...) }

type row interface{ Scan(dest ...any) error }

// get scans the first row into dest, and reports whether there is one.
func (t *tx) get(dest []any, sql string, args ...any) (bool, error) {
	found := false
	err := t.query(func(r row) error {
		if found {
			return nil
		}
		found = true
		return r.Scan(dest...)
	}, sql, args...)
	return found, err
}

// exists reports whether the statement returns a row.
func (t *tx) exists(sql string, args ...any) (bool, error) {
	found := false
	err := t.query(func(row) error { found = true; return nil }, sql, args...)
	return found, err
}

// list collects what scan makes of each row.
func list[T any](t *tx, scan func(r row) (T, error), sql string, args ...any) ([]T, error) {
	var all []T
	err := t.query(func(r row) error {
		one, err := scan(r)
		all = append(all, one)
		return err
	}, sql, args...)
	return all, err
}

// in appends values to args and returns the parameters for an IN over them. Their
// number is a power of two, so that few statements differ in nothing else. Without
// values there is one that equals nothing.
func in[T any](args []any, values []T) (string, []any) {
	n := 1
	for n < len(values) {
		n *= 2
	}
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(len(args) + 1))
		switch {
		case i < len(values):
			args = append(args, values[i])
		case len(values) > 0:
			args = append(args, values[len(values)-1])
		default:
			var zero T
			args = append(args, zero)
		}
	}
	return b.String(), args
}

// storable makes the strings among args ones that every database takes. What it
// replaces becomes U+FFFD, which no name in a seed may have, so that nobody passes
// for somebody else.
func storable(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok && (strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s)) {
			args[i] = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
		}
	}
	return args
}

// person is User.ID in a form that every database takes, and userID its reverse.
func person(userID string) string { return escape.Replace(userID) }

func userID(person string) string { return unescape.Replace(person) }

var (
	escape   = strings.NewReplacer(`\`, `\\`, "\x00", `\0`)
	unescape = strings.NewReplacer(`\\`, `\`, `\0`, "\x00")
)

const (
	// never is a time that does not come.
	never = int64(1)<<62 - 1

	// opTimeout bounds every operation but those that move a whole setup,
	// which have bulkTimeout.
	opTimeout   = 3 * time.Second
	bulkTimeout = 30 * time.Second
)

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func atMicros(m int64) time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMicro(m).UTC()
}
