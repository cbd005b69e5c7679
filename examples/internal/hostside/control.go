package hostside

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/usersession"
	"github.com/reachback/reachback/examples/internal/program"
)

// What Config.Control can be besides a program.
const (
	ControlNone = "none"
	ControlWTS  = "wts" // on Windows: its Remote Desktop Services
)

// DefaultControl is what fits the system.
func DefaultControl() string {
	if runtime.GOOS == "windows" {
		return ControlWTS
	}
	return ControlNone
}

// newControl returns what knows the host's user sessions, nil for none.
func newControl(control string) (broker.SessionControl, error) {
	switch control {
	case "", ControlNone:
		return nil, nil
	case ControlWTS:
		if runtime.GOOS != "windows" {
			return nil, program.UsageError("flag -session-command: only Windows has wts")
		}
		return &usersession.WTS{}, nil
	}
	path, err := filepath.Abs(control)
	if err != nil {
		return nil, err
	}
	if path, err = exec.LookPath(path); err != nil {
		return nil, fmt.Errorf("program of -session-command: %w", err)
	}
	return &usersession.Command{Path: path}, nil
}
