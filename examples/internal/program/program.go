// Package program is what the example programs have in common: flags, events on
// standard output, logs on standard error, signals and exit statuses.
package program

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
)

// A Program is one example program while it runs.
type Program struct {
	Name   string
	Flags  *flag.FlagSet
	Logger *slog.Logger // set before Main calls run

	stdout io.Writer
	stderr io.Writer
	mu     sync.Mutex // guards writes to stdout
}

// A UsageError is a mistake in the flags: exit status 2.
type UsageError string

func (e UsageError) Error() string { return string(e) }

// Main parses the flags that define defines, calls run until it returns or a
// signal ends its context, and exits: 0 at the regular end, also by SIGINT or
// SIGTERM; 2 for a wrong flag; 1 for any other failure. A failure is one line on
// standard error. A second signal ends the program at once.
func Main(name, summary string, define func(*flag.FlagSet), run func(context.Context, *Program) error) {
	process(Run, name, summary, define, run)
}

// CommandMain is [Main] for a program whose flags are followed by a command with
// arguments of its own: Flags has them.
func CommandMain(name, summary string, define func(*flag.FlagSet), run func(context.Context, *Program) error) {
	process(RunCommand, name, summary, define, run)
}

type runFunc func(ctx context.Context, name, summary string, args []string, stdout, stderr io.Writer, define func(*flag.FlagSet), run func(context.Context, *Program) error) int

func process(f runFunc, name, summary string, define func(*flag.FlagSet), run func(context.Context, *Program) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the next signal has its usual effect again
	code := f(ctx, name, summary, os.Args[1:], os.Stdout, os.Stderr, define, run)
	stop()
	os.Exit(code)
}

// Run is [Main] without the process: it returns the exit status.
func Run(ctx context.Context, name, summary string, args []string, stdout, stderr io.Writer, define func(*flag.FlagSet), run func(context.Context, *Program) error) int {
	return RunCommand(ctx, name, summary, args, stdout, stderr, define, func(ctx context.Context, p *Program) error {
		if p.Flags.NArg() > 0 {
			return UsageError(fmt.Sprintf("unexpected argument %q; -h explains the flags", p.Flags.Arg(0)))
		}
		return run(ctx, p)
	})
}

// RunCommand is [CommandMain] without the process.
func RunCommand(ctx context.Context, name, summary string, args []string, stdout, stderr io.Writer, define func(*flag.FlagSet), run func(context.Context, *Program) error) int {
	p := &Program{Name: name, Flags: flag.NewFlagSet(name, flag.ContinueOnError), stdout: stdout, stderr: stderr}
	p.Flags.SetOutput(io.Discard)
	version := p.Flags.Bool("version", false, "print the version and exit")
	verbose := p.Flags.Bool("v", false, "log at debug level")
	format := p.Flags.String("log", "text", "format of the log on standard error: `text or json`")
	define(p.Flags)

	fail := func(status int, err error) int {
		fmt.Fprintf(stderr, "%s: %s\n", name, OneLine(err.Error()))
		return status
	}
	switch err := p.Flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stderr, "%s %s\n\nFlags:\n", name, summary)
		p.Flags.SetOutput(stderr)
		p.Flags.PrintDefaults()
		return 0
	case err != nil:
		return fail(2, err)
	}
	if *version {
		fmt.Fprintln(stderr, name, Version())
		return 0
	}
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	if *verbose {
		options.Level = slog.LevelDebug
	}
	switch *format {
	case "text":
		p.Logger = slog.New(slog.NewTextHandler(stderr, options))
	case "json":
		p.Logger = slog.New(slog.NewJSONHandler(stderr, options))
	default:
		return fail(2, fmt.Errorf("-log %q is neither text nor json", *format))
	}
	err := run(ctx, p)
	if usage, ok := errors.AsType[UsageError](err); ok {
		return fail(2, usage)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return fail(1, err)
	}
	return 0
}

// Require returns a [UsageError] that names the first of the flags that is empty.
func (p *Program) Require(names ...string) error {
	for _, n := range names {
		if p.Flags.Lookup(n).Value.String() == "" {
			return UsageError(fmt.Sprintf("flag -%s is required; -h explains the flags", n))
		}
	}
	return nil
}

// Text writes lines for people to standard output, in place of events.
func (p *Program) Text(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	io.WriteString(p.stdout, text)
}

// Explain writes a command's usage to standard error.
func (p *Program) Explain(usage string) { io.WriteString(p.stderr, usage) }

// Event writes one line to standard output: a JSON object with the event's name
// and the fields, given as alternating keys and values. Fields that are "" are
// left out.
func (p *Program) Event(name string, fields ...any) {
	var b strings.Builder
	fmt.Fprintf(&b, `{"event":%s`, mustJSON(name))
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i+1] == "" {
			continue
		}
		fmt.Fprintf(&b, `,%s:%s`, mustJSON(fields[i]), mustJSON(fields[i+1]))
	}
	b.WriteString("}\n")
	p.mu.Lock()
	defer p.mu.Unlock()
	// JSON lets DEL stand in a string as it is; a terminal need not see it.
	io.WriteString(p.stdout, strings.ReplaceAll(b.String(), "\x7f", `\u007f`))
}

// mustJSON leaves <, > and & as they are, for people to copy.
func mustJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("program: an event's field cannot be JSON: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// OneLine makes one line of s, without control characters and not endless.
func OneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 1000 {
		s = string(r[:1000]) + "…"
	}
	return s
}

// Version is the module's version as the build knows it.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}
