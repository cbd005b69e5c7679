// Package peertest finds the programs of others that tests run against.
package peertest

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// Path returns the path of a program. Where it is not installed the test is
// skipped, naming the Debian package that has it; with CI=true it fails, so that
// no run of the whole check passes with a peer left out.
func Path(t testing.TB, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	Missing(t, "the program "+program+" is not installed; it is in the package "+debianPackage)
	return ""
}

// Missing ends a test that cannot run here: it skips, or fails with CI=true.
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
		return
	}
	t.Skip(why)
}

// Linux ends a test that looks at a process through /proc where there is none.
func Linux(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("looks at the process through /proc")
	}
}
