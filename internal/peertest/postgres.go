package peertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresStarts bounds the time until a server that was started answers.
const postgresStarts = 30 * time.Second

// shared is the server of this process's tests, with the number of tests that use it.
var shared struct {
	sync.Mutex
	server *PostgresServer
	users  int
}

// Postgres returns the URL of an empty schema in a PostgreSQL database, which is
// dropped at the end of the test. The server is the one that REACHBACK_TEST_POSTGRES
// names by a URL, or else one of this process's own that does not wait for the disk. It
// runs from the first test that needs it to the end of the last that began meanwhile.
func Postgres(t testing.TB) string {
	t.Helper()
	if dsn := os.Getenv("REACHBACK_TEST_POSTGRES"); dsn != "" {
		return schema(t, dsn)
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		shared.server = newPostgres(t, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	shared.users++
	t.Cleanup(func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.users--; shared.users == 0 {
			shared.server.remove(t)
			shared.server = nil
		}
	})
	return schema(t, shared.server.DSN)
}

// schema makes a schema for the test, and returns the URL under which it is all that
// is seen.
func schema(t testing.TB, dsn string) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	run := func(sql string) {
		ctx, cancel := context.WithTimeout(context.Background(), postgresStarts)
		defer cancel()
		c, err := pgx.Connect(ctx, dsn)
		if err == nil {
			_, err = c.Exec(ctx, sql)
			c.Close(ctx)
		}
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	run("CREATE SCHEMA " + name)
	t.Cleanup(func() { run("DROP SCHEMA " + name + " CASCADE") })
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// A PostgresServer is a PostgreSQL server of a test's own, which waits for the disk as
// a real one does.
type PostgresServer struct {
	DSN string

	bin, dir string
	settings []string
	cmd      *exec.Cmd // nil while it is stopped
	log      bytes.Buffer
}

// StartPostgres starts a server with an empty database. It ends with the test.
func StartPostgres(t testing.TB) *PostgresServer {
	t.Helper()
	s := newPostgres(t)
	t.Cleanup(func() { s.remove(t) })
	return s
}

func newPostgres(t testing.TB, settings ...string) *PostgresServer {
	t.Helper()
	s := &PostgresServer{bin: postgresBin(t), settings: settings}
	// Not below t.TempDir, which only its owner may enter, and whose name can be
	// too long for a socket.
	dir, err := os.MkdirTemp("", "reachback-pg-")
	if err != nil {
		t.Fatal(err)
	}
	s.dir = dir
	if err := ownPostgres(dir); err != nil {
		t.Fatal(err)
	}
	initdb := s.command("initdb", "-D", s.data(), "-U", "reachback", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.DSN = "postgres://reachback@/postgres?" + url.Values{"host": {dir}}.Encode()
	s.Start(t)
	return s
}

// postgresBin finds the directory of the server's programs, which Debian keeps out of
// PATH.
func postgresBin(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		Missing(t, "the programs initdb and postgres are not installed; they are in the package postgresql")
		return ""
	}
	return filepath.Dir(slices.Max(found))
}

func (s *PostgresServer) data() string { return filepath.Join(s.dir, "data") }

func (s *PostgresServer) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	runAsPostgres(cmd)
	return cmd
}

// Start starts the server again, and returns when it answers.
func (s *PostgresServer) Start(t testing.TB) {
	t.Helper()
	args := []string{"-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "max_connections=200"}
	for _, set := range s.settings {
		args = append(args, "-c", set)
	}
	s.log.Reset()
	s.cmd = s.command("postgres", args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.await(); err != nil {
		s.stop()
		t.Fatalf("postgres does not answer: %v\n%s", err, s.log.String())
	}
}

func (s *PostgresServer) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), postgresStarts)
	defer cancel()
	for {
		c, err := pgx.Connect(ctx, s.DSN)
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// Stop ends the server, and every connection to it at once.
func (s *PostgresServer) Stop(t testing.TB) {
	t.Helper()
	if err := s.stop(); err != nil {
		t.Errorf("postgres: %v\n%s", err, s.log.String())
	}
}

func (s *PostgresServer) stop() error {
	if s.cmd == nil {
		return nil
	}
	return s.end(os.Interrupt) // its "fast" shutdown
}

// Crash ends the server, with all of its processes, as a power cut would: it writes
// nothing more, and recovers from its log at the next Start.
func (s *PostgresServer) Crash(t testing.TB) {
	t.Helper()
	s.end(syscall.SIGQUIT) // its "immediate" shutdown, which is no success
}

func (s *PostgresServer) end(how os.Signal) error {
	cmd := s.cmd
	s.cmd = nil
	if err := cmd.Process.Signal(how); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return cmd.Wait()
}

func (s *PostgresServer) remove(t testing.TB) {
	t.Helper()
	s.Stop(t)
	os.RemoveAll(s.dir)
}
