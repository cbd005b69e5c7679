package strictjson

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type text struct {
	Name string `json:"name"`
	Size int    `json:"size"`
	More *text  `json:"more"`
	List []text `json:"list"`
	Kept string `json:"-"`
}

func TestDecode(t *testing.T) {
	var v text
	lines, err := Decode([]byte("{\"name\": \"a\",\n\"more\": {\"size\": 3},\n\"list\": [{},\n{\"name\": \"b\"}]}"), &v)
	require.NoError(t, err)
	require.Equal(t, text{Name: "a", More: &text{Size: 3}, List: []text{{}, {Name: "b"}}}, v)
	require.Equal(t, 1, lines.Of("name"))
	require.Equal(t, 2, lines.Of("more.size"))
	require.Equal(t, 2, lines.Of("more.name"), "of what is not there, the line of what is around it")
	require.Equal(t, 4, lines.Of("list[1].name"))
	require.Equal(t, 1, lines.Of("elsewhere"))
}

func TestDecodeRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"an unknown key", "{\n\"nmae\": \"\"}", `line 2: unknown key "nmae"`},
		{"another case", "{\"Name\": \"\"}", `line 1: unknown key "Name"`},
		{"a key that is not for files", "{\"Kept\": \"\"}", `line 1: unknown key "Kept"`},
		{"an unknown key behind a pointer", "{\"more\": {\n\"a\": 1}}", `line 2: unknown key "a"`},
		{"an unknown key in a list", "{\"list\": [{},\n\n{\"a\": 1}]}", `line 3: unknown key "a"`},
		{"a key twice", "{\"name\": \"\",\n\"name\": \"\"}", `line 2: the key "name" stands twice`},
		{"another type", "{\n\"size\": \"3\"}", "line 2: size: a string cannot stand here"},
		{"something behind it", "{}\n{}", "line 2: something follows the end"},
		{"no end", "{\"name\":\n", "line 1: the text ends too soon"},
		{"no JSON", "{\n\"name\": nil}", "line 2: invalid character"},
		{"too deep", strings.Repeat(`{"more":`, 20), "line 1: nested too deeply"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode([]byte(tt.text), &text{})
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// What is accepted here, encoding/json accepts too, with the same meaning.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name": "a", "more": {"size": 3}, "list": [{}, {"name": "b"}]}`))
	f.Add([]byte(`{"list": [[{"name": 1}]]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, want text
		if _, err := Decode(b, &got); err != nil {
			return
		}
		require.NoError(t, json.Unmarshal(b, &want))
		require.Equal(t, want, got)
	})
}
