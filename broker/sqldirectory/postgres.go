package sqldirectory

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	connectTimeout = 2 * time.Second
	// maxConns is how many connections there are, unless the data source says
	// otherwise. More of them share a commit, but make each other slower, all
	// the more when they are opened at once; and the server's 100 are for all
	// brokers.
	maxConns = 8
	// maxAttempts bounds how often a transaction is tried that others stood in
	// the way of.
	maxAttempts = 8
	// maxQueued bounds the statements that wait to be sent together.
	maxQueued = 256
)

// postgres is a PostgreSQL database, which other brokers may use too.
//
// A statement whose result nobody waits for is sent with the next that has one, and
// the last ones with the commit, so that a transaction takes few round trips and holds
// its locks for as short.
type postgres struct {
	pool     *pgxpool.Pool
	counters *counters
	clock    serverClock
}

func openPostgres(ctx context.Context, dsn string, ahead func() int64, c *counters) (*postgres, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the data source is not a PostgreSQL URL") // err may hold the password
	}
	cfg.ConnConfig.ConnectTimeout = connectTimeout
	if !strings.Contains(dsn, "pool_max_conns") {
		cfg.MaxConns = maxConns
	}
	for name, value := range map[string]string{
		"application_name": "reachback",
		// A broker that vanishes in a transaction leaves its locks behind
		// until the server notices.
		"idle_in_transaction_session_timeout": "10s",
		"statement_timeout":                   "60s",
		// The statements here are meant for their indexes whatever the values.
		"plan_cache_mode": "force_generic_plan",
	} {
		if _, set := cfg.ConnConfig.RuntimeParams[name]; !set {
			cfg.ConnConfig.RuntimeParams[name] = value
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return &postgres{pool: pool, counters: c, clock: serverClock{ahead: ahead}}, nil
}

func (p *postgres) close() error {
	p.pool.Close()
	return nil
}

// errAgain is what a transaction fails with that has found the world changed
// between a look and a lock.
var errAgain = errors.New("sqldirectory: changed meanwhile")

// again reports whether a transaction may be tried again: it was in others' way, or
// has not begun. A row that is there twice is one that another has made meanwhile.
func again(err error) bool {
	if errors.Is(err, errAgain) || pgconn.SafeToRetry(err) {
		return true
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01" || e.Code == "23505")
}

// write implements [database].
func (p *postgres) write(ctx context.Context, person string, f func(t *tx) error) error {
	err := p.try(ctx, "BEGIN", person, f)
	if err == nil {
		p.counters.commits.Add(1)
	}
	return err
}

// read implements [database].
func (p *postgres) read(ctx context.Context, f func(t *tx) error) error {
	return p.try(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "", f)
}

func (p *postgres) try(ctx context.Context, begin, person string, f func(t *tx) error) error {
	for attempt := 1; ; attempt++ {
		err := p.transact(ctx, begin, person, f)
		if err == nil || attempt == maxAttempts || !again(err) || ctx.Err() != nil {
			return err
		}
		p.counters.retries.Add(1)
		select {
		case <-time.After(rand.N(time.Duration(attempt) * 5 * time.Millisecond)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *postgres) transact(ctx context.Context, begin, person string, f func(t *tx) error) error {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // closes one that is left in a transaction
	c := &postgresTx{ctx: ctx, conn: conn.Conn()}
	t := &tx{statements: c}
	t.exec(begin)
	if err = p.clock.read(t); err != nil {
		return err
	}
	if person != "" {
		t.exec("SELECT pg_advisory_xact_lock($1)", personLock(person))
	}
	if err = f(t); err == nil {
		err = c.commit()
	}
	if err != nil {
		c.rollback()
	}
	return err
}

// personLock is the number of a person's advisory lock. That two may share one does
// no harm.
func personLock(person string) int64 {
	h := fnv.New64a()
	h.Write([]byte("reachback\x00" + person))
	return int64(h.Sum64())
}

// A postgresTx is one transaction.
type postgresTx struct {
	ctx    context.Context // of the operation
	conn   *pgx.Conn
	queued []statement // that are not sent yet
	err    error       // the first; nothing is sent after it
}

type statement struct {
	sql  string
	args []any
	each func(r row) error
}

func (c *postgresTx) later(each func(r row) error, sql string, args ...any) {
	c.queued = append(c.queued, statement{postgresSQL(sql), storable(args), each})
	if len(c.queued) >= maxQueued {
		c.flush()
	}
}

func (c *postgresTx) query(each func(r row) error, sql string, args ...any) error {
	c.queued = append(c.queued, statement{postgresSQL(sql), storable(args), each})
	return c.flush()
}

// flush sends what is queued, all at once, and takes the answers.
func (c *postgresTx) flush() error {
	if c.err != nil {
		return c.err
	}
	b := &pgx.Batch{}
	for _, s := range c.queued {
		b.Queue(s.sql, s.args...)
	}
	answers := c.conn.SendBatch(c.ctx, b)
	for _, s := range c.queued {
		if c.err = s.take(answers); c.err != nil {
			break
		}
	}
	clear(c.queued)
	c.queued = c.queued[:0]
	if err := answers.Close(); c.err == nil {
		c.err = err
	}
	return c.err
}

func (s *statement) take(answers pgx.BatchResults) error {
	if s.each == nil {
		_, err := answers.Exec()
		return err
	}
	rows, err := answers.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := s.each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// commit sends what is left with the commit.
func (c *postgresTx) commit() error {
	c.later(nil, "COMMIT")
	return c.flush()
}

// rollback leaves a connection that can be used again, if that is possible.
func (c *postgresTx) rollback() {
	c.queued, c.err = nil, nil
	c.later(nil, "ROLLBACK")
	c.flush()
}

// postgresSQL puts PostgreSQL's words for {lock x} and {skip x}. References to the
// row of a host may be made while it is locked.
func postgresSQL(sql string) string {
	if !strings.Contains(sql, "{") {
		return sql
	}
	return locks.ReplaceAllStringFunc(sql, func(l string) string {
		m := locks.FindStringSubmatch(l)
		if m[1] == "skip" {
			return "FOR NO KEY UPDATE OF " + m[2] + " SKIP LOCKED"
		}
		return "FOR NO KEY UPDATE OF " + m[2]
	})
}
