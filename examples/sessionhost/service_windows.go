package main

import (
	"context"
	"log/slog"
	"strings"

	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"

	"github.com/reachback/reachback/examples/internal/program"
)

// runAsService runs under the service manager if that has started us. The log, which
// nobody reads on a service's standard error, then goes to the event log.
func runAsService(ctx context.Context, p *program.Program, run func(context.Context) error) error {
	managed, err := svc.IsWindowsService()
	if err != nil {
		return err
	}
	if !managed {
		return run(ctx)
	}
	m := &managedService{ctx: ctx, program: p, run: run}
	if err := svc.Run(defaultService, m); err != nil { // of a process with one service the name is not looked at
		return err
	}
	return m.err
}

// A managedService is the svc.Handler of one run.
type managedService struct {
	ctx     context.Context // of the program
	program *program.Program
	run     func(context.Context) error
	err     error // of run, once Execute has returned
}

// Execute implements [svc.Handler]. To Windows the service runs as soon as it began:
// how long the broker takes to answer is not its concern.
func (m *managedService) Execute(args []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	name := defaultService
	if len(args) > 0 {
		name = args[0]
	}
	if log, err := eventlog.Open(name); err == nil {
		defer log.Close()
		m.program.Logger = slog.New(slog.NewTextHandler(eventWriter{log}, nil))
	}
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- m.run(ctx) }() // ended by cancel, awaited below
	running := svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	status <- running
	for {
		select {
		case r := <-requests:
			switch r.Cmd {
			case svc.Stop, svc.Shutdown:
				status <- svc.Status{State: svc.StopPending, WaitHint: uint32(stopWithin.Milliseconds())}
				cancel()
			case svc.Interrogate:
				status <- r.CurrentStatus
			}
		case m.err = <-ended:
			if m.err != nil {
				m.program.Logger.Error("session host ended", "err", m.err)
				return true, 1
			}
			return false, 0
		}
	}
}

// eventWriter makes an event of each record.
type eventWriter struct{ log *eventlog.Log }

func (w eventWriter) Write(p []byte) (int, error) {
	const id = 1
	text := strings.TrimRight(string(p), "\r\n")
	if strings.Contains(text, " level=ERROR ") {
		return len(p), w.log.Error(id, text)
	}
	return len(p), w.log.Info(id, text)
}
