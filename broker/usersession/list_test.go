package usersession

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzParseSessions(f *testing.F) {
	f.Add([]byte("{\"user\":\"alice\",\"connected\":true}\n\n{\"user\":\"CORP\\\\bob\"}\n"))
	f.Add([]byte("nonsense"))
	f.Add([]byte(`{"user":"al\nice"}`))
	f.Fuzz(func(t *testing.T, out []byte) {
		sessions, err := parseSessions(out)
		if err != nil {
			require.Nil(t, sessions)
			return
		}
		require.LessOrEqual(t, len(sessions), maxSessions)
		var again []byte
		for _, s := range sessions {
			require.NoError(t, checkUser(s.User))
			line, err := json.Marshal(map[string]any{"user": s.User, "connected": s.Connected})
			require.NoError(t, err)
			again = append(append(again, line...), '\n')
		}
		same, err := parseSessions(again)
		require.NoError(t, err)
		require.Equal(t, sessions, same)
	})
}
