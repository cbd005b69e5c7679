package reachback

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// SECURITY.md says which attacks are tried. What it lists has a test that bears
// the attack's id, and every such test is in its list.
func TestSecurityListsTheAttacksThatAreTested(t *testing.T) {
	tested := map[string]bool{}
	name := regexp.MustCompile(`^Test([A-G][0-9]+)_`)
	fset := token.NewFileSet()
	goFiles(t, func(path string) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				if m := name.FindStringSubmatch(fn.Name.Name); m != nil {
					tested[m[1]] = true
				}
			}
		}
	})

	listed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^- \*\*([A-G][0-9]+)\*\* `).FindAllStringSubmatch(read(t, "SECURITY.md"), -1) {
		require.Falsef(t, listed[m[1]], "%s stands twice in SECURITY.md", m[1])
		listed[m[1]] = true
	}
	require.Equal(t, slices.Sorted(maps.Keys(tested)), slices.Sorted(maps.Keys(listed)))
}

// The commands of the README are what a newcomer types, and what .ci/run checks.
func TestReadmeHasTheCommands(t *testing.T) {
	readme := read(t, "README.md")
	for _, command := range []string{"go run ./examples/quickstart", "go test ./..."} {
		require.Contains(t, readme, "\n"+command+"\n")
	}
}

// Links between the documents, and from them to files and folders, lead somewhere.
func TestDocumentLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^):#]+)(?:#[^)]*)?\)`)
	for _, doc := range []string{"README.md", "SPEC.md", "SECURITY.md", "CONTRIBUTING.md", "docs/stock-clients.md"} {
		for _, m := range link.FindAllStringSubmatch(read(t, doc), -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(doc), filepath.FromSlash(m[1])))
			require.NoErrorf(t, err, "%s links to %s", doc, m[1])
		}
	}
}

// A path of the author's machine works for nobody else.
func TestSourceNamesNoMachinePaths(t *testing.T) {
	machine := regexp.MustCompile(`["'\x60 (=]/(?:root|work|home/[a-z]+|Users/[A-Za-z]+)/`)
	goFiles(t, func(path string) {
		require.NotRegexpf(t, machine, read(t, path), "in %s", path)
	})
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}
