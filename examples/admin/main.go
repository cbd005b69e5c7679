// Command admin asks a server's admin address and tells it what to change.
//
// The address is the server's flag -admin: a loopback one, or any with mutual TLS.
//
//	admin hosts -pool desktops
//	admin -table sessions -user alice -live
//	admin drain pc-17 on
//	admin token -pool desktops -life 24h -uses 5
//	admin -table why -user alice -since 1h
//	admin -server https://broker.example:9443 -ca ca.pem -cert me.pem -key me.key pools
//
// Standard output has a JSON line for each thing listed, whose event is its kind;
// and for what was done, the event "done" with operation and what it was done to.
// With -table both are for people.
package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/reachback/reachback/examples/internal/program"
)

const summary = "asks a server's admin address and tells it what to change.\n\n" +
	"  admin [FLAG …] COMMAND [FLAG …] [ARGUMENT …]\n\nCommands (each explains its flags with -h):\n"

func main() {
	o := &options{}
	program.CommandMain("admin", summary+commandList(), o.define, o.run)
}

// options are the flags in front of the command.
type options struct {
	server, ca, cert, key string
	tenant                string
	table                 bool
}

func (o *options) define(f *flag.FlagSet) {
	f.StringVar(&o.server, "server", "http://127.0.0.1:9443", "base `URL` of the admin address; https unless it is loopback")
	f.StringVar(&o.ca, "ca", "", "`file` with the server's certificate authorities, PEM; the system's by default")
	f.StringVar(&o.cert, "cert", "", "`file` with the operator's certificate, PEM")
	f.StringVar(&o.key, "key", "", "`file` with the key of -cert, PEM")
	f.StringVar(&o.tenant, "tenant", "", "`tenant` that the command is about; by default the one without a name")
	f.BoolVar(&o.table, "table", false, "write for people instead of JSON lines")
}

func (o *options) run(ctx context.Context, p *program.Program) error {
	if p.Flags.NArg() == 0 {
		return program.UsageError("a command is missing; -h lists them")
	}
	for _, c := range commands {
		if c.name == p.Flags.Arg(0) {
			return c.call(ctx, p, o, p.Flags.Args()[1:])
		}
	}
	return program.UsageError(fmt.Sprintf("there is no command %q; -h lists them", p.Flags.Arg(0)))
}

// A command is one word of the command line with what follows it.
type command struct {
	name string
	args string // names of its arguments, as the usage has them
	does string
	// set defines the command's own flags and returns what it does with as many
	// arguments as args names.
	set func(f *flag.FlagSet) func(ctx context.Context, a *asking, args []string) error
}

// An asking is one run of a command.
type asking struct {
	*client
	*output
	tenant string
}

func (c *command) call(ctx context.Context, p *program.Program, o *options, args []string) error {
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	var said strings.Builder
	f.SetOutput(&said)
	f.Usage = func() {}
	do := c.set(f)
	switch err := f.Parse(args); {
	case err == flag.ErrHelp:
		f.PrintDefaults()
		p.Explain(strings.TrimRight(fmt.Sprintf("admin %s %s\n%s.\n%s", c.name, c.args, c.does, said.String()), "\n") + "\n")
		return nil
	case err != nil:
		return program.UsageError(fmt.Sprintf("%s: %v", c.name, err))
	}
	if want := len(strings.Fields(c.args)); f.NArg() != want {
		noun := "arguments"
		if want == 1 {
			noun = "argument"
		}
		return program.UsageError(fmt.Sprintf("the command is %q, with %d %s and not %d; its flags come first", strings.TrimSpace(c.name+" "+c.args), want, noun, f.NArg()))
	}
	asks, err := dial(o)
	if err != nil {
		return err
	}
	defer asks.close()
	out := &output{p: p, table: o.table}
	if err := do(ctx, &asking{asks, out, o.tenant}, f.Args()); err != nil {
		return err
	}
	out.flush()
	return nil
}

func commandList() string {
	var b strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-26s %s\n", strings.TrimSpace(c.name+" "+c.args), c.does)
	}
	return strings.TrimRight(b.String(), "\n")
}

// plain is a command without flags.
func plain(do func(ctx context.Context, a *asking, args []string) error) func(*flag.FlagSet) func(context.Context, *asking, []string) error {
	return func(*flag.FlagSet) func(context.Context, *asking, []string) error { return do }
}
