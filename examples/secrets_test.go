//go:build unix

package examples_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/peertest"
)

// startServerWith starts a server in that environment, with all that it needs but
// the database.
func startServerWith(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	addr := freeAddr(t)
	cmd := exec.Command(filepath.Join(bin, "server"), append([]string{
		"-dir", filepath.Join(t.TempDir(), "srv"), "-listen", addr, "-public-url", "https://" + addr, "-dev-idp"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	return startCommand(t, cmd)
}

// A server with a secret that is no secret does not start, says which one, and does
// not repeat it.
func TestA10_NoStartWithAWeakSecret(t *testing.T) {
	key := writeFile(t, filepath.Join(t.TempDir(), "key"), goodSecret)
	nowhere := "postgres://reachback@" + freeAddr(t) + "/reachback"
	withPassword := func(password string) string {
		return strings.Replace(nowhere, "reachback@", "reachback:"+url.QueryEscape(password)+"@", 1)
	}
	passFile := func(password string) string {
		return "PGPASSFILE=" + writeFile(t, filepath.Join(t.TempDir(), "pass"), "*:*:*:*:"+password+"\n")
	}
	for _, tt := range []struct {
		name   string
		secret string
		env    []string
		args   []string
		says   string
	}{
		{"short key", "dG9vIHNob3J0", nil, []string{"-key-file", writeFile(t, t.TempDir()+"/k", "dG9vIHNob3J0")}, "-key-file"},
		{"placeholder for a key", "change-me-change-me-change-me-change-me", nil,
			[]string{"-key-file", writeFile(t, t.TempDir()+"/k", "change-me-change-me-change-me-change-me")}, "-key-file"},
		{"default password in the URL", "postgres123456", nil, []string{"-db", withPassword("postgres123456"), "-key-file", key}, "password"},
		{"short password in the environment", "kV8cnz2", []string{"PGPASSWORD=kV8cnz2"}, []string{"-db", nowhere, "-key-file", key}, "password"},
		{"placeholder in the password file", "your-password-here", []string{passFile("your-password-here")}, []string{"-db", nowhere, "-key-file", key}, "password"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := startServerWith(t, tt.env, tt.args...)
			require.Equal(t, 1, p.exit(patience), p.log())
			require.Len(t, lines(p.log()), 1)
			require.Contains(t, p.log(), tt.says)
			require.NotContains(t, p.log(), tt.secret)
		})
	}
}

// Each way to give a secret has its effect: the right one lets the server start, and
// a wrong one does not.
func TestA11_EverySecretIsEffective(t *testing.T) {
	pg := peertest.StartPostgres(t)
	const right, wrong = "kV8cnz2LQ0wYbR5u", "Tq1xH7eGm4JdPs9A"
	dsn := passwordRole(t, pg.DSN, "keeper", right)
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	passwordIn := func(password string) string {
		withPassword := *u
		withPassword.User = url.UserPassword("keeper", password)
		return withPassword.String()
	}
	passFile := func(password string) string {
		return "PGPASSFILE=" + writeFile(t, filepath.Join(t.TempDir(), "pass"), "*:*:*:keeper:"+password+"\n")
	}
	key := writeFile(t, filepath.Join(t.TempDir(), "key"), goodSecret)
	for _, tt := range []struct {
		name string
		give func(password string) (env []string, dsn string)
	}{
		{"URL", func(password string) ([]string, string) { return nil, passwordIn(password) }},
		{"PGPASSWORD", func(password string) ([]string, string) { return []string{"PGPASSWORD=" + password}, dsn }},
		{"PGPASSFILE", func(password string) ([]string, string) { return []string{passFile(password)}, dsn }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env, dsn := tt.give(right)
			p := startServerWith(t, env, "-db", dsn, "-key-file", key)
			p.await("ready", patience)
			p.signal(os.Interrupt)
			require.Zero(t, p.exit(patience))

			env, dsn = tt.give(wrong)
			p = startServerWith(t, env, "-db", dsn, "-key-file", key)
			require.Equal(t, 1, p.exit(patience))
			require.NotContains(t, p.log(), wrong)
		})
	}
	t.Run("-key-file", func(t *testing.T) { // the database has keys that are sealed by the other one
		other := writeFile(t, filepath.Join(t.TempDir(), "key"), "Tq1xH7eGm4JdPs9AkV8cnz2LQ0wYbR5u")
		p := startServerWith(t, nil, "-db", passwordIn(right), "-key-file", other)
		require.Equal(t, 1, p.exit(patience))
		require.Len(t, lines(p.log()), 1)
	})
}

// passwordRole makes a role in the database that gets in by its password only, and a
// database of its own for it, and returns the DSN of that, without the password.
func passwordRole(t *testing.T, dsn, role, password string) string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer c.Close(t.Context())
	for _, q := range []string{
		"CREATE ROLE " + role + " LOGIN PASSWORD '" + password + "'",
		"CREATE DATABASE " + role + " OWNER " + role,
	} {
		_, err := c.Exec(t.Context(), q)
		require.NoError(t, err)
	}
	var hba string
	require.NoError(t, c.QueryRow(t.Context(), "SHOW hba_file").Scan(&hba))
	rules := "local all " + role + " scram-sha-256\nhost all " + role + " all scram-sha-256\n"
	require.NoError(t, os.WriteFile(hba, []byte(rules+readFile(t, hba)), 0o600))
	_, err = c.Exec(t.Context(), "SELECT pg_reload_conf()")
	require.NoError(t, err)
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	u.User, u.Path = url.User(role), "/"+role
	return u.String()
}
