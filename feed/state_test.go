package feed

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

// What stands in the state file names files of the folder and nothing else.
func FuzzParseState(f *testing.F) {
	b, err := json.Marshal(workspaceState{
		Version: stateVersion, Feed: "https://feed.example", ETag: `"x"`,
		Resources: []resourceState{{ID: "desktop", Title: "Desktop", Kind: reachback.KindDesktop, ETag: `"y"`, Stored: true}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1,"resources":[{"id":"../../x"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := parseState(b)
		require.LessOrEqual(t, len(s.Resources), 2*MaxResources)
		for _, r := range s.Resources {
			require.Regexp(t, `^[a-z0-9-]{1,63}$`, r.ID)
		}
		again, err := json.Marshal(s)
		require.NoError(t, err)
		if s.Version == stateVersion {
			require.Equal(t, s, parseState(again))
		}
	})
}
