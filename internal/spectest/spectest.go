// Package spectest reads the test vectors printed in SPEC.md, so that what the
// text shows is what the tests check.
package spectest

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A Vector is one line "name: hex" of a fenced block "vectors <group>".
type Vector struct {
	Name  string
	Bytes []byte
}

// Vectors returns the vectors of a group; none is a failure.
func Vectors(t testing.TB, group string) []Vector {
	t.Helper()
	var vs []Vector
	in := false
	for line := range strings.Lines(Text(t)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "```vectors "+group:
			in = true
		case strings.HasPrefix(line, "```"):
			in = false
		case in && line != "":
			name, digits, ok := strings.Cut(line, ":")
			b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
			if !ok || err != nil {
				t.Fatalf("SPEC.md: vectors %s: %q is not a vector", group, line)
			}
			vs = append(vs, Vector{name, b})
		}
	}
	if len(vs) == 0 {
		t.Fatalf("SPEC.md has no vectors %s", group)
	}
	return vs
}

// Text returns SPEC.md whole.
func Text(t testing.TB) string {
	t.Helper()
	return File(t, "SPEC.md")
}

// File returns a file of the module's root.
func File(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = up
	}
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
