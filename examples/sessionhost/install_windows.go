package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"

	"github.com/reachback/reachback/examples/internal/program"
)

func (s *service) define(*flag.FlagSet) {}

func (s *service) defineUser(*flag.FlagSet) {} // it is LocalSystem, as WTS wants it

const (
	// restartAfter is how soon Windows starts the service again.
	restartAfter = 5 * time.Second
	// countedFor is, in seconds, when it forgets that it did.
	countedFor = 24 * 60 * 60
	// stopWithin is how long uninstall waits for the service to drain.
	stopWithin = 20 * time.Second
)

func (c *command) installService(p *program.Program, self string, args []string) error {
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("the service manager: %w", err)
	}
	defer m.Disconnect()
	config := mgr.Config{StartType: mgr.StartAutomatic, DisplayName: c.service.name, Description: description}
	s, err := openOurs(m, c.service.name)
	switch {
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		if s, err = m.CreateService(c.service.name, self, config, args...); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if config, err = s.Config(); err == nil {
			config.BinaryPathName = windows.ComposeCommandLine(append([]string{self}, args...))
			err = s.UpdateConfig(config)
		}
	}
	defer s.Close()
	if err != nil {
		return err
	}
	restart := mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: restartAfter}
	if err := s.SetRecoveryActions([]mgr.RecoveryAction{restart}, countedFor); err != nil {
		return err
	}
	if err := s.SetRecoveryActionsOnNonCrashFailures(true); err != nil {
		return err
	}
	// That the source is there already is no error worth knowing.
	eventlog.InstallAsEventCreate(c.service.name, eventlog.Info|eventlog.Error)
	p.Event("installed", "service", c.service.name, "next", "sc start "+c.service.name)
	return nil
}

// openOurs opens a service that was made by install.
func openOurs(m *mgr.Mgr, name string) (*mgr.Service, error) {
	s, err := m.OpenService(name)
	if err != nil {
		return nil, err
	}
	config, err := s.Config()
	if err == nil && config.Description != description {
		err = fmt.Errorf("the service %s is there and was not made by sessionhost install; name another with -service", name)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (c *command) uninstallService(p *program.Program) error {
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("the service manager: %w", err)
	}
	defer m.Disconnect()
	s, err := openOurs(m, c.service.name)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := stop(s); err != nil {
		return err
	}
	if err := s.Delete(); err != nil {
		return err
	}
	eventlog.Remove(c.service.name)
	p.Event("uninstalled", "service", c.service.name)
	return nil
}

// stop stops the service and waits until it has drained.
func stop(s *mgr.Service) error {
	status, err := s.Control(svc.Stop)
	if errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
		return nil
	}
	for deadline := time.Now().Add(stopWithin); err == nil && status.State != svc.Stopped; status, err = s.Query() {
		if time.Now().After(deadline) {
			return errors.New("the service does not stop")
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}
