package admin

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin/api"
)

func TestSessionsAreListedAndKilled(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		h := w.up("pc1", "desktops")
		p, err := w.call("alice", "desktop")
		require.NoError(t, err)
		s := get[api.Session](w, "/sessions/"+p.Session)
		require.Equal(t, api.User{Issuer: issuer, Subject: "alice"}, s.User)
		require.Equal(t, "pending", s.State)
		require.Equal(t, "desktop", s.Resource)
		require.Equal(t, h.id, s.Host)
		for path, n := range map[string]int{
			"": 1, "?user=alice": 1, "?user=bob": 0, "?host=pc1": 1, "?host=" + h.id: 1, "?host=pc2": 0, "?live=true": 1, "?tenant=other": 0,
		} {
			require.Len(t, get[api.Sessions](w, "/sessions"+path).Sessions, n, path)
		}

		w.does(http.MethodPost, "/sessions/"+p.Session+"/kill", "")
		require.Equal(t, "killed", get[api.Session](w, "/sessions/"+p.Session).State)
		require.Empty(t, get[api.Sessions](w, "/sessions?live=true").Sessions)
		w.refused(reachback.CodeNotFound, http.MethodPost, "/sessions/nothing/kill", "")
		w.refused(reachback.CodeNotFound, http.MethodGet, "/sessions/nothing", "")
	})
}

func TestAUserIsToldDisconnectedAndLoggedOff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		h := w.up("pc1", "desktops")
		p, err := w.call("alice", "desktop")
		require.NoError(t, err)
		at := "/sessions/" + p.Session
		w.does(http.MethodPost, at+"/message", `{"title": "Maintenance", "text": "Save your work."}`)
		w.does(http.MethodPost, at+"/disconnect", "")
		w.does(http.MethodPost, at+"/logoff", "")
		require.Equal(t, []string{"tell alice: Maintenance: Save your work.", "disconnect alice", "log off alice"}, h.asked())

		w.refused(reachback.CodeBadRequest, http.MethodPost, at+"/message", `{"text": ""}`)
		w.refused(reachback.CodeBadRequest, http.MethodPost, at+"/message", `{"text": "`+strings.Repeat("é", 3000)+`"}`)
		w.refused(reachback.CodeNotFound, http.MethodPost, "/sessions/nothing/logoff", "")
		require.Len(t, h.asked(), 3)
	})
}

// The question that records are kept for: why could this user not connect?
func TestRecordsAnswerWhy(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		_, err := w.call("alice", "desktop")
		require.Equal(t, reachback.CodeNoHost, reachback.CodeOf(err))
		w.written()

		failed := get[api.Records](w, "/records?user=alice&code=*").Records
		require.NotEmpty(t, failed)
		r := failed[0]
		require.Equal(t, string(broker.StepOrchestrate), r.Step)
		require.Equal(t, string(reachback.CodeNoHost), r.Code)
		require.Equal(t, reachback.CodeNoHost.Text(), r.Message)
		require.Equal(t, "desktop", r.Resource)

		story := get[api.Records](w, "/records?correlation_id="+r.CorrelationID).Records
		require.Greater(t, len(story), 1)
		require.Equal(t, string(broker.StepConnect), story[len(story)-1].Step, "the newest first")
		first := get[api.Records](w, "/records?limit=1&correlation_id="+r.CorrelationID)
		require.Equal(t, story[:1], first.Records)
		second := get[api.Records](w, "/records?limit=1&correlation_id="+r.CorrelationID+"&before="+strconv.FormatUint(first.Next, 10))
		require.Equal(t, story[1:2], second.Records)

		require.Empty(t, get[api.Records](w, "/records?user=bob").Records)
		require.Empty(t, get[api.Records](w, "/records?user=alice&to=2000-01-01T00:00:00Z&from=1999-01-01T00:00:00Z").Records)
	})
}

// Whatever an operator does is in the records, with who he is.
func TestChangesAreRecorded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		h := w.up("pc1", "desktops")
		p, err := w.call("alice", "desktop")
		require.NoError(t, err)
		w.does(http.MethodPut, "/pools/lab", `{}`)
		w.does(http.MethodDelete, "/pools/lab", "")
		w.does(http.MethodPost, "/resources/desktop/assignments", `{"to": "user:bob"}`)
		w.does(http.MethodPut, "/hosts/pc1/drain", `{"on": true}`)
		w.does(http.MethodPut, "/hosts/pc1/name", `{"name": "pc9"}`)
		w.does(http.MethodPost, "/sessions/"+p.Session+"/kill", "")
		w.refused(reachback.CodeNotFound, http.MethodDelete, "/pools/lab", "")
		w.written()
		synctest.Wait()

		var done []string
		for _, r := range get[api.Records](w, "/records?step=admin").Records {
			require.Contains(t, r.Detail, "by loopback", "%+v", r)
			done = append([]string{strings.TrimSuffix(strings.TrimSuffix(r.Detail, "; by loopback")+" "+r.Code, " ")}, done...)
		}
		require.Contains(t, done[0], "registration token ")
		require.Equal(t, []string{"put pool lab", "delete pool lab", "assign to user:bob", "drain on", "rename to pc9", "kill", "delete pool lab not_found"}, done[1:])
		of := get[api.Records](w, "/records?step=admin&host=pc9").Records
		require.Len(t, of, 3)
		require.Equal(t, h.id, of[0].Host)
		require.Equal(t, "alice", of[0].User, "the kill is one step of his connection")
	})
}
