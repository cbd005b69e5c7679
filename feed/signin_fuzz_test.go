package feed

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzSignIn(f *testing.F) {
	doc, err := json.Marshal(&SignIn{Issuer: "https://idp.example.test", ClientID: "c", Scopes: []string{"openid"}, Resource: "r", Audience: "a"})
	require.NoError(f, err)
	f.Add(doc)
	f.Add([]byte(`{"issuer":"http://[::1]:1","client_id":"c"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parseSignIn(body)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		require.NoError(t, err)
		got, err := parseSignIn(again)
		require.NoError(t, err)
		require.Equal(t, s, got)
	})
}
