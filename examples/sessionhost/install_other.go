//go:build !linux && !windows

package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"

	"github.com/reachback/reachback/examples/internal/program"
)

func runAsService(ctx context.Context, _ *program.Program, run func(context.Context) error) error {
	return run(ctx)
}

func (s *service) define(*flag.FlagSet) {}

func (s *service) defineUser(*flag.FlagSet) {}

var errNoService = fmt.Errorf("on %s have the system's own means run sessionhost", runtime.GOOS)

func (c *command) installService(*program.Program, string, []string) error { return errNoService }

func (c *command) uninstallService(*program.Program) error { return errNoService }
