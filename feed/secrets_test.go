package feed_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// Neither the user's token nor the connection's stands in a record, whatever
// became of the request.
func TestTokensAreNeverLogged(t *testing.T) {
	var log bytes.Buffer
	h := newHandler(newSource())
	h.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	tokens := []string{"alice-token", "bob-token", "connection-token", "unknown-token"}
	for _, token := range tokens {
		auth := "Authorization: Bearer " + token
		for _, path := range []string{"/feed", "/feed/rdp/desktop.rdp", "/feed/rdp/nothing.rdp", "/nowhere"} {
			get(h, token, path)
			get(h, token, path, auth) // twice
		}
		request(h, "POST", "/reachback/v1/connect", `{"resource":"desktop"}`, auth)
		request(h, "POST", "/reachback/v1/connect", `nonsense`, auth)
		request(h, "GET", "/feed", "", "Authorization: Basic "+token)
	}
	for _, record := range []string{"feed read", "file read", "connection issued", "request refused"} {
		require.Contains(t, log.String(), record)
	}
	for _, token := range append(tokens, "token-for-desktop", "Bearer ", "Basic ") {
		require.NotContains(t, log.String(), token)
	}
}
