package broker

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wholeSeed uses every key that there is.
const wholeSeed = `{"workspace":"Work","users":[{"name":"alice","groups":["staff"]}], "pools":[{"name":"desktops","kind":"pooled","balance":"breadth",
"max_sessions":10,"raw":true,"approval":true,"linger":600,"policy":{"shortpath":true,"networks":["10.0.0.0/8"],"dscp":46,"max_rate":0},"rdp":{"audiomode":"i:0"}}],
"resources":[{"id":"desktop","title":"Desktop","kind":"desktop","pool":"desktops","icon":"app.png","folder":"/",
"assign":["user:alice","group:staff"]},
{"id":"app","title":"App","kind":"remoteapp","pool":"desktops","program":"||app","assign":[]}]}`

func TestParseSeed(t *testing.T) {
	s, err := ParseSeed([]byte(wholeSeed))
	require.NoError(t, err)
	require.Equal(t, "Work", s.Workspace)
	require.Equal(t, []SeedUser{{"alice", []string{"staff"}}}, s.Users)
	require.True(t, s.Pools[0].Approval)
	require.Equal(t, 10*time.Minute, s.Pools[0].LingerFor())
	require.Equal(t, SeedPolicy{true, []string{"10.0.0.0/8"}, 46, 0}, s.Pools[0].Policy)
	require.Equal(t, map[string]string{"audiomode": "i:0"}, s.Pools[0].RDP)
	require.Equal(t, "||app", s.Resources[1].Program)
}

// The specification's example is copied by whoever begins.
func TestTheSeedOfTheSpecificationWorks(t *testing.T) {
	spec, err := os.ReadFile("../SPEC.md")
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(spec), "**A seed file**")
	_, block, _ := strings.Cut(section, "```json\n")
	text, _, ok := strings.Cut(block, "```")
	require.True(t, ok)
	s, err := ParseSeed([]byte(text))
	require.NoError(t, err)
	require.Len(t, s.Pools, 2)
	require.Len(t, s.Resources, 3)
}

func TestParseSeedNamesTheLineOfEveryFault(t *testing.T) {
	lines := strings.Split(`{ "workspace": "W",
"users": [{"name": "alice", "groups": ["staff"]}],
"pools": [
 {"name": "p", "kind": "pooled",
  "balance": "breadth",
  "max_sessions": 1, "approval": false, "linger": 60,
  "policy": {
   "networks": ["10.0.0.0/8"],
   "dscp": 0, "max_rate": 0},
  "rdp": {"a b": "s:x"}}],
"resources": [
 {"id": "r", "title": "T", "pool": "p",
  "kind": "desktop",
  "folder": "/f", "extensions": [".txt", ".fin"],
  "assign": ["user:alice"]}
]}`, "\n")
	_, err := ParseSeed([]byte(strings.Join(lines, "\n")))
	require.NoError(t, err)
	for _, tt := range []struct {
		line     int
		old, new string
		want     string
	}{
		{1, `"W"`, `"W\n"`, "control"},
		{1, `"W"`, `7`, "number"},
		{2, `"name"`, `"nme"`, `unknown key "nme"`},
		{2, `"name"`, `"Name"`, `unknown key "Name"`},
		{2, `{"name": "alice"`, `{"name": "alice", "name": "bob"`, `"name" stands twice`},
		{2, `alice`, `al\nice`, "control"},
		{2, `]}]`, `]}, {"name": "alice"}]`, "stands twice"},
		{2, `"staff"`, `"\u0007"`, "control"},
		{4, `"p"`, `"P"`, "a-z"},
		{4, `"pooled"`, `"shared"`, "personal"},
		{5, `"breadth"`, `"width"`, "depth"},
		{5, `"breadth"`, `5`, "number"},
		{6, `1`, `-1`, "negative"},
		{6, `1`, `1.5`, "number"},
		{6, `1`, `"1"`, "string"},
		{6, `false`, `"no"`, "string"},
		{6, `60`, `-1`, "30 days"},
		{6, `60`, `2592001`, "30 days"},
		{6, `60`, `9223372036854775807`, "30 days"},
		{6, `60`, `"5m"`, "string"},
		{8, `10.0.0.0/8`, `10.0.0.1/8`, "network"},
		{8, `10.0.0.0/8`, `ten`, "network"},
		{9, `"dscp": 0`, `"dscp": 64`, "63"},
		{9, `"dscp": 0`, `"dscp": -1`, "63"},
		{9, `"max_rate": 0`, `"max_rate": -5`, "negative"},
		{10, `s:x`, `s:x\r\nfull address:s:evil`, "control"},
		{10, `s:x`, `x`, "TEXT"},
		{10, `a b`, `a:b`, "property"},
		{12, `"r"`, `"R"`, "a-z"},
		{12, `"pool": "p"`, `"pool": "q"`, `no pool "q"`},
		{12, `"T"`, `"T\u2028"`, "control"},
		{13, `"desktop"`, `"table"`, "remoteapp"},
		{12, `"T"`, `"T\uffff"`, "control"},
		{14, `"/f"`, `"f"`, `"/NAME"`},
		{14, `"/f"`, `"/f/g"`, "no folders"},
		{14, `".txt"`, `"txt"`, "a dot"},
		{14, `".txt"`, `".fin"`, "once"},
		{14, `".txt"`, `"` + "./x" + `"`, "a dot"},
		{14, `[".txt"`, `[` + strings.Repeat(`".txt",`, 20) + `".txt"`, "at most 16"},
		{15, `user:alice`, `alice`, "group:NAME"},
		{15, `user:alice`, `user:`, "group:NAME"},
		{16, `]}`, `]} x`, "follows the end"},
		{16, `]}`, `]`, "ends too soon"},
		{16, `]}`, `}`, "invalid character"},
	} {
		t.Run(tt.want+" in "+tt.new, func(t *testing.T) {
			broken := append([]string(nil), lines...)
			broken[tt.line-1] = strings.Replace(broken[tt.line-1], tt.old, tt.new, 1)
			require.NotEqual(t, lines[tt.line-1], broken[tt.line-1])
			_, err := ParseSeed([]byte(strings.Join(broken, "\n")))
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, "line "+strconv.Itoa(tt.line)+":")
		})
	}
	_, err = ParseSeed(make([]byte, MaxSeed+1))
	require.Error(t, err)
	_, err = ParseSeed([]byte(`{"pools":[{"name":"p","balance":"depth"}]}`))
	require.ErrorContains(t, err, "max_sessions")
}
