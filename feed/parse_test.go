package feed

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

var testBase = &url.URL{Scheme: "https", Host: "feed.example.test"}

// documentOf is a document with these resources as they stand.
func documentOf(resources string) string {
	return `<?xml version="1.0" encoding="utf-8"?><ResourceCollection xmlns="` + namespace + `" SchemaVersion="2.1"><Publisher ID="p" Name="n">` +
		`<Resources>` + resources + `</Resources><TerminalServers><TerminalServer ID="g"/></TerminalServers></Publisher></ResourceCollection>`
}

func resourceOf(alias, title, fileURL string) string {
	return fmt.Sprintf(`<Resource ID="x" Alias="%s" Title="%s" Type="Desktop"><HostingTerminalServers><HostingTerminalServer>`+
		`<ResourceFile FileExtension=".rdp" URL="%s"/><TerminalServerRef Ref="g"/></HostingTerminalServer></HostingTerminalServers></Resource>`, alias, title, fileURL)
}

func TestParseDocument(t *testing.T) {
	good := resourceOf("desktop", "Desktop", "https://feed.example.test/feed/rdp/desktop.rdp")
	for _, tt := range []struct {
		name string
		doc  string
		want int // resources; -1: refused
	}{
		{"empty", documentOf(""), 0},
		{"one", documentOf(good), 1},
		{"path alone", documentOf(resourceOf("desktop", "", "/x/y.rdp")), 1},
		{"the default port", documentOf(resourceOf("desktop", "", "https://Feed.example.test:443/x.rdp")), 1},
		{"elements and attributes of later versions", documentOf(strings.Replace(good, "<HostingTerminalServers>", `<New a="b"><Newer/></New><HostingTerminalServers c="d">`, 1)), 1},
		{"a comment after the end", documentOf(good) + "\n<!-- x -->\n", 1},

		{"another host", documentOf(resourceOf("desktop", "", "https://elsewhere.example/x.rdp")), -1},
		{"another port", documentOf(resourceOf("desktop", "", "https://feed.example.test:8443/x.rdp")), -1},
		{"not https", documentOf(resourceOf("desktop", "", "http://feed.example.test/x.rdp")), -1},
		{"another host, without a scheme", documentOf(resourceOf("desktop", "", "//elsewhere.example/x.rdp")), -1},
		{"user in the URL", documentOf(resourceOf("desktop", "", "https://feed.example.test@elsewhere.example/x.rdp")), -1},
		{"password in the URL", documentOf(resourceOf("desktop", "", "https://a:b@feed.example.test/x.rdp")), -1},
		{"a script", documentOf(resourceOf("desktop", "", "javascript:alert(1)")), -1},
		{"a file", documentOf(resourceOf("desktop", "", "file:///etc/passwd")), -1},
		{"no URL", documentOf(resourceOf("desktop", "", "")), -1},
		{"name that leads out of the folder", documentOf(resourceOf("../../x", "", "/x.rdp")), -1},
		{"name with a backslash", documentOf(resourceOf(`..\x`, "", "/x.rdp")), -1},
		{"name of a drive", documentOf(resourceOf("c:x", "", "/x.rdp")), -1},
		{"hidden name", documentOf(resourceOf(".x", "", "/x.rdp")), -1},
		{"no name", documentOf(resourceOf("", "", "/x.rdp")), -1},
		{"long name", documentOf(resourceOf(strings.Repeat("x", 64), "", "/x.rdp")), -1},
		{"name twice", documentOf(good + good), -1},
		{"title with a line end", documentOf(resourceOf("desktop", "a&#10;b", "/x.rdp")), -1},
		{"long title", documentOf(resourceOf("desktop", strings.Repeat("x", MaxTitle+1), "/x.rdp")), -1},
		{"unsafe extension", documentOf(strings.Replace(good, `".rdp"`, `".exe"`, 1)), -1},
		{"unknown type", documentOf(strings.Replace(good, `"Desktop"><H`, `"desktop"><H`, 1)), -1},
		{"no file", documentOf(`<Resource ID="x" Alias="desktop" Type="Desktop"><HostingTerminalServers/></Resource>`), -1},
		{"another namespace", strings.Replace(documentOf(good), namespace, "urn:x", 1), -1},
		{"another root", `<html/>`, -1},
		{"two publishers", strings.Replace(documentOf(""), "<Publisher", `<Publisher/><Publisher`, 1), -1},
		{"no publisher", `<ResourceCollection xmlns="` + namespace + `"/>`, -1},
		{"two roots", documentOf("") + documentOf(""), -1},
		{"text after the end", documentOf("") + "x", -1},
		{"attribute twice", documentOf(strings.Replace(good, `Alias=`, `Alias="other" Alias=`, 1)), -1},
		{"entities of its own", withDoctype(`[<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]`, resourceOf("desktop", "&b;", "/x.rdp")), -1},
		{"document type", withDoctype(`[]`, good), -1},
		{"document type of another place", withDoctype(`SYSTEM "file:///etc/passwd"`, good), -1},
		{"unknown entity", documentOf(resourceOf("desktop", "&b;", "/x.rdp")), -1},
		{"style sheet", strings.Replace(documentOf(""), "?>", `?><?xml-stylesheet href="x"?>`, 1), -1},
		{"other encoding", strings.Replace(documentOf(""), "utf-8", "iso-8859-1", 1), -1},
		{"not UTF-8", documentOf(resourceOf("desktop", "\xff", "/x.rdp")), -1},
		{"deep", documentOf(strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000)), -1},
		{"many elements", documentOf(strings.Repeat("<a/>", maxElements)), -1},
		{"many attributes", documentOf(strings.Replace(good, "<Resource ", "<Resource "+manyAttributes(maxAttributes), 1)), -1},
		{"many resources", documentOf(manyEntries(MaxResources + 1)), -1},
		{"as many as may be", documentOf(manyEntries(MaxResources)), MaxResources},
		{"too large", documentOf("") + strings.Repeat(" ", MaxDocument), -1},
		{"not XML", `{"code":"ok"}`, -1},
		{"nothing", ``, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entries, err := parseDocument(testBase, []byte(tt.doc))
			if tt.want < 0 {
				require.ErrorIs(t, err, errDocument)
				return
			}
			require.NoError(t, err)
			require.Len(t, entries, tt.want)
		})
	}
	whole := documentOf(good)
	for n := range len(whole) {
		_, err := parseDocument(testBase, []byte(whole[:n]))
		require.Error(t, err, "cut at %d", n)
	}
}

func withDoctype(what, resources string) string {
	return strings.Replace(documentOf(resources), "?>", "?><!DOCTYPE ResourceCollection "+what+">", 1)
}

func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `a%d="" `, i)
	}
	return b.String()
}

func manyEntries(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(resourceOf(fmt.Sprintf("r-%d", i), "", "/x.rdp"))
	}
	return b.String()
}

// What the handler writes the client reads, whole.
func TestParseDocumentOfTheHandler(t *testing.T) {
	resources := []reachback.Resource{
		{ID: "a", Title: "Büro <&>\"'", Kind: reachback.KindDesktop},
		{ID: "b", Title: "C", Kind: reachback.KindRemoteApp, Program: "||c"},
	}
	w, err := newWorkspace(testBase, "", "", resources)
	require.NoError(t, err)
	for _, v := range []schema{schema11, schema20, schema21} {
		doc, err := w.document(view{schema: v})
		require.NoError(t, err)
		entries, err := parseDocument(testBase, doc)
		require.NoError(t, err)
		require.Len(t, entries, 2)
		for i, r := range resources {
			e := entries[i]
			require.Equal(t, []any{r.ID, r.Title, r.Kind}, []any{e.id, e.title, e.kind})
			require.Equal(t, "https://feed.example.test/feed/rdp/"+r.ID+".rdp", e.file.String())
		}
	}
}

// The largest workspace that the handler makes is not too large for the client.
func TestParseTheLargestDocument(t *testing.T) {
	var resources []reachback.Resource
	for i := range MaxResources {
		r := reachback.Resource{ID: fmt.Sprintf("r-%d", i), Kind: reachback.KindDesktop}
		for j := range MaxExtensions {
			r.Extensions = append(r.Extensions, fmt.Sprintf(".extension-%d", j))
		}
		resources = append(resources, r)
	}
	w, err := newWorkspace(testBase, "", "", resources)
	require.NoError(t, err)
	doc, err := w.document(view{schema: schema21})
	require.NoError(t, err)
	entries, err := parseDocument(testBase, doc)
	require.NoError(t, err)
	require.Len(t, entries, MaxResources)
}

func FuzzParseDocument(f *testing.F) {
	w, err := newWorkspace(testBase, "", "", []reachback.Resource{{ID: "a", Title: "Büro", Kind: reachback.KindDesktop}})
	require.NoError(f, err)
	for _, v := range []schema{schema11, schema20, schema21} {
		doc, err := w.document(view{schema: v})
		require.NoError(f, err)
		f.Add(doc)
	}
	f.Add([]byte(documentOf(resourceOf("desktop", "x", "/x.rdp"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseDocument(testBase, data)
		if err != nil {
			require.Nil(t, entries)
			return
		}
		for _, e := range entries {
			require.True(t, validID(e.id))
			require.True(t, sameOrigin(testBase, e.file), "%s", e.file)
			require.NotEmpty(t, e.kind)
			require.True(t, fitsXML(e.title))
		}
	})
}

func FuzzParseConnect(f *testing.F) {
	key := [32]byte{1, 2, 3}
	f.Add([]byte(`{"resource":"desktop","key":"` + base64.RawURLEncoding.EncodeToString(key[:]) + `"}`))
	f.Add([]byte(`{"resource":"desktop"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		resource, key, err := parseConnect(body)
		if err != nil {
			require.Equal(t, reachback.CodeBadRequest, reachback.CodeOf(err))
			return
		}
		require.NotEmpty(t, resource)
		again := connectRequest{Resource: resource}
		if key != [32]byte{} {
			k := base64.RawURLEncoding.EncodeToString(key[:])
			again.Key = &k
		}
		body, err = json.Marshal(again)
		require.NoError(t, err)
		if len(body) > maxConnectRequest {
			return // escapes
		}
		resource2, key2, err := parseConnect(body)
		require.NoError(t, err)
		require.Equal(t, resource, resource2)
		require.Equal(t, key, key2)
	})
}

func FuzzParseConnection(f *testing.F) {
	f.Add([]byte(`{"gateways":["https://gw.example.test"],"token":"t","keys":{"keys":[]},"correlation_id":"c"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := parseConnection(body)
		if err != nil {
			require.Equal(t, reachback.CodeProtocolError, reachback.CodeOf(err))
			return
		}
		require.NotEmpty(t, c.Gateways)
		require.NoError(t, checkToken(c.Token))
	})
}

// Devices of Windows are no files, whatever their extension.
func TestFileName(t *testing.T) {
	for id, want := range map[string]string{
		"desktop": "desktop.rdp", "con": "con_.rdp", "nul": "nul_.rdp", "com1": "com1_.rdp", "lpt9": "lpt9_.rdp",
		"com": "com.rdp", "com10": "com10.rdp", "telecom1": "telecom1.rdp", "console": "console.rdp",
	} {
		require.Equal(t, want, fileName(id))
	}
}
