package sqldirectory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/reachback/reachback/internal/durable"
)

const (
	// maxBatch bounds the operations of one commit.
	maxBatch = 256
	// sqliteReaders is how many reads may run at once.
	sqliteReaders = 4
	// maxStatements bounds the prepared statements of a connection.
	maxStatements = 256
)

// sqlite is a database file that this process alone has open.
//
// One goroutine writes. It runs whatever operations wait in one transaction, and
// answers them when the commit is on the disk: while that takes its time the next ones
// gather. One that fails takes no other with it. Reads go on meanwhile, on connections
// of their own.
type sqlite struct {
	lock     *durable.Lock
	db       *sql.DB
	clock    func() int64
	readers  chan *sqliteConn // those that are free
	ops      chan *operation
	closing  chan struct{} // closed by close
	stopped  chan struct{} // closed by the writer at its end
	closed   atomic.Bool
	counters *counters

	writer *sqliteConn // owned by run once that has begun
}

// An operation is one call of write. Whoever changes its state first, writer or
// caller, decides whether it is run.
type operation struct {
	ctx   context.Context
	f     func(t *tx) error
	taken atomic.Bool
	err   error // by the writer, before done
	done  chan struct{}
}

// openSQLite opens the file at path, and makes it where it is missing.
func openSQLite(ctx context.Context, path string, clock func() int64, c *counters) (_ *sqlite, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	lock, err := durable.NewLock(path + ".lock")
	if err != nil {
		return nil, err
	}
	s := &sqlite{
		lock: lock, clock: clock, counters: c, readers: make(chan *sqliteConn, sqliteReaders),
		ops: make(chan *operation, maxBatch), closing: make(chan struct{}), stopped: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	// SQLite gives the files beside it the same mode.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	f.Close()
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	if !strings.HasPrefix(u.Path, "/") { // C:/ on Windows
		u.Path = "/" + u.Path
	}
	u.RawQuery = url.Values{"_pragma": {
		"busy_timeout(2000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)",
		"temp_store(MEMORY)", "cache_size(-32768)",
	}}.Encode()
	if s.db, err = sql.Open("sqlite", u.String()); err != nil {
		return nil, err
	}
	if s.writer, err = s.connect(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// begin lets operations come, once the schema is there.
func (s *sqlite) begin(ctx context.Context) error {
	for range sqliteReaders {
		c, err := s.connect(ctx)
		if err != nil {
			return err
		}
		if _, err := c.conn.ExecContext(ctx, "PRAGMA query_only = ON"); err != nil {
			return err
		}
		s.readers <- c
	}
	go s.run() // ends when closing is closed; close waits for it
	return nil
}

func (s *sqlite) connect(ctx context.Context) (*sqliteConn, error) {
	c, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &sqliteConn{conn: c, prepared: make(map[string]*sql.Stmt)}, nil
}

// close waits for the operation that runs; those that wait fail.
func (s *sqlite) close() error {
	if s.closed.Swap(true) {
		return nil
	}
	close(s.closing)
	<-s.stopped
	for range sqliteReaders {
		(<-s.readers).close()
	}
	return s.release()
}

func (s *sqlite) release() error {
	var err error
	if s.writer != nil {
		s.writer.close()
	}
	if s.db != nil {
		err = s.db.Close()
	}
	return errors.Join(err, s.lock.Close())
}

var errClosed = fmt.Errorf("sqldirectory: %w", net.ErrClosed)

// write implements [database]. Operations run one after the other anyway.
func (s *sqlite) write(ctx context.Context, _ string, f func(t *tx) error) error {
	op := &operation{ctx: ctx, f: f, done: make(chan struct{})}
	select {
	case <-s.closing: // before a place in the queue
		return errClosed
	default:
	}
	select {
	case s.ops <- op:
	case <-s.closing:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-op.done:
	case <-s.stopped:
		if !op.taken.Swap(true) {
			return errClosed
		}
		<-op.done
	case <-ctx.Done():
		if !op.taken.Swap(true) {
			return context.Cause(ctx)
		}
		<-op.done // it is being done already
	}
	return op.err
}

// run is the writer.
func (s *sqlite) run() {
	defer close(s.stopped)
	batch := make([]*operation, 0, maxBatch)
	for {
		select {
		case op := <-s.ops:
			batch = append(batch[:0], op)
		case <-s.closing:
			return
		}
	gather:
		for len(batch) < maxBatch {
			select {
			case op := <-s.ops:
				batch = append(batch, op)
			default:
				break gather
			}
		}
		s.commit(batch)
	}
}

// commit runs operations in one transaction and answers them after its end.
func (s *sqlite) commit(batch []*operation) {
	taken := batch[:0]
	for _, op := range batch {
		if !op.taken.Swap(true) { // otherwise its caller has gone
			taken = append(taken, op)
		}
	}
	// An operation that has failed after a change of its own is left out, and the
	// others are run again. That is rare; a savepoint for each would cost all of
	// them the copies that it keeps of every page.
	rest := slices.Clone(taken)
	for again := true; again; {
		rest, again = s.transact(rest)
	}
	for _, op := range taken {
		close(op.done)
	}
}

// transact runs operations in one transaction. Where one has spoilt it, nothing is done
// and the others are returned, to be run again.
func (s *sqlite) transact(ops []*operation) (rest []*operation, again bool) {
	err := s.writer.run("BEGIN IMMEDIATE")
	for i, op := range ops {
		if err != nil {
			break
		}
		if op.err = s.writer.transact(s.clock(), op.f); op.err != nil && s.writer.changed {
			s.writer.run("ROLLBACK") // fails where SQLite has done it
			return slices.Delete(ops, i, i+1), true
		}
	}
	if err == nil {
		if err = s.writer.run("COMMIT"); err == nil {
			s.counters.commits.Add(1)
			return nil, false
		}
	}
	s.writer.run("ROLLBACK")
	for _, op := range ops {
		if op.err == nil {
			op.err = err
		}
	}
	return nil, false
}

// read implements [database].
func (s *sqlite) read(ctx context.Context, f func(t *tx) error) error {
	var c *sqliteConn
	select {
	case <-s.closing:
		return errClosed
	default:
	}
	select {
	case c = <-s.readers:
	case <-s.closing:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { s.readers <- c }()
	if err := c.run("BEGIN"); err != nil {
		return err
	}
	defer c.run("COMMIT")
	return c.transact(s.clock(), f)
}

// A sqliteConn is one connection with its prepared statements. One goroutine uses
// it at a time.
type sqliteConn struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	err      error // of later
	changed  bool  // by the operation that runs
}

func (c *sqliteConn) transact(now int64, f func(t *tx) error) error {
	c.err, c.changed = nil, false
	if err := f(&tx{now, c}); err != nil {
		return err
	}
	return c.err
}

// statement returns the prepared statement. A context that can end would cost a
// goroutine for each use; what is local needs no way out.
func (c *sqliteConn) statement(query string) (*sql.Stmt, error) {
	c.changed = c.changed || !strings.HasPrefix(query, "SELECT")
	if st := c.prepared[query]; st != nil {
		return st, nil
	}
	if len(c.prepared) >= maxStatements {
		for _, st := range c.prepared {
			st.Close()
		}
		clear(c.prepared)
	}
	st, err := c.conn.PrepareContext(context.Background(), locks.ReplaceAllString(query, ""))
	if err != nil {
		return nil, err
	}
	c.prepared[query] = st
	return st, nil
}

// locks are what stands for FOR UPDATE in this package's SQL.
var locks = regexp.MustCompile(`\{(lock|skip) ([a-z]+)\}`)

func (c *sqliteConn) run(query string, args ...any) error {
	st, err := c.statement(query)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(context.Background(), storable(args)...)
	return err
}

func (c *sqliteConn) later(each func(r row) error, query string, args ...any) {
	switch {
	case c.err != nil:
	case each == nil:
		c.err = c.run(query, args...)
	default:
		c.err = c.query(each, query, args...)
	}
}

func (c *sqliteConn) query(each func(r row) error, query string, args ...any) error {
	if c.err != nil {
		return c.err
	}
	st, err := c.statement(query)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(context.Background(), storable(args)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c *sqliteConn) close() {
	for _, st := range c.prepared {
		st.Close()
	}
	c.conn.Close()
}
