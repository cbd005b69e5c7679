package sqldirectory

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reachback/reachback/broker"
)

// DefaultLease is how long a broker that shares a database counts as there after it
// was last heard of.
const DefaultLease = 30 * time.Second

// Options are what [Open] can be told. Nil means none.
type Options struct {
	// KeySecret seals the keys, of [Directory.Keys]: at least 32 bytes, as
	// random as the keys themselves. Without it no keys can be kept here.
	KeySecret []byte
	// RecordsFor is how long records are kept; zero means
	// broker.DefaultRecordsFor.
	RecordsFor time.Duration
	// Lease is the time of which PostgreSQL's users know each other to be
	// there; zero means DefaultLease. It is renewed three times within.
	Lease  time.Duration
	Logger *slog.Logger // nil is silent

	// ahead moves the database's clock, in tests.
	ahead *atomic.Int64
	// idle leaves it to a test when what has run out is cleared.
	idle bool
}

// A Directory is a broker.Directory and a broker.KeyStore in a SQL database. It is
// made by [Open] and may be used concurrently.
type Directory struct {
	options  Options
	db       database
	node     node
	shared   bool // others may use the database too
	mark     string
	seal     *sealer // nil without a secret
	counters counters

	settling chan struct{} // full while one clears what is due; that it is done matters to all

	// Those below end by cancel, and Close waits for them.
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

var (
	_ broker.Directory = (*Directory)(nil)
	_ broker.KeyStore  = (*Directory)(nil)
)

// Open opens the database that dsn names, "sqlite:PATH" or "postgres://…", brings
// its schema up to date, and takes a place among the brokers that use it until Close.
// The context bounds the opening.
func Open(ctx context.Context, dsn string, o *Options) (*Directory, error) {
	d, err := open(ctx, dsn, o)
	if err != nil {
		return nil, fmt.Errorf("sqldirectory: open: %w", err)
	}
	return d, nil
}

func open(ctx context.Context, dsn string, o *Options) (_ *Directory, err error) {
	d := &Directory{settling: make(chan struct{}, 1)}
	if o != nil {
		d.options = *o
	}
	if d.options.KeySecret != nil {
		if d.seal, err = newSealer(d.options.KeySecret); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, bulkTimeout)
	defer cancel()
	switch scheme, rest, _ := strings.Cut(dsn, ":"); scheme {
	case "sqlite":
		err = d.openSQLite(ctx, rest)
	case "postgres", "postgresql":
		err = d.openPostgres(ctx, dsn)
	default:
		err = errors.New(`the data source must be "sqlite:PATH" or "postgres://…"`)
	}
	if err != nil {
		return nil, err
	}
	if err := d.begin(ctx); err != nil {
		d.db.close()
		return nil, err
	}
	return d, nil
}

func (d *Directory) openSQLite(ctx context.Context, path string) error {
	if path == "" {
		return errors.New("sqlite: a path is missing")
	}
	clock := &steadyClock{}
	s, err := openSQLite(ctx, path, func() int64 { return clock.now() + d.ahead() }, &d.counters)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	err = s.migrate(ctx)
	if err == nil {
		err = s.begin(ctx)
	}
	if err != nil {
		s.release()
		return fmt.Errorf("sqlite: %w", err)
	}
	d.db = s
	return nil
}

func (d *Directory) openPostgres(ctx context.Context, dsn string) error {
	p, err := openPostgres(ctx, dsn, d.ahead, &d.counters)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if err := p.migrate(ctx); err != nil {
		p.close()
		return fmt.Errorf("postgres: %w", err)
	}
	d.db, d.shared = p, true
	return nil
}

// begin takes this directory's place and starts what it does by itself.
func (d *Directory) begin(ctx context.Context) error {
	if err := d.findMark(ctx); err != nil {
		return err
	}
	if d.seal != nil { // a wrong secret is to be noticed now
		if _, _, err := d.LoadKeys(ctx); err != nil {
			return err
		}
	}
	if err := d.join(ctx); err != nil {
		return err
	}
	ctx, d.cancel = context.WithCancel(context.Background())
	if d.shared {
		d.wg.Go(func() { d.keepLease(ctx) })
	}
	if !d.options.idle {
		d.wg.Go(func() { d.keepClear(ctx) })
	}
	return nil
}

// Close ends what the directory does by itself, marks the hosts whose channels it had
// as absent, and gives the database back. Methods fail with net.ErrClosed after it.
func (d *Directory) Close() error {
	d.cancel()
	d.wg.Wait()
	d.part()
	return d.db.close()
}

// Keys returns the keys that the database keeps, and makes them at first.
func (d *Directory) Keys(ctx context.Context) (*broker.Keys, error) {
	return broker.OpenKeys(ctx, d)
}

// findMark reads the mark of this installation's token ids, or draws it.
func (d *Directory) findMark(ctx context.Context) error {
	return d.write(ctx, "", func(t *tx) error {
		t.exec("INSERT INTO facts (name, value) VALUES ('mark', $1) ON CONFLICT (name) DO NOTHING", randomID(8))
		_, err := t.get([]any{&d.mark}, "SELECT value FROM facts WHERE name = 'mark'")
		return err
	})
}

// write runs f in a transaction, within opTimeout.
func (d *Directory) write(ctx context.Context, person string, f func(t *tx) error) error {
	return d.within(ctx, opTimeout, func(ctx context.Context) error { return d.db.write(ctx, person, f) })
}

// writeAll is write for what moves much.
func (d *Directory) writeAll(ctx context.Context, f func(t *tx) error) error {
	return d.within(ctx, bulkTimeout, func(ctx context.Context) error { return d.db.write(ctx, "", f) })
}

// read runs f on a snapshot, within opTimeout.
func (d *Directory) read(ctx context.Context, f func(t *tx) error) error {
	return d.within(ctx, opTimeout, func(ctx context.Context) error { return d.db.read(ctx, f) })
}

func (d *Directory) log() *slog.Logger {
	if d.options.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.options.Logger
}

func (d *Directory) ahead() int64 {
	if d.options.ahead == nil {
		return 0
	}
	return d.options.ahead.Load()
}

// randomID returns n random bytes in hexadecimal.
func randomID(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}
