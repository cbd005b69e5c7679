package feed_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
	"github.com/reachback/reachback/internal/peertest"
)

// radc asks for version 2.0 of the document, as clients of today do.
const radc = "Accept: application/x-msts-radc+xml; radc_schema_version=2.0"

func TestSchemaVersionIsNegotiated(t *testing.T) {
	const (
		new2 = "application/x-msts-radc+xml; charset=utf-8"
		old1 = "text/xml; charset=utf-8"
	)
	h := newHandler(newSource())
	for _, tt := range []struct {
		name, query string
		accept      []string
		want        string
	}{
		{"none", "", nil, old1},
		{"2.0", "", []string{"application/x-msts-radc+xml; radc_schema_version=2.0"}, new2},
		{"2.0 without the blank, and another type", "", []string{"application/x-msts-radc+xml;radc_schema_version=2.0,text/xml"}, new2},
		{"2.0 quoted, in other letters, as second", "", []string{"text/html, Application/X-MSTS-RADC+XML;RADC_Schema_Version=\"2.0\";q=0.9"}, new2},
		{"2.0 in a second field", "", []string{"text/xml", "application/x-msts-radc+xml;radc_schema_version=2.0"}, new2},
		{"2.0 in the URL", "?radc_schema_version=2.0", nil, new2},
		{"2.1", "", []string{"application/x-msts-radc+xml; radc_schema_version=2.1"}, new2},
		{"2.1 in the URL", "?radc_schema_version=2.1", nil, new2},
		{"equal weights", "", []string{"text/xml;q=0.5, application/x-msts-radc+xml;radc_schema_version=2.0;q=0.5"}, new2},
		{"2.0 rather", "", []string{"text/xml;q=0.5, application/x-msts-radc+xml;radc_schema_version=2.0;q=0.6"}, new2},
		{"1.1 rather, by text/xml", "", []string{"text/xml;q=0.6, application/x-msts-radc+xml;radc_schema_version=2.0;q=0.5"}, old1},
		{"1.1 rather, by version", "", []string{"application/x-msts-radc+xml;radc_schema_version=1.1, application/x-msts-radc+xml;radc_schema_version=2.0;q=0.5"}, old1},
		{"refused by a weight with decimals", "", []string{"application/x-msts-radc+xml; radc_schema_version=2.0;q=0.000"}, old1},
		{"a weight that is none", "", []string{"application/x-msts-radc+xml; radc_schema_version=2.0;q=1e9"}, old1},
		{"a weight over 1", "", []string{"application/x-msts-radc+xml; radc_schema_version=2.0;q=1.1"}, old1},
		{"twice in the URL", "?radc_schema_version=2.0&radc_schema_version=1.1", nil, old1},
		{"1.1 in the URL, against the field", "?radc_schema_version=1.1", []string{"application/x-msts-radc+xml; radc_schema_version=2.0"}, old1},
		{"after too many others", "", []string{strings.Repeat("text/html,", 40), "application/x-msts-radc+xml;radc_schema_version=2.0"}, old1},
		{"1.1", "", []string{"application/x-msts-radc+xml; radc_schema_version=1.1"}, old1},
		{"unknown version", "", []string{"application/x-msts-radc+xml; radc_schema_version=9.0"}, old1},
		{"no version", "", []string{"application/x-msts-radc+xml"}, old1},
		{"refused by weight", "", []string{"application/x-msts-radc+xml; radc_schema_version=2.0;q=0"}, old1},
		{"text/xml", "", []string{"text/xml"}, old1},
		{"anything", "", []string{"*/*"}, old1},
		{"malformed", "", []string{"application/x-msts-radc+xml;;;radc_schema_version=2.0=;"}, old1},
		{"1.1 in the URL", "?radc_schema_version=1.1", nil, old1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var fields []string
			for _, a := range tt.accept {
				fields = append(fields, "Accept: "+a)
			}
			w := get(h, "alice-token", "/feed"+tt.query, fields...)
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, tt.want, w.Header().Get("Content-Type"))
			version := `SchemaVersion="1.1"`
			if tt.want == new2 {
				version = `SchemaVersion="2.1"`
			}
			require.Contains(t, w.Body.String(), version)
		})
	}
	const only20 = "Accept: application/x-msts-radc+xml;radc_schema_version=2.1;q=0, application/x-msts-radc+xml;radc_schema_version=2.0"
	require.Contains(t, get(h, "alice-token", "/feed", only20).Body.String(), `SchemaVersion="2.0"`)
}

// A node is an element as it was read.
type node struct {
	name     string
	attrs    map[string]string
	children []*node
}

func (n *node) all(name string) []*node {
	var found []*node
	for _, c := range n.children {
		if c.name == name {
			found = append(found, c)
		}
		found = append(found, c.all(name)...)
	}
	return found
}

// readNodes reads a document; every element is to be of the one namespace.
func readNodes(t *testing.T, doc string) *node {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(doc))
	stack := []*node{{}}
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			require.Len(t, stack[0].children, 1)
			return stack[0].children[0]
		}
		require.NoError(t, err)
		switch tok := tok.(type) {
		case xml.StartElement:
			require.Equal(t, "http://schemas.microsoft.com/ts/2007/05/tswf", tok.Name.Space, tok.Name.Local)
			n := &node{name: tok.Name.Local, attrs: make(map[string]string)}
			for _, a := range tok.Attr {
				if a.Name.Local == "xmlns" {
					continue
				}
				require.NotContains(t, n.attrs, a.Name.Local)
				require.Empty(t, a.Name.Space)
				n.attrs[a.Name.Local] = a.Value
			}
			parent := stack[len(stack)-1]
			parent.children = append(parent.children, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			require.Empty(t, strings.TrimSpace(string(tok)))
		}
	}
}

// A rule is what [MS-TSWP] and its readers allow of an element: its children in
// their order, "?" at most one, "*" any number, and every attribute with the
// form of its value. Names that begin with "2:" are of version 2 only, with "2.1:" of 2.1, with "folder:" of a document of one folder.
type rule struct {
	children string
	attrs    map[string]string
}

const (
	date    = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`
	guid    = `[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`
	httpURL = `https://feed\.example\.test/`
)

var rules = map[string]rule{
	"ResourceCollection": {"Publisher", map[string]string{"SchemaVersion": `1\.1|2\.[01]`, "PubDate": date, "2:SupportsReconnect": "false", "folder:DisplayFolder": "/.*"}},
	"Publisher": {"folder:SubFolders? Resources TerminalServers", map[string]string{
		"LastUpdated": date, "Name": ".+", "ID": guid, "Description": ".*", "2:SupportsReconnect": "false", "folder:DisplayFolder": "/.*"}},
	"Resources": {"Resource*", nil},
	"Resource": {"Icons FileExtensions 2:Folders HostingTerminalServers", map[string]string{
		"ID": "[a-z][0-9a-f]{32}", "Alias": "[a-z0-9-]{1,63}", "Title": ".+", "LastUpdated": date, "Type": "Desktop|RemoteApp", "2.1:ShowByDefault": "true|false"}},
	"Icons":                  {"IconRaw Icon16 Icon32 Icon48 Icon64 Icon100 Icon256", nil},
	"IconRaw":                {"", map[string]string{"FileType": "Ico", "FileURL": httpURL + `feed/icon/[0-9a-f]{64}\.ico`}},
	"Icon16":                 iconRule("16"),
	"Icon32":                 iconRule("32"),
	"Icon48":                 iconRule("48"),
	"Icon64":                 iconRule("64"),
	"Icon100":                iconRule("100"),
	"Icon256":                iconRule("256"),
	"FileExtensions":         {"FileExtension*", nil},
	"FileExtension":          {"", map[string]string{"Name": `\.[a-z0-9_+~-]+`, "2:PrimaryHandler": "True"}},
	"Folders":                {"Folder", nil},
	"SubFolders":             {"Folder*", nil},
	"Folder":                 {"", map[string]string{"Name": "/[^/]*"}},
	"HostingTerminalServers": {"HostingTerminalServer", nil},
	"HostingTerminalServer":  {"ResourceFile TerminalServerRef", nil},
	"ResourceFile":           {"", map[string]string{"FileExtension": `\.rdp`, "URL": httpURL + `feed/rdp/[a-z0-9-]{1,63}\.rdp`}},
	"TerminalServerRef":      {"", map[string]string{"Ref": ".+"}},
	"TerminalServers":        {"TerminalServer", nil},
	"TerminalServer":         {"", map[string]string{"ID": ".+", "Name": `feed\.example\.test`, "LastUpdated": date}},
}

func iconRule(size string) rule {
	return rule{"", map[string]string{"Dimensions": size + "x" + size, "FileType": "Png", "FileURL": httpURL + `feed/icon/[0-9a-f]{64}-` + size + `\.png`}}
}

// since cuts the version from a name of a rule, and reports whether that is to be there.
func since(name, version string) (string, bool) {
	if rest, ok := strings.CutPrefix(name, "2.1:"); ok {
		return rest, strings.HasPrefix(version, "2.1")
	}
	if rest, ok := strings.CutPrefix(name, "folder:"); ok {
		return rest, version == "2.1 folder"
	}
	rest, ok := strings.CutPrefix(name, "2:")
	return rest, !ok || version != "1.1"
}

// obey checks n and what is below it against the rules.
func obey(t *testing.T, n *node, version string) {
	t.Helper()
	r, ok := rules[n.name]
	require.True(t, ok, "element %s", n.name)
	pattern := ""
	for _, c := range strings.Fields(r.children) {
		if c, ok = since(c, version); !ok {
			continue
		}
		repeat := ""
		if last := c[len(c)-1:]; last == "*" || last == "?" {
			c, repeat = strings.TrimSuffix(c, last), last
		}
		pattern += "(?:" + c + " )" + repeat
	}
	names := ""
	for _, c := range n.children {
		names += c.name + " "
		obey(t, c, version)
	}
	require.Regexp(t, "^"+pattern+"$", names, "children of %s", n.name)
	var allowed []string
	for name, form := range r.attrs {
		if name, ok = since(name, version); !ok {
			continue
		}
		allowed = append(allowed, name)
		require.Regexp(t, regexp.MustCompile("^(?:"+form+")$"), n.attrs[name], "%s/@%s", n.name, name)
	}
	for name := range n.attrs {
		require.Contains(t, allowed, name, "attribute of %s", n.name)
	}
}

// manyResources is a large workspace with awkward titles.
func manyResources(n int) []reachback.Resource {
	var rs []reachback.Resource
	for i := range n {
		rs = append(rs, reachback.Resource{
			ID: fmt.Sprintf("r-%d", i), Title: fmt.Sprintf("Title %d \"'<&>]]> Ünïcode 😀", n-i),
			Kind: []reachback.Kind{reachback.KindDesktop, reachback.KindRemoteApp}[i%2], Program: "||p", Extensions: [][]string{nil, {".txt", ".tar-1"}}[i%2], Folder: []string{"", "/", "/Büro & Co"}[i%3], UpdatedAt: noon.Add(time.Duration(i) * time.Minute),
		})
	}
	return rs
}

// documents are what is checked against the rules and the schemas: of users with two
// resources, none, one, 200, and as many as may be.
func documents(t *testing.T) map[string]string {
	docs := make(map[string]string)
	s := newSource()
	for token, n := range map[string]int{"one": 1, "200": 200, "many": feed.MaxResources} {
		s.users[token] = reachback.User{Subject: token, Tenant: "t"}
		s.resources[token] = manyResources(n)
	}
	const radc20 = "Accept: application/x-msts-radc+xml; radc_schema_version=2.1;q=0, application/x-msts-radc+xml; radc_schema_version=2.0"
	for _, token := range []string{"alice-token", "bob-token", "one", "200", "many"} {
		for version, accept := range map[string]string{"1.1": "Accept: text/xml", "2.0": radc20, "2.1": radc} {
			w := get(newHandler(s), token, "/feed", accept)
			require.Equal(t, http.StatusOK, w.Code)
			docs[token+" "+version] = w.Body.String()
		}
	}
	for _, folder := range []string{"/", "/B%C3%BCro%20%26%20Co"} {
		docs["folder "+folder+" 2.1"] = get(newHandler(s), "200", "/feed?folder="+folder, radc).Body.String()
	}
	return docs
}

func TestDocumentObeysItsRules(t *testing.T) {
	for name, doc := range documents(t) {
		t.Run(name, func(t *testing.T) {
			require.True(t, strings.HasPrefix(doc, `<?xml version="1.0" encoding="UTF-8"?>`))
			root := readNodes(t, doc)
			require.Equal(t, name[len(name)-3:], root.attrs["SchemaVersion"])
			version := root.attrs["SchemaVersion"]
			if strings.HasPrefix(name, "folder") {
				version += " folder"
			}
			obey(t, root, version)

			ids := make(map[string]bool)
			newest := "2000-01-01T00:00:00Z"
			var titles []string
			for _, r := range root.all("Resource") {
				require.False(t, ids[r.attrs["ID"]] || ids[r.attrs["Alias"]])
				ids[r.attrs["ID"]], ids[r.attrs["Alias"]] = true, true
				newest = max(newest, r.attrs["LastUpdated"])
				titles = append(titles, r.attrs["Title"])
			}
			require.True(t, slices.IsSorted(titles))
			require.Equal(t, newest, root.children[0].attrs["LastUpdated"])
			require.Equal(t, newest, root.attrs["PubDate"])
			server := root.all("TerminalServer")[0].attrs["ID"]
			for _, ref := range root.all("TerminalServerRef") {
				require.Equal(t, server, ref.attrs["Ref"])
			}
		})
	}
}

// The values that clients key their subscription by are what they were in the
// first release, whatever else changes.
func TestDocumentIdentitiesNeverChange(t *testing.T) {
	s := newSource()
	root := readNodes(t, get(newHandler(s), "alice-token", "/feed", radc).Body.String())
	require.Equal(t, "6e7641dc-d8fa-818e-83a0-4330bef7a0d0", root.children[0].attrs["ID"])
	require.Equal(t, "r68693d02ab4fbb2331b8cc39915322e4", root.all("Resource")[0].attrs["ID"])
	require.Equal(t, "Finance <&> Müller", root.all("Resource")[1].attrs["Title"])
	require.Equal(t, "/Money", root.all("Folder")[1].attrs["Name"])
	require.Equal(t, "2026-11-22T12:00:00Z", root.attrs["PubDate"])

	west := readNodes(t, get(newHandler(s), "carol-token", "/feed", radc).Body.String())
	require.NotEqual(t, root.children[0].attrs["ID"], west.children[0].attrs["ID"], "another tenant is another workspace")
}

// The source decides the order of nothing.
func TestDocumentIsOrdered(t *testing.T) {
	s := newSource()
	s.resources["alice"] = manyResources(20)
	first := get(newHandler(s), "alice-token", "/feed", radc).Body.String()
	slices.Reverse(s.resources["alice"])
	require.Equal(t, first, get(newHandler(s), "alice-token", "/feed", radc).Body.String())
}

// A workspace that cannot be written down is a fault, and no shorter workspace.
func TestBrokenResourceIsNoSmallerWorkspace(t *testing.T) {
	for _, tt := range []struct {
		name      string
		resources []reachback.Resource
	}{
		{"control character in the title", []reachback.Resource{{ID: "a", Title: "a\x01", Kind: reachback.KindDesktop}}},
		{"title not UTF-8", []reachback.Resource{{ID: "a", Title: "\xff", Kind: reachback.KindDesktop}}},
		{"title too long", []reachback.Resource{{ID: "a", Title: strings.Repeat("x", feed.MaxTitle+1), Kind: reachback.KindDesktop}}},
		{"id that leads elsewhere", []reachback.Resource{{ID: "../a", Title: "a", Kind: reachback.KindDesktop}}},
		{"id twice", []reachback.Resource{{ID: "a", Kind: reachback.KindDesktop}, {ID: "a", Kind: reachback.KindDesktop}}},
		{"folder in a folder", []reachback.Resource{{ID: "a", Kind: reachback.KindDesktop, Folder: "/a/b"}}},
		{"extension without a dot", []reachback.Resource{{ID: "a", Kind: reachback.KindDesktop, Extensions: []string{"txt"}}}},
		{"extension that is a path", []reachback.Resource{{ID: "a", Kind: reachback.KindDesktop, Extensions: []string{"./txt"}}}},
		{"extension twice", []reachback.Resource{{ID: "a", Kind: reachback.KindDesktop, Extensions: []string{".txt", ".txt"}}}},
		{"extensions without end", []reachback.Resource{{ID: "a", Kind: reachback.KindDesktop, Extensions: strings.Fields(strings.Repeat(".a ", feed.MaxExtensions+1))}}},
		{"folder without a slash", []reachback.Resource{{ID: "a", Kind: reachback.KindDesktop, Folder: "a"}}},
		{"no kind", []reachback.Resource{{ID: "a"}}},
		{"too many", manyResources(feed.MaxResources + 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSource()
			s.resources["alice"] = tt.resources
			require.Equal(t, reachback.CodeInternal, refusal(t, get(newHandler(s), "alice-token", "/feed")).Code)
		})
	}
}

// TestDocumentAgainstMicrosoftsSchemas has an independent validator judge.
func TestDocumentAgainstMicrosoftsSchemas(t *testing.T) {
	xmllint := peertest.Path(t, "xmllint", "libxml2-utils")
	data := os.Getenv("REACHBACK_TESTDATA")
	if data == "" {
		t.Skip("REACHBACK_TESTDATA is not set: it names a folder that has the schemas of [MS-TSWP], section 2.2.1, as protocol/tswf/tswf-{1.1,2.0,2.1}.xsd")
	}
	for name, doc := range documents(t) {
		path := filepath.Join(t.TempDir(), "feed.xml")
		require.NoError(t, os.WriteFile(path, []byte(doc), 0o600))
		for _, version := range []string{"1.1", "2.0", "2.1"} {
			schema := filepath.Join(data, "protocol", "tswf", "tswf-"+version+".xsd")
			out, err := exec.CommandContext(t.Context(), xmllint, "--noout", "--schema", schema, path).CombinedOutput()
			if !strings.HasSuffix(name, " 1.1") && version == "1.1" {
				require.Error(t, err, "a document of version 2 has what 1.1 has not")
				continue
			}
			require.NoError(t, err, "%s against %s: %.2000s", name, version, out)
		}
	}
}
