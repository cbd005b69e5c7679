package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
)

// secrets are the settings whose values open something. The rest of a file can be
// shown to whoever helps with it.
var secrets = []string{"gatewayaccesstoken", "password 51", "signature"}

func setPrint(f *flag.FlagSet) func(*program.Program, []string) error {
	text := f.Bool("text", false, "write the lines for people instead of JSON; with * those that the signature, right or wrong, claims to cover")
	whole := f.Bool("whole", false, "print values of passwords, tokens and signatures too")
	return func(p *program.Program, files []string) error {
		return each(p, files, func(file string) error {
			f, err := read(file)
			if err != nil {
				return err
			}
			settings := f.Settings()
			if !*whole {
				hide(settings)
			}
			show(p, file, settings, scopeOf(f), *text)
			return nil
		})
	}
}

func hide(settings []feed.Setting) {
	for i := range settings {
		s := &settings[i]
		if slices.Contains(secrets, strings.ToLower(s.Name)) && s.Value != "" {
			s.Value = fmt.Sprintf("(%d characters)", len(s.Value))
		}
	}
}

func show(p *program.Program, file string, settings []feed.Setting, scope []string, text bool) {
	claimed := func(s feed.Setting) bool { return slices.Contains(scope, strings.ToLower(s.Name)) }
	if text {
		var b strings.Builder
		fmt.Fprintf(&b, "%s\n", program.OneLine(file))
		for _, s := range settings {
			mark := " "
			if claimed(s) {
				mark = "*"
			}
			fmt.Fprintf(&b, "%s %s\n", mark, s)
		}
		p.Text(b.String())
		return
	}
	p.Event("file", "file", file, "settings", len(settings), "signed", len(scope) > 0)
	for _, s := range settings {
		// An empty value is one too, which an event would leave out.
		p.Event("setting", "name", s.Name, "type", string(s.Type), "value", &s.Value, "in_scope", claimed(s))
	}
}
