package admin

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin/api"
)

func TestPoolsAreMadeChangedAndDeleted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		require.Equal(t, "Contoso desktops", get[api.Workspace](w, "/workspace").Title)
		lab := `{"kind": "pooled", "balance": "depth", "max_sessions": 3, "raw": true, "approval": true, "linger": 60,
			"policy": {"shortpath": true, "networks": ["10.0.0.0/8"], "dscp": 46, "max_rate": 1000000}, "rdp": {"audiomode": "i:0"}}`
		w.does(http.MethodPut, "/pools/lab", lab)
		require.Equal(t, api.Pool{
			Name: "lab", Kind: "pooled", Balance: "depth", MaxSessions: 3, Raw: true, Approval: true, Linger: 60,
			Policy: api.Policy{Shortpath: true, Networks: []string{"10.0.0.0/8"}, DSCP: 46, MaxRate: 1000000},
			RDP:    map[string]string{"audiomode": "i:0"},
		}, get[api.Pool](w, "/pools/lab"))
		require.Len(t, get[api.Pools](w, "/pools").Pools, 3)
		require.Empty(t, get[api.Pools](w, "/pools?tenant=other").Pools)

		w.does(http.MethodPut, "/pools/lab", `{"name": "lab", "max_sessions": 5}`)
		require.Equal(t, 5, get[api.Pool](w, "/pools/lab").MaxSessions)
		require.False(t, get[api.Pool](w, "/pools/lab").Raw, "what is left out has its default again")

		w.does(http.MethodDelete, "/pools/lab", "")
		w.refused(reachback.CodeNotFound, http.MethodGet, "/pools/lab", "")
		w.refused(reachback.CodeNotFound, http.MethodDelete, "/pools/lab", "")
		w.refused(reachback.CodeInUse, http.MethodDelete, "/pools/desktops", "")
	})
}

func TestResourcesAndTheirAssignments(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		sees := func(subject string) (ids []string) {
			all, err := w.broker.Resources(t.Context(), &reachback.User{Issuer: issuer, Subject: subject})
			require.NoError(t, err)
			for _, r := range all {
				ids = append(ids, r.ID)
			}
			return ids
		}
		w.does(http.MethodPut, "/resources/paint", `{"title": "Paint", "kind": "remoteapp", "program": "||paint", "pool": "desktops", "assign": ["user:bob"]}`)
		require.Equal(t, []string{"paint"}, sees("bob"))
		require.Equal(t, "||paint", get[api.Resource](w, "/resources/paint").Program)
		w.does(http.MethodPost, "/resources/desktop/assignments", `{"to": "user:bob"}`)
		w.does(http.MethodPost, "/resources/desktop/assignments", `{"to": "user:bob"}`)
		require.Equal(t, []string{"desktop", "paint"}, sees("bob"))
		w.does(http.MethodDelete, "/resources/desktop/assignments?to=user:bob", "")
		require.Equal(t, []string{"paint"}, sees("bob"))
		require.Equal(t, []string{"user:alice"}, get[api.Resource](w, "/resources/desktop").Assign)

		hash := w.does(http.MethodPost, "/icons", `{"data": "`+picture(t)+`"}`)
		require.Regexp(t, `^\{"hash":"[0-9a-f]{64}"\}`, string(hash))

		w.does(http.MethodDelete, "/resources/paint", "")
		require.Empty(t, sees("bob"))
		w.refused(reachback.CodeNotFound, http.MethodDelete, "/resources/paint", "")
	})
}

func TestWhatCannotWorkIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		for _, tt := range []struct {
			name, method, path, body string
			code                     reachback.Code
			says                     string
		}{
			{"an unknown field", "PUT", "/pools/lab", `{"max_session": 3}`, reachback.CodeBadRequest, "max_session"},
			{"a field in other letters", "PUT", "/pools/lab", `{"Kind": "pooled"}`, reachback.CodeBadRequest, "Kind"},
			{"a field twice", "PUT", "/pools/lab", `{"kind": "pooled", "kind": "personal"}`, reachback.CodeBadRequest, "duplicate"},
			{"another type", "PUT", "/pools/lab", `{"max_sessions": "3"}`, reachback.CodeBadRequest, "max_sessions"},
			{"what is no choice", "PUT", "/pools/lab", `{"kind": "pool"}`, reachback.CodeBadRequest, "kind"},
			{"a field that rules out another", "PUT", "/pools/lab", `{"balance": "depth"}`, reachback.CodeBadRequest, "max_sessions"},
			{"an RDP property that no file can hold", "PUT", "/pools/lab", `{"rdp": {"full address": "s:evil.example"}}`, reachback.CodeBadRequest, "full address"},
			{"a network that is none", "PUT", "/pools/lab", `{"policy": {"networks": ["10.0.0.1/8"]}}`, reachback.CodeBadRequest, "networks"},
			{"a name that is none", "PUT", "/pools/Lab", `{}`, reachback.CodeBadRequest, "name"},
			{"two names", "PUT", "/pools/lab", `{"name": "desktops"}`, reachback.CodeBadRequest, "desktops"},
			{"no JSON", "PUT", "/pools/lab", `kind=pooled`, reachback.CodeBadRequest, "body"},
			{"something after it", "PUT", "/pools/lab", `{} {}`, reachback.CodeBadRequest, "body"},
			{"no body", "PUT", "/pools/lab", ``, reachback.CodeBadRequest, "body"},
			{"a body over the limit", "PUT", "/resources/r", `{"pool": "desktops", "title": "` + strings.Repeat("x", maxBody) + `"}`, reachback.CodeBadRequest, "large"},
			{"a picture that is none", "POST", "/icons", `{"data": "aGVsbG8="}`, reachback.CodeBadRequest, "PNG"},
			{"a resource of a pool that is not there", "PUT", "/resources/r", `{"pool": "nowhere"}`, reachback.CodePoolNotFound, ""},
			{"an assignment to neither user nor group", "POST", "/resources/desktop/assignments", `{"to": "everyone"}`, reachback.CodeBadRequest, "user:"},
			{"an assignment of what is not there", "POST", "/resources/nothing/assignments", `{"to": "user:bob"}`, reachback.CodeNotFound, ""},
			{"a withdrawal from nobody", "DELETE", "/resources/desktop/assignments", ``, reachback.CodeBadRequest, "to"},
			{"an unknown parameter", "GET", "/pools?pool=desktops", ``, reachback.CodeBadRequest, "pool"},
			{"a limit over the limit", "GET", "/hosts?limit=1001", ``, reachback.CodeBadRequest, "limit"},
			{"a time that is none", "GET", "/records?from=yesterday", ``, reachback.CodeBadRequest, "from"},
			{"a path that there is not", "GET", "/nothing", ``, reachback.CodeNotFound, ""},
			{"a method that there is not", "POST", "/pools/lab", `{}`, reachback.CodeMethodNotAllowed, ""},
		} {
			t.Log(tt.name)
			e := w.refused(tt.code, tt.method, tt.path, tt.body)
			require.Contains(t, e.Message, tt.says)
		}
		require.Len(t, get[api.Pools](w, "/pools").Pools, 2, "nothing has changed")
		require.Len(t, get[api.Resources](w, "/resources").Resources, 2)
	})
}

// picture is a PNG in base64.
func picture(t *testing.T) string {
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 64))))
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// What the API takes over from seed files it takes over whole.
func TestNoFieldOfASeedIsMissing(t *testing.T) {
	fields := func(v any) (names []string) {
		t := reflect.TypeOf(v)
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			names = append(names, name)
		}
		return names
	}
	require.ElementsMatch(t, fields(broker.SeedPool{}), fields(api.Pool{}))
	require.ElementsMatch(t, fields(broker.SeedPolicy{}), fields(api.Policy{}))
	require.ElementsMatch(t, fields(broker.SeedResource{}), fields(api.Resource{}))
}
