package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin/api"
)

// What is put is refused with a code of ours, or it is what is then read.
func FuzzPutPool(f *testing.F) {
	for _, p := range []api.Pool{
		{}, {Name: "lab", Kind: "personal", Approval: true, Linger: 60},
		{MaxSessions: 3, Balance: "depth", Policy: api.Policy{Networks: []string{"10.0.0.0/8"}, DSCP: 46}, RDP: map[string]string{"audiomode": "i:0"}},
	} {
		body, err := json.Marshal(p)
		require.NoError(f, err)
		f.Add("lab", "", string(body))
	}
	f.Add("..", "tenant=x&tenant=y", `{"kind":null}`)
	b := &broker.Broker{Directory: &broker.MemoryDirectory{}}
	f.Cleanup(func() { b.Close() })
	h := NewHandler(&Parts{Broker: b, Directory: b.Directory})
	f.Fuzz(func(t *testing.T, name, query, body string) {
		ask := func(method, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
			r.URL.Path, r.URL.RawQuery = api.Prefix+"/pools/"+name, query
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		w := ask(http.MethodPut, body)
		switch {
		case w.Code == http.StatusNoContent:
			got := ask(http.MethodGet, "")
			require.Equal(t, http.StatusOK, got.Code)
			again := ask(http.MethodPut, got.Body.String())
			require.Equal(t, http.StatusNoContent, again.Code, "what is read can be put: %s", again.Body)
			require.Equal(t, got.Body.String(), ask(http.MethodGet, "").Body.String())
		case w.Code < 400: // a path that is another one when it is clean
			require.NotEmpty(t, w.Header().Get("Location"))
		default:
			var e reachback.Error
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e), "%s", w.Body)
			require.NotEmpty(t, e.Code.Text())
			require.Equal(t, e.Code.Status(), w.Code)
			require.Less(t, w.Code, 500, "%s", w.Body)
		}
	})
}
