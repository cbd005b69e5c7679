package feed_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

func TestConnect(t *testing.T) {
	const key = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA"
	var gotKey [32]byte
	s := newSource()
	s.connectTo = func(u *reachback.User, resource string, k [32]byte) (*reachback.Connection, error) {
		gotKey = k
		return &reachback.Connection{Gateways: []string{"https://gw.example.test"}, Token: u.Subject + "/" + resource, Keys: []byte(s.keys), CorrelationID: "cid"}, nil
	}
	h := newHandler(s)
	for _, tt := range []struct {
		name, body string
		want       reachback.Code
	}{
		{"framed", `{"resource":"desktop","key":"` + key + `"}`, ""},
		{"raw", `{"resource":"desktop"}`, ""},
		{"unknown field", `{"resource":"desktop","later":{"a":[1]}}`, ""},
		{"no resource", `{"key":"` + key + `"}`, reachback.CodeBadRequest},
		{"resource twice", `{"resource":"desktop","resource":"fin"}`, reachback.CodeBadRequest},
		{"resource in another case", `{"Resource":"desktop"}`, reachback.CodeBadRequest},
		{"empty key", `{"resource":"desktop","key":""}`, reachback.CodeBadRequest},
		{"zero key", `{"resource":"desktop","key":"` + strings.Repeat("A", 43) + `"}`, reachback.CodeBadRequest},
		{"short key", `{"resource":"desktop","key":"AQID"}`, reachback.CodeBadRequest},
		{"padded key", `{"resource":"desktop","key":"` + key + `="}`, reachback.CodeBadRequest},
		{"loose key", `{"resource":"desktop","key":"` + key[:42] + `B"}`, reachback.CodeBadRequest},
		{"two values", `{"resource":"desktop"} {}`, reachback.CodeBadRequest},
		{"not JSON", `resource=desktop`, reachback.CodeBadRequest},
		{"a list", `["desktop"]`, reachback.CodeBadRequest},
		{"empty", ``, reachback.CodeBadRequest},
		{"too large", `{"resource":"` + strings.Repeat("x", 4<<10) + `"}`, reachback.CodeBadRequest},
		{"deep", strings.Repeat("[", 4000), reachback.CodeBadRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := request(h, "POST", "/reachback/v1/connect", tt.body, "Authorization: Bearer alice-token")
			if tt.want != "" {
				require.Equal(t, tt.want, refusal(t, w).Code)
				return
			}
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			require.JSONEq(t, `{"gateways":["https://gw.example.test"],"token":"alice/desktop","keys":{"keys":[]},"correlation_id":"cid"}`, w.Body.String())
			require.Equal(t, tt.name == "framed", gotKey != [32]byte{})
		})
	}
}

// What the source refuses keeps its code and its correlation id; a fault of its
// own tells the client nothing.
func TestConnectRefusals(t *testing.T) {
	s := newSource()
	for _, tt := range []struct {
		name string
		err  error
		want reachback.Code
	}{
		{"unassigned", reachback.Refuse(reachback.CodeResourceNotFound), reachback.CodeResourceNotFound},
		{"raw not admitted", reachback.Refuse(reachback.CodeRawNotAllowed), reachback.CodeRawNotAllowed},
		{"database's fault", errors.New("secret-host"), reachback.CodeInternal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.connectTo = func(*reachback.User, string, [32]byte) (*reachback.Connection, error) { return nil, tt.err }
			w := request(newHandler(s), "POST", "/reachback/v1/connect", `{"resource":"desktop"}`, "Authorization: Bearer alice-token")
			require.Equal(t, tt.want, refusal(t, w).Code)
			require.NotContains(t, w.Body.String(), "secret-host")
		})
	}
}
