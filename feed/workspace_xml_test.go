package feed

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

// Whatever an operator calls things, readers of XML read just that.
func FuzzWorkspaceDocument(f *testing.F) {
	f.Add("Workspace", "Finance <&> \"Müller\" 'x'", "/Büro & Co")
	f.Add("]]>", "<!-- -->", "/&amp;")
	f.Add("😀", "\u00a0 x", "/ ")
	f.Fuzz(func(t *testing.T, name, title, folder string) {
		w, err := newWorkspace(testBase, name, "", []reachback.Resource{{ID: "a", Title: title, Folder: folder, Kind: reachback.KindDesktop}})
		require.NoError(t, err)
		for _, v := range []view{{schema: schema11}, {schema: schema20, folder: "/"}, {schema: schema21}} {
			b, err := w.document(v)
			if err != nil {
				require.Error(t, w.check())
				return
			}
			var doc struct {
				Publisher struct {
					Name      string `xml:",attr"`
					Resources []struct {
						Title  string `xml:",attr"`
						Folder struct {
							Name string `xml:",attr"`
						} `xml:"Folders>Folder"`
					} `xml:"Resources>Resource"`
				}
			}
			d := xml.NewDecoder(bytes.NewReader(b))
			require.NoError(t, d.Decode(&doc))
			require.Equal(t, w.name, doc.Publisher.Name)
			if len(doc.Publisher.Resources) == 0 {
				continue // it is in a folder, and the root was asked for
			}
			r := doc.Publisher.Resources[0]
			require.Equal(t, title, r.Title[:len(title)])
			if v.schema != schema11 {
				require.Equal(t, folderOf(w.resources[0]), r.Folder.Name)
			}
		}
	})
}

// The validator of a workspace follows everything of a resource that a user can see. A
// field that is added to Resource belongs into appendContent, or into the exceptions.
func TestValidatorFollowsEveryField(t *testing.T) {
	full := func() *reachback.Resource {
		return &reachback.Resource{
			ID: "id", Title: "title", Kind: reachback.KindRemoteApp, Pool: "pool", Program: "||p", Icon: "icon", Folder: "/f",
			Extensions: []string{".a", ".b"}, RDP: map[string]string{"x": "i:1", "y": "i:2"}, UpdatedAt: time.Unix(1, 0),
		}
	}
	keyOf := func(r *reachback.Resource) contentKey {
		w, err := newWorkspace(testBase, "", "", []reachback.Resource{*r})
		require.NoError(t, err)
		return w.key(view{}, "")
	}
	require.Equal(t, keyOf(full()), keyOf(full()))
	unseen := map[string]bool{"Pool": true, "Raw": true} // no part of any document or file
	for i, field := range reflect.VisibleFields(reflect.TypeFor[reachback.Resource]()) {
		r := full()
		v := reflect.ValueOf(r).Elem().Field(i)
		switch v.Interface().(type) {
		case bool:
			v.SetBool(!v.Bool())
		case []string:
			v.Set(reflect.ValueOf([]string{".a.b"}))
		case map[string]string:
			v.Set(reflect.ValueOf(map[string]string{"x": "i:2", "y": "i:1"}))
		case time.Time:
			v.Set(reflect.ValueOf(time.Unix(2, 0)))
		default:
			v.SetString(v.String() + "x")
		}
		require.Equal(t, !unseen[field.Name], keyOf(r) != keyOf(full()), field.Name)
	}
	// Fields cannot be taken for one another, nor one resource for two.
	a, b := full(), full()
	a.Title, a.Program = "ab", "c"
	b.Title, b.Program = "a", "bc"
	require.NotEqual(t, keyOf(a), keyOf(b))

	w, err := newWorkspace(testBase, "n", "t", nil)
	require.NoError(t, err)
	keys := map[contentKey]bool{}
	for _, v := range []view{{}, {schema: schema11}, {schema: schema21}, {schema: schema21, folder: "/"}} {
		for _, signer := range []string{"", "s"} {
			keys[w.key(v, signer)] = true
		}
	}
	require.Len(t, keys, 8)
}

func TestRecentForgets(t *testing.T) {
	c := recent[int, string]{limit: 100}
	for i := range 1000 {
		c.put(i, fmt.Sprint(i), 10)
		v, ok := c.get(0) // used again and again, so it stays
		require.True(t, ok, i)
		require.Equal(t, "0", v)
		require.LessOrEqual(t, len(c.young)+len(c.old), 20)
	}
	_, ok := c.get(900)
	require.False(t, ok)
	c.put(2000, "too large", 101)
	_, ok = c.get(2000)
	require.False(t, ok)
	var nothing recent[int, string]
	nothing.put(1, "x", 1)
	_, ok = nothing.get(1)
	require.False(t, ok)
}

// Accept fields are anybody's to write.
func FuzzParseAccept(f *testing.F) {
	f.Add(`application/x-msts-radc+xml; radc_schema_version="2.0";q=0.5, text/xml`)
	f.Add(`*/*;q=1.000,;;,q=.`)
	f.Fuzz(func(t *testing.T, field string) {
		ranges := parseAccept([]string{field})
		require.LessOrEqual(t, len(ranges), maxRanges)
		for _, r := range ranges {
			require.True(t, 0 <= r.weight && r.weight <= 1000)
		}
	})
}
