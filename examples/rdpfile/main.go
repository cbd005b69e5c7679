// Command rdpfile signs, verifies and prints .rdp files.
//
//	rdpfile sign -cert publisher.pem -key publisher.key -chain authorities.pem desktop.rdp
//	rdpfile verify -roots root.pem -valid-for 720h *.rdp
//	rdpfile print -text desktop.rdp
//
// The signature is the one that rdpsign.exe makes and mstsc checks: a client that
// trusts the publisher's certificate names him, one that does not warns.
//
// Standard output has an event for each file: "signed", "verified" or "refused" with
// the reason, and from print "file" followed by a "setting" each. The exit status is 1
// when something did not succeed with all of them.
package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/reachback/reachback/examples/internal/program"
)

const summary = "signs, verifies and prints .rdp files.\n\n" +
	"  rdpfile [FLAG …] COMMAND [FLAG …] FILE …\n\nCommands (each explains its flags with -h):\n"

func main() {
	program.CommandMain("rdpfile", summary+commandList(), func(*flag.FlagSet) {}, run)
}

// A command is one word of the command line with what follows it.
type command struct {
	name string
	does string
	// set defines the command's own flags and returns what it does with the files.
	set func(f *flag.FlagSet) func(p *program.Program, files []string) error
}

func commands() []command {
	return []command{
		{"sign", "sign files in place, or one to another with -o", setSign},
		{"verify", "check who signed files, and that they are as he signed them", setVerify},
		{"print", "list the settings of files", setPrint},
	}
}

func commandList() string {
	var b strings.Builder
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-10s %s\n", c.name, c.does)
	}
	return strings.TrimRight(b.String(), "\n")
}

func run(_ context.Context, p *program.Program) error {
	if p.Flags.NArg() == 0 {
		return program.UsageError("a command is missing; -h lists them")
	}
	for _, c := range commands() {
		if c.name == p.Flags.Arg(0) {
			return c.call(p, p.Flags.Args()[1:])
		}
	}
	return program.UsageError(fmt.Sprintf("there is no command %q; -h lists them", p.Flags.Arg(0)))
}

func (c *command) call(p *program.Program, args []string) error {
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	var said strings.Builder
	f.SetOutput(&said)
	f.Usage = func() {}
	do := c.set(f)
	switch err := f.Parse(args); {
	case err == flag.ErrHelp:
		f.PrintDefaults()
		p.Explain(fmt.Sprintf("rdpfile %s [FLAG …] FILE …: %s.\n%s", c.name, c.does, said.String()))
		return nil
	case err != nil:
		return program.UsageError(fmt.Sprintf("%s: %v", c.name, err))
	case f.NArg() == 0:
		return program.UsageError(c.name + ": a file is missing; its flags come first")
	}
	for _, file := range f.Args() {
		if strings.HasPrefix(file, "-") {
			return program.UsageError(fmt.Sprintf("%s: %q stands behind a file, and flags come first; a file of that name is ./%s", c.name, file, file))
		}
	}
	return do(p, f.Args())
}

// each does something with every file, also when it fails with some: an event has
// each failure, the error is of the first.
func each(p *program.Program, files []string, do func(file string) error) error {
	var first error
	failed := 0
	for _, file := range files {
		if err := do(file); err != nil {
			p.Event("refused", "file", file, "reason", strings.TrimPrefix(err.Error(), "feed: "))
			if failed++; first == nil {
				first = fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	if failed > 1 {
		return fmt.Errorf("%d of %d files; the first: %w", failed, len(files), first)
	}
	return first
}
