package sqldirectory

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// migrations are the steps of the schema, each a file whose name begins with its
// number. A step that was released is never changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// A dialect is what the two databases call the same thing.
type dialect struct {
	goose goose.Dialect
	types *strings.Replacer
	// locks has one broker migrate at a time.
	locks func() (lock.SessionLocker, error)
}

var (
	// Names are compared byte by byte everywhere, so that no upgrade of a
	// locale spoils an index.
	postgresDialect = dialect{
		goose.DialectPostgres,
		strings.NewReplacer("{text}", `TEXT COLLATE "C"`, "{bytes}", "BYTEA", "{keyed}", ""),
		func() (lock.SessionLocker, error) { return lock.NewPostgresSessionLocker() },
	}
	sqliteDialect = dialect{
		goose.DialectSQLite3,
		strings.NewReplacer("{text}", "TEXT", "{bytes}", "BLOB", "{keyed}", "WITHOUT ROWID"),
		nil, // the file has but one owner
	}
)

func (p *postgres) migrate(ctx context.Context) error {
	db := stdlib.OpenDBFromPool(p.pool)
	defer db.Close()
	return migrate(ctx, db, &postgresDialect)
}

func (s *sqlite) migrate(ctx context.Context) error { return migrate(ctx, s.db, &sqliteDialect) }

// migrate brings the schema to the version of this program.
func migrate(ctx context.Context, db *sql.DB, d *dialect) error {
	steps, newest, err := d.steps()
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{
		goose.WithGoMigrations(steps...), goose.WithDisableGlobalRegistry(true), goose.WithTableName("schema_version"),
	}
	if d.locks != nil {
		l, err := d.locks()
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(l))
	}
	p, err := goose.NewProvider(d.goose, db, nil, options...)
	if err != nil {
		return err
	}
	// Of a newer schema goose finds nothing to do.
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	version, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if version > newest {
		return fmt.Errorf("the schema has version %d and this program knows up to %d: use a newer program, or a copy of the database from before the upgrade", version, newest)
	}
	return nil
}

// steps returns the migrations in the words of the dialect.
func (d *dialect) steps() (steps []*goose.Migration, newest int64, err error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, 0, err
	}
	for _, file := range files {
		number, _, _ := strings.Cut(path.Base(file), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, 0, err
		}
		text, err := fs.ReadFile(migrations, file)
		if err != nil {
			return nil, 0, err
		}
		up := &goose.GoFunc{RunTx: func(ctx context.Context, t *sql.Tx) error {
			_, err := t.ExecContext(ctx, d.types.Replace(string(text)))
			return err
		}}
		steps = append(steps, goose.NewGoMigration(version, up, nil))
		newest = max(newest, version)
	}
	return steps, newest, nil
}
