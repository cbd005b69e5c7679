package usersession

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/internal/printable"
)

const (
	commandTimeout = 10 * time.Second
	// pipesWithin is how long a child of the program may hold the program's
	// output open after its end.
	pipesWithin = time.Second

	maxOutput    = 1 << 20
	maxSessions  = 10_000
	maxComplaint = 4 << 10 // of standard error
)

// A Command is a [broker.SessionControl] that runs a program, without a shell, as
//
//	PATH [ARGS] list
//	PATH [ARGS] disconnect USER
//	PATH [ARGS] logoff USER
//	PATH [ARGS] message USER TITLE
//
// "list" prints one JSON object a line for each session: {"user":"alice","connected":true}.
// The text of a message comes on standard input. Exit status 0 is success; of any
// other the first line of standard error says why.
//
// USER has no control character and begins with no "-"; TITLE may. The environment
// is PATH, HOME, LANG and TZ. One program runs at a time, so that it need not think
// of locks; others wait for their turn within their own time.
type Command struct {
	Path string   // absolute. Required
	Args []string // before those of the operation
	// Timeout bounds each operation. The program is killed then, on Unix with
	// its whole process group. Zero means 10 s.
	Timeout time.Duration

	once sync.Once
	turn chan struct{} // of one; never closed
}

// UserSessions implements [broker.SessionControl]. A user with several sessions is
// there once, connected if one of them is.
func (c *Command) UserSessions(ctx context.Context) ([]broker.UserSession, error) {
	out, err := c.run(ctx, "", "list")
	if err != nil {
		return nil, err
	}
	sessions, err := parseSessions(out)
	return sessions, fail("list", err)
}

// Disconnect implements [broker.SessionControl].
func (c *Command) Disconnect(ctx context.Context, user string) error {
	if err := checkUser(user); err != nil {
		return err
	}
	_, err := c.run(ctx, "", "disconnect", user)
	return err
}

// LogOff implements [broker.SessionControl].
func (c *Command) LogOff(ctx context.Context, user string) error {
	if err := checkUser(user); err != nil {
		return err
	}
	_, err := c.run(ctx, "", "logoff", user)
	return err
}

// Message implements [broker.SessionControl].
func (c *Command) Message(ctx context.Context, user, title, text string) error {
	if err := errors.Join(checkUser(user), checkMessage(title, text)); err != nil {
		return err
	}
	_, err := c.run(ctx, text, "message", user, title)
	return err
}

var (
	errTimeout  = errors.New("the program does not end in time")
	errTooMuch  = fmt.Errorf("the program prints more than %d bytes", maxOutput)
	errLeftOver = errors.New("the program left a process behind that holds its output open")
)

// run runs the program to its end and returns what it printed.
func (c *Command) run(ctx context.Context, input string, operation ...string) (out []byte, err error) {
	defer func() { err = fail(operation[0], err) }()
	if !filepath.IsAbs(c.Path) {
		return nil, fmt.Errorf("the path %q is not absolute", c.Path)
	}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = commandTimeout
	}
	ctx, stop := context.WithTimeoutCause(ctx, timeout, errTimeout)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	c.once.Do(func() { c.turn = make(chan struct{}, 1) })
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}

	stdout := &output{limit: maxOutput, full: func() { cancel(errTooMuch) }}
	stderr := &output{limit: maxComplaint}
	cmd := exec.CommandContext(ctx, c.Path, append(c.Args[:len(c.Args):len(c.Args)], operation...)...)
	cmd.Stdin = strings.NewReader(input)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Dir, cmd.Env = filepath.Dir(c.Path), environment()
	cmd.WaitDelay = pipesWithin
	kill := killTree(cmd)
	cmd.Cancel = kill

	switch err := cmd.Run(); {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, exec.ErrWaitDelay):
		kill()
		return nil, errLeftOver
	case err != nil:
		complaint, _, _ := strings.Cut(strings.TrimSpace(string(stderr.b)), "\n")
		if complaint == "" {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s", err, printable.Clip(complaint))
	}
	return stdout.b, nil
}

// environment is of our own variables what any program needs.
func environment() (env []string) {
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// output keeps the beginning of what a program prints.
type output struct {
	limit int
	full  func() // called when there is more; nil: the rest is dropped

	b []byte
}

func (o *output) Write(p []byte) (int, error) {
	room := o.limit - len(o.b)
	o.b = append(o.b, p[:min(len(p), room)]...)
	if len(p) > room && o.full != nil {
		o.full()
		return room, io.ErrShortWrite
	}
	return len(p), nil
}
