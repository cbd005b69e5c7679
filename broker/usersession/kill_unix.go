//go:build unix

package usersession

import (
	"os/exec"
	"syscall"
)

// killTree gives the program a process group of its own, and returns what kills
// the group.
func killTree(cmd *exec.Cmd) func() error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
