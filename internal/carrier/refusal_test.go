package carrier

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

func refusal(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}
}

func TestRefusalArrivesAsItWasMade(t *testing.T) {
	want := &reachback.Error{Code: reachback.CodeHostsFull, Message: "all five of them", CorrelationID: "c-1"}
	w := httptest.NewRecorder()
	Refuse(w, want, "unused")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, want, ReadRefusal(w.Result()))
}

func TestRefusalTellsNothingOfOtherErrors(t *testing.T) {
	w := httptest.NewRecorder()
	Refuse(w, errors.New("open /etc/reachback/key: permission denied"), "c-1")
	require.NotContains(t, w.Body.String(), "key")
	got := reachback.AsError(ReadRefusal(w.Result()))
	require.Equal(t, reachback.CodeInternal, got.Code)
	require.Equal(t, "c-1", got.CorrelationID)
}

func TestD12_RefusalOfAPeerIsOneLine(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for _, tt := range []struct {
		name, body string
		want       *reachback.Error
	}{
		{"a line break in the text", `{"code":"no_host","message":"nobody\nalice signed in"}`, reachback.Refuse(reachback.CodeNoHost)},
		{"a control sequence in the text", `{"code":"no_host","message":"\u001b[2J"}`, reachback.Refuse(reachback.CodeNoHost)},
		{"a text that turns the line round", `{"code":"no_host","message":"\u202edekcah"}`, reachback.Refuse(reachback.CodeNoHost)},
		{"a text without end", `{"code":"no_host","message":"` + long + `"}`, reachback.Refuse(reachback.CodeNoHost)},
		{"an id with a line break", `{"code":"no_host","message":"m","correlation_id":"a\nb"}`, &reachback.Error{Code: reachback.CodeNoHost, Message: "m"}},
		{"a code that is none", `{"code":"NO HOST\n"}`, nil},
		{"no code", `{"message":"m"}`, nil},
		{"not JSON", "<html>captive portal</html>", nil},
		{"more than a refusal may be", `{"code":"no_host","x":"` + strings.Repeat("x", MaxRefusal) + `"}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == nil {
				tt.want = &reachback.Error{Code: reachback.CodeProtocolError, Message: "the server answered 503, and not as reachback does"}
			}
			require.Equal(t, tt.want, ReadRefusal(refusal(503, tt.body)))
		})
	}
}

func FuzzRefusal(f *testing.F) {
	w := httptest.NewRecorder()
	Refuse(w, reachback.Refuse(reachback.CodeNoHost), "c-1")
	f.Add(w.Body.String())
	f.Add(`{"code":"later","message":"n\u00e4her"}`)
	f.Fuzz(func(t *testing.T, body string) {
		e := reachback.AsError(ReadRefusal(refusal(503, body)))
		require.NotEmpty(t, e.Code)
		require.True(t, printable(e.Error()) && printable(e.CorrelationID))
		b, err := json.Marshal(e)
		require.NoError(t, err)
		require.Equal(t, e, ReadRefusal(refusal(503, string(b))), "a refusal that is passed on stays the same")
	})
}
