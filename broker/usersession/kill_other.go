//go:build !unix

package usersession

import "os/exec"

// killTree returns what kills the program; its children live on.
func killTree(cmd *exec.Cmd) func() error {
	return func() error { return cmd.Process.Kill() }
}
