package peertest_test

import (
	"strings"
	"testing"

	"github.com/reachback/reachback/internal/peertest"
)

// recorder is the part of a test that peertest ends, recorded instead.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (*recorder) Helper()          {}
func (r *recorder) Skip(a ...any)  { r.skipped = a[0].(string) }
func (r *recorder) Fatal(a ...any) { r.failed = a[0].(string) }

func TestPath(t *testing.T) {
	t.Setenv("CI", "")
	if got := peertest.Path(t, "go", "golang"); got == "" {
		t.Error("go is not found")
	}
	absent := &recorder{}
	peertest.Path(absent, "no-such-program", "some-package")
	if !strings.Contains(absent.skipped, "some-package") {
		t.Errorf("skipped with %q, which does not name the package", absent.skipped)
	}

	t.Setenv("CI", "true")
	absent = &recorder{}
	peertest.Path(absent, "no-such-program", "some-package")
	if !strings.Contains(absent.failed, "some-package") {
		t.Errorf("with CI=true it failed with %q", absent.failed)
	}
}
