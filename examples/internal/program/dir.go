package program

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/reachback/reachback/internal/durable"
)

// MakeDir makes the folder with mode 0700, or tightens it, and checks that files
// can be made in it.
func MakeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("folder of -dir: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("folder of -dir: %w", err)
	}
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("folder of -dir is not writable: %w", err)
	}
	f.Close()
	return os.Remove(f.Name())
}

// WriteFile replaces dir/name as a whole, with mode 0600, and returns its path.
func WriteFile(dir, name string, data []byte) (string, error) {
	path := filepath.Join(dir, name)
	return path, durable.WriteFile(path, data)
}

// Lock keeps a second process off dir for as long as this one lives, or until
// the returned function is called.
func Lock(dir string) (unlock func(), err error) {
	l, err := durable.NewLock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("folder of -dir: %w", err)
	}
	return func() { l.Close() }, nil
}

// FileName makes a file name of a name that came from outside: it names no other
// folder and no hidden file, and different names stay different.
func FileName(s string) string {
	s = url.PathEscape(s)
	s = strings.NewReplacer("/", "%2F", `\`, "%5C", ":", "%3A", "*", "%2A").Replace(s)
	if strings.HasPrefix(s, ".") {
		s = "%2E" + s[1:]
	}
	if len(s) > 200 {
		s = fmt.Sprintf("%s-%x", s[:150], sha256.Sum256([]byte(s)))
	}
	return s
}
