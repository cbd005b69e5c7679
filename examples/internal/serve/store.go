package serve

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/sqldirectory"
	"github.com/reachback/reachback/internal/secrets"
)

// databaseFile is the SQLite database of a broker that was given none.
const databaseFile = "reachback.db"

// A store is where the broker keeps what it knows, its keys among them.
type store struct {
	dir     *sqldirectory.Directory
	keys    *broker.Keys
	cookies []byte // seals those of the page, in every process with the same key file
}

func (s *store) close() { s.dir.Close() }

func (p *plan) openStore(ctx context.Context) (_ *store, err error) {
	dsn := p.Database.DSN
	if dsn == "" {
		dsn = "sqlite:" + filepath.Join(p.Dir, databaseFile)
	}
	if err := checkPassword(dsn); err != nil {
		return nil, err
	}
	var secret []byte
	if p.Database.KeyFile == "" {
		secret, err = ownKey(p.Dir)
	} else {
		secret, err = readSecret("-key-file", p.Database.KeyFile, leastKey)
	}
	if err != nil {
		return nil, err
	}
	s := &store{}
	if s.cookies, err = hkdf.Key(sha256.New, secret, nil, "reachback server: cookies of the page", 32); err != nil {
		return nil, err
	}
	if s.dir, err = sqldirectory.Open(ctx, dsn, &sqldirectory.Options{KeySecret: secret, Logger: p.Logger.With("part", "directory")}); err != nil {
		return nil, err
	}
	if s.keys, err = s.dir.Keys(ctx); err != nil {
		s.dir.Close()
		return nil, err
	}
	return s, nil
}

// checkPassword refuses a weak password of PostgreSQL, wherever it comes from: the
// DSN, PGPASSWORD or the file that PGPASSFILE names. Without one the database lets
// the broker in by other means, which are its operator's affair.
func checkPassword(dsn string) error {
	if strings.HasPrefix(dsn, "sqlite:") {
		return nil
	}
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return errors.New("flag -db: not the URL of a PostgreSQL database") // err may hold the password
	}
	if c.Password == "" {
		return nil
	}
	if err := secrets.Check([]byte(c.Password), leastPassword); err != nil {
		return fmt.Errorf("password of the database: %w", err)
	}
	return nil
}
