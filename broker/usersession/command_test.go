//go:build unix

package usersession

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/internal/peertest"
)

// script writes a shell script into a folder of its own, which is where it runs.
func script(t *testing.T, body string) *Command {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700))
	return &Command{Path: path}
}

func (c *Command) file(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(filepath.Dir(c.Path), name))
	require.NoError(t, err)
	return string(data)
}

func TestCommand_List(t *testing.T) {
	tests := []struct {
		name string
		body string
		want []broker.UserSession
		says string // of the error; empty: none
	}{
		{"nobody", `:`, nil, ""},
		{"several, with what later versions may print", `printf '%s\n' '{"user":"alice","connected":true,"seat":"seat0"}' '' '{"user":"CORP\\bob"}'`,
			[]broker.UserSession{{User: "alice", Connected: true}, {User: `CORP\bob`}}, ""},
		{"one user twice", `echo '{"user":"alice"}'; echo '{"user":"alice","connected":true}'; echo '{"user":"alice"}'`,
			[]broker.UserSession{{User: "alice", Connected: true}}, ""},
		{"garbage", `echo '{"user":"alice"}'; echo nonsense`, nil, "line 2"},
		{"a session of nobody", `echo '{"connected":true}'`, nil, "line 1"},
		{"a name that is no line", `printf '%s\n' '{"user":"al\nice"}'`, nil, "line 1"},
		{"too many", `i=0; while [ $i -le 10000 ]; do echo "{\"user\":\"u$i\"}"; i=$((i+1)); done`, nil, "too many sessions"},
		{"without an end", `exec yes`, nil, "more than 1048576 bytes"},
		{"without an end, deaf to signals", `trap "" PIPE TERM; while :; do echo y; done 2>/dev/null`, nil, "more than 1048576 bytes"},
		{"a failure with a reason", `echo "the daemon is down" >&2; echo more >&2; exit 3`, nil, "list: exit status 3: the daemon is down"},
		{"a failure with a long reason", `head -c 100000 /dev/zero | tr '\0' x >&2; exit 1`, nil, "exit status 1: xxx"},
		{"a failure without reason", `exit 4`, nil, "exit status 4"},
		{"killed", `kill -9 $$`, nil, "signal: killed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := script(t, tt.body).UserSessions(t.Context())
			if tt.says != "" {
				require.ErrorContains(t, err, tt.says)
				require.Less(t, len(err.Error()), 300)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestCommand_TellsTheProgramWhatToDo(t *testing.T) {
	c := script(t, `printf '<%s>' "$@" > args; cat > input`)
	c.Args = []string{"-config", "a file"}
	require.NoError(t, c.Disconnect(t.Context(), `CORP\alice`))
	require.Equal(t, `<-config><a file><disconnect><CORP\alice>`, c.file(t, "args"))
	require.NoError(t, c.LogOff(t.Context(), "alice $(touch x); *"))
	require.Equal(t, "<-config><a file><logoff><alice $(touch x); *>", c.file(t, "args"))
	require.NoError(t, c.Message(t.Context(), "alice", "-n", "one\ntwo\n"))
	require.Equal(t, "<-config><a file><message><alice><-n>", c.file(t, "args"))
	require.Equal(t, "one\ntwo\n", c.file(t, "input"))
}

func TestCommand_ATextThatIsNotReadIsNoFailure(t *testing.T) {
	require.NoError(t, script(t, `exec <&-`).Message(t.Context(), "alice", "", strings.Repeat("x", broker.MaxUserMessage)))
}

func TestCommand_RefusesWhatIsNoName(t *testing.T) {
	c := script(t, `touch ran`)
	for _, user := range []string{"", "-a", "--", "a\nb", "a\x00b", "a\x1b[2J", "\xff", strings.Repeat("x", 1000)} {
		for _, err := range []error{
			c.Disconnect(t.Context(), user), c.LogOff(t.Context(), user), c.Message(t.Context(), user, "title", "text"),
		} {
			require.Equal(t, reachback.CodeBadRequest, reachback.CodeOf(err), "%q", user)
		}
	}
	for _, m := range [][2]string{
		{"two\nlines", "text"}, {"title", "a\x00b"}, {"title", "\xff"}, {"title", strings.Repeat("x", broker.MaxUserMessage)},
	} {
		require.Equal(t, reachback.CodeBadRequest, reachback.CodeOf(c.Message(t.Context(), "alice", m[0], m[1])))
	}
	require.NoFileExists(t, filepath.Join(filepath.Dir(c.Path), "ran"))
}

func TestCommand_SecretsOfOursAreNotInItsEnvironment(t *testing.T) {
	t.Setenv("REACHBACK_SECRET", "secret")
	c := script(t, `env > env`)
	require.NoError(t, c.LogOff(t.Context(), "alice"))
	require.NotContains(t, c.file(t, "env"), "secret")
	require.Contains(t, c.file(t, "env"), "PATH="+os.Getenv("PATH"))
}

// A program that hangs is killed with everything it started, and takes nobody else's
// turn for good.
func TestCommand_EndsWithItsTime(t *testing.T) {
	const soon = 2 * time.Second
	tests := []struct {
		name   string
		body   string
		within time.Duration
		says   error
	}{
		{"it hangs", `echo $$ > pids; exec sleep 1000`, soon, errTimeout},
		{"it is deaf", `trap "" TERM INT HUP; echo $$ > pids; while :; do sleep 1000; done`, soon, errTimeout},
		{"its child hangs", `echo $$ > pids; sleep 1000 & echo $! >> pids; wait`, soon, errTimeout},
		{"its child holds the output open", `sleep 1000 & echo $! > pids`, 0, errLeftOver},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Before others run, for a child of theirs may hold what is written
			// here open, and what is open cannot be run.
			c := script(t, `[ ! -e again ] || exit 0; touch again; `+tt.body)
			t.Parallel()
			c.Timeout = tt.within
			_, err := c.UserSessions(t.Context())
			require.ErrorIs(t, err, tt.says)
			if pids, err := os.ReadFile(filepath.Join(filepath.Dir(c.Path), "pids")); !errors.Is(err, fs.ErrNotExist) {
				require.NoError(t, err)
				for _, line := range strings.Fields(string(pids)) {
					pid, err := strconv.Atoi(line)
					require.NoError(t, err)
					requireGone(t, pid)
				}
			}
			require.NoError(t, c.LogOff(t.Context(), "alice"))
		})
	}
}

// A child that has left the group is the operator's; it does not hold us up.
func TestCommand_DoesNotWaitForADaemon(t *testing.T) {
	peertest.Path(t, "setsid", "util-linux")
	c := script(t, `setsid sleep 1000 & echo $! > daemon`)
	require.ErrorIs(t, c.LogOff(t.Context(), "alice"), errLeftOver)
	pid, err := strconv.Atoi(strings.TrimSpace(c.file(t, "daemon")))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))

	c = script(t, `setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $! > daemon`)
	require.NoError(t, c.LogOff(t.Context(), "alice"))
	pid, err = strconv.Atoi(strings.TrimSpace(c.file(t, "daemon")))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
}

// requireGone waits for a killed process to be gone, or a zombie of another parent.
func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err == nil {
			return strings.Contains(string(stat), ") Z ")
		}
		return syscall.Kill(pid, 0) == syscall.ESRCH
	}, 10*time.Second, 10*time.Millisecond)
}

func TestCommand_EndsWithItsContext(t *testing.T) {
	c := script(t, `: > started; exec sleep 1000`)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the channel is gone")
	failed := make(chan error, 1)
	go func() { failed <- c.LogOff(ctx, "alice") }()
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(filepath.Dir(c.Path), "started"))
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	waits := make(chan error, 1)
	go func() { waits <- c.LogOff(ctx, "bob") }()
	cancel(gone)
	require.ErrorIs(t, <-failed, gone)
	require.ErrorIs(t, <-waits, gone)
}

func TestCommand_OneAtATime(t *testing.T) {
	c := script(t, `mkdir busy || exit 1; sleep 0.05; rmdir busy`)
	failed := make(chan error, 8)
	for range cap(failed) {
		go func() { failed <- c.LogOff(t.Context(), "alice") }()
	}
	for range cap(failed) {
		require.NoError(t, <-failed)
	}
}

func TestCommand_APathThatIsNone(t *testing.T) {
	require.ErrorContains(t, (&Command{Path: "control"}).LogOff(t.Context(), "alice"), "not absolute")
	require.ErrorIs(t, (&Command{Path: "/no/such/program"}).LogOff(t.Context(), "alice"), fs.ErrNotExist)
}
