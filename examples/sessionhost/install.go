package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/reachback/reachback/examples/internal/hostside"
	"github.com/reachback/reachback/examples/internal/program"
)

const (
	defaultService = "reachback-sessionhost"
	description    = "reachback session host"
)

var serviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$`)

func (c *command) defineService(f *flag.FlagSet) {
	f.StringVar(&c.service.name, "service", defaultService, "`name` of the service")
	c.service.define(f)
}

func (s *service) check() error {
	if !serviceName.MatchString(s.name) {
		return program.UsageError(fmt.Sprintf("flag -service: %q is no name of a service", s.name))
	}
	return nil
}

func (c *command) install(_ context.Context, p *program.Program) error {
	if err := c.configure(p); err != nil {
		return err
	}
	if err := c.service.check(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return err
	}
	if err := absolute(p.Flags); err != nil {
		return err
	}
	args, err := serviceArgs(p.Flags)
	if err != nil {
		return err
	}
	return c.installService(p, self, args)
}

func (c *command) uninstall(_ context.Context, p *program.Program) error {
	if err := c.service.check(); err != nil {
		return err
	}
	return c.uninstallService(p)
}

// absolute makes the meaning of flags independent of where a service is started.
func absolute(f *flag.FlagSet) error {
	for _, name := range []string{"dir", "ca", "enrol", "session-command"} {
		switch value := f.Lookup(name).Value.String(); value {
		case "", hostside.ControlNone, hostside.ControlWTS: // of -session-command
		default:
			path, err := filepath.Abs(value)
			if err != nil {
				return err
			}
			if err := f.Set(name, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// serviceArgs returns the flags that were given, as arguments for run.
func serviceArgs(f *flag.FlagSet) (args []string, err error) {
	f.Visit(func(f *flag.Flag) {
		switch value := f.Value.String(); {
		case f.Name == "service", f.Name == "unit-dir", f.Name == "user": // of install
		case strings.ContainsFunc(value, unicode.IsControl):
			err = program.UsageError(fmt.Sprintf("flag -%s: %q has a control character", f.Name, value))
		default:
			args = append(args, "-"+f.Name+"="+value)
		}
	})
	return args, err
}
