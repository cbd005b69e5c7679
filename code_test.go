package reachback

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A code is a promise to those who have to act on it: it has a text, a status, a
// row with cause and remedy in SPEC.md, and somewhere a refusal that uses it.
func TestEveryCodeIsDocumentedAndUsed(t *testing.T) {
	declared := declaredCodes(t)
	rows := specCodes(t)
	used, _ := codesInSource(t, declared)

	var unused []string
	for name, code := range declared {
		require.NotEmptyf(t, code.Text(), "%s has no text", name)
		require.NotEmptyf(t, http.StatusText(codes[code].status), "%s has no HTTP status", name)
		require.GreaterOrEqualf(t, code.Status(), 400, "%s has a status that is no refusal's", name)
		require.Containsf(t, rows, code, "%s is not in SPEC.md, section 8", name)
		require.Equalf(t, code.Status(), rows[code], "%s has another status in SPEC.md", name)
		if !used[name] {
			unused = append(unused, name)
		}
	}
	slices.Sort(unused)
	require.Empty(t, unused, "codes that nothing refuses with")
	require.Len(t, codes, len(declared), "codes without a constant, or two constants of one code")
	require.Len(t, rows, len(declared), "rows of SPEC.md, section 8, without a constant")
}

func TestCodesAreNotSpelledOutInSource(t *testing.T) {
	_, spelled := codesInSource(t, declaredCodes(t))
	require.Empty(t, spelled, "use the constants of code.go")
}

// declaredCodes returns the constants of code.go by name.
func declaredCodes(t *testing.T) map[string]Code {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "code.go", nil, 0)
	require.NoError(t, err)
	declared := map[string]Code{}
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && isIdent(v.Type, "Code") {
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			declared[v.Names[0].Name] = Code(text)
		}
		return true
	})
	require.NotEmpty(t, declared)
	return declared
}

var specRow = regexp.MustCompile("^\\| `([^`]*)` \\| ([0-9]{3}) \\| ([^|]*[^| ]) \\| ([^|]*[^| ]) \\|$")

// specCodes returns the status of each row of the table in SPEC.md, section 8.
func specCodes(t *testing.T) map[Code]int {
	t.Helper()
	_, section, ok := strings.Cut(read(t, "SPEC.md"), "\n## 8. ")
	require.True(t, ok, "SPEC.md has no section 8")
	section, _, _ = strings.Cut(section, "\n## ")

	rows := map[Code]int{}
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| code |") || strings.HasPrefix(line, "|---") {
			continue
		}
		m := specRow.FindStringSubmatch(line)
		require.NotNilf(t, m, "not a row of code, status, cause and remedy: %s", line)
		require.NotContainsf(t, rows, Code(m[1]), "%s stands twice in SPEC.md", m[1])
		rows[Code(m[1])], _ = strconv.Atoi(m[2])
	}
	return rows
}

// codesInSource reads the Go source of the module, tests and code.go apart. It
// returns which constants are used, and where a code stands as a string instead.
// A word that is also an ordinary one, like "closed", counts as a code only where
// a Code is wanted: in a conversion or refusal, a declaration, or a field Code.
func codesInSource(t *testing.T, declared map[string]Code) (used map[string]bool, spelled []string) {
	t.Helper()
	all := map[string]bool{}
	for _, c := range declared {
		all[string(c)] = true
	}
	isCode := func(e ast.Expr) bool {
		l, ok := e.(*ast.BasicLit)
		if !ok || l.Kind != token.STRING {
			return false
		}
		s, err := strconv.Unquote(l.Value)
		return err == nil && all[s]
	}

	used = map[string]bool{}
	fset := token.NewFileSet()
	goFiles(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") || path == "code.go" {
			return
		}
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			var wanted []ast.Expr
			switch n := n.(type) {
			case *ast.Ident:
				if _, ok := declared[n.Name]; ok {
					used[n.Name] = true
				}
			case *ast.BasicLit:
				if isCode(n) && strings.Contains(n.Value, "_") {
					wanted = append(wanted, n)
				}
			case *ast.CallExpr:
				if isIdent(n.Fun, "Code") || isIdent(n.Fun, "Refuse") {
					wanted = n.Args
				}
			case *ast.ValueSpec:
				if isIdent(n.Type, "Code") {
					wanted = n.Values
				}
			case *ast.KeyValueExpr:
				if isIdent(n.Key, "Code") {
					wanted = append(wanted, n.Value)
				}
			}
			for _, e := range wanted {
				if isCode(e) {
					spelled = append(spelled, fmt.Sprintf("%s: %s", fset.Position(e.Pos()), e.(*ast.BasicLit).Value))
				}
			}
			return true
		})
	})
	slices.Sort(spelled)
	return used, slices.Compact(spelled)
}

// isIdent reports whether e is the identifier name, of whatever package.
func isIdent(e ast.Expr, name string) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == name
	case *ast.SelectorExpr:
		return e.Sel.Name == name
	}
	return false
}

// goFiles calls f with the path of every Go file of the module.
func goFiles(t *testing.T, f func(path string)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(path, ".go") {
			f(path)
		}
		return nil
	}))
}
