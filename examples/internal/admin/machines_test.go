package admin

import (
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin/api"
)

func TestAHostInDrainGetsNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		h := w.up("pc1", "desktops")
		w.does(http.MethodPut, "/hosts/pc1/drain", `{"on": true}`)
		require.True(t, get[api.Host](w, "/hosts/"+h.id).Drain)
		_, err := w.call("alice", "desktop")
		require.Equal(t, reachback.CodeNoHost, reachback.CodeOf(err))

		w.does(http.MethodPut, "/hosts/pc1/drain", `{"on": false}`)
		p, err := w.call("alice", "desktop")
		require.NoError(t, err)
		require.Equal(t, h.id, p.Host)
		require.Equal(t, 1, get[api.Host](w, "/hosts/pc1").UserSessions)
	})
}

func TestAPersonalHostIsApprovedAndAssigned(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		a, b := w.up("a", "own"), w.up("b", "own")
		_, err := w.call("bob", "mine")
		require.Equal(t, reachback.CodeNoHost, reachback.CodeOf(err), "the pool asks for approval")
		w.does(http.MethodPost, "/hosts/a/approve", "")
		w.does(http.MethodPost, "/hosts/b/approve", "")

		w.does(http.MethodPut, "/hosts/b/user", `{"subject": "bob"}`)
		require.Equal(t, &api.User{Issuer: issuer, Subject: "bob"}, get[api.Host](w, "/hosts/b").AssignedTo)
		his := get[api.Hosts](w, "/hosts?user=bob").Hosts
		require.Len(t, his, 1)
		require.Equal(t, b.id, his[0].ID)
		p, err := w.call("bob", "mine")
		require.NoError(t, err)
		require.Equal(t, b.id, p.Host)

		w.refused(reachback.CodeInUse, http.MethodPut, "/hosts/b/user", `{"subject": "carol"}`)
		w.does(http.MethodPut, "/hosts/a/user", `{"issuer": "https://other.example", "subject": "carol"}`)
		require.Equal(t, "https://other.example", get[api.Host](w, "/hosts/"+a.id).AssignedTo.Issuer)
		w.does(http.MethodDelete, "/hosts/a/user", "")
		require.Nil(t, get[api.Host](w, "/hosts/a").AssignedTo)
	})
}

func TestAUserWithoutAnIssuerIsNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.parts.Issuer = ""
		w.serve()
		w.up("a", "own")
		e := w.refused(reachback.CodeBadRequest, http.MethodPut, "/hosts/a/user", `{"subject": "bob"}`)
		require.Contains(t, e.Message, "issuer")
		w.refused(reachback.CodeBadRequest, http.MethodGet, "/hosts?user=bob", "")
	})
}

func TestARenamedHostIsFoundByItsNewName(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		w.up("pc1", "desktops")
		w.up("pc2", "desktops")
		w.refused(reachback.CodeNameTaken, http.MethodPut, "/hosts/pc1/name", `{"name": "pc2"}`)
		w.does(http.MethodPut, "/hosts/pc1/name", `{"name": "reception"}`)
		require.Equal(t, "reception", get[api.Host](w, "/hosts/reception").Name)
		w.refused(reachback.CodeHostUnknown, http.MethodGet, "/hosts/pc1", "")
		w.refused(reachback.CodeHostUnknown, http.MethodGet, "/hosts/reception?tenant=other", "")
	})
}

func TestARevokedHostIsGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		h := w.up("pc1", "desktops")
		w.does(http.MethodPost, "/hosts/pc1/revoke", "")
		<-h.done
		require.Equal(t, reachback.CodeHostRevoked, reachback.CodeOf(h.err))
		require.True(t, get[api.Host](w, "/hosts/"+h.id).Revoked)

		again := w.up("pc1", "desktops")
		require.NotEqual(t, h.id, again.id, "with a new key")
		require.Equal(t, again.id, get[api.Host](w, "/hosts/pc1").ID, "the name is that of the host that lives")
		require.Len(t, get[api.Hosts](w, "/hosts").Hosts, 2)
	})
}

func TestHostsComeInPages(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		for _, name := range []string{"c", "a", "b"} {
			w.up(name, "desktops")
		}
		var names []string
		after := ""
		for range 2 {
			page := get[api.Hosts](w, "/hosts?limit=2&pool=desktops&after="+after)
			for _, h := range page.Hosts {
				names = append(names, h.Name)
			}
			after = page.Next
		}
		require.Equal(t, []string{"a", "b", "c"}, names)
		require.Empty(t, after)
		require.Empty(t, get[api.Hosts](w, "/hosts?pool=own").Hosts)
	})
}

func TestARegistrationTokenIsShownOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		var made api.NewToken
		require.NoError(t, json.Unmarshal(w.does(http.MethodPost, "/registration-tokens", `{"pool": "desktops", "life": "2h", "uses": 5}`), &made))
		require.Equal(t, api.Token{ID: made.ID, Role: "host", Pool: "desktops", Uses: 5, Expires: made.Expires}, made.Token)
		require.WithinDuration(t, time.Now().Add(2*time.Hour), made.Expires, time.Second)
		require.NoError(t, w.broker.CheckRegistrationToken(t.Context(), made.Secret))

		status, listed := w.ask(http.MethodGet, api.Prefix+"/registration-tokens", "")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, string(listed), made.ID)
		secret := made.Secret[len("rbr_")+len(made.ID)+1:]
		require.NotContains(t, string(listed), secret)
		require.NotContains(t, w.logs.String(), secret)
		require.Equal(t, []api.Token{made.Token}, get[api.Tokens](w, "/registration-tokens").Tokens)

		w.does(http.MethodDelete, "/registration-tokens/"+made.ID, "")
		require.Equal(t, reachback.CodeRegistrationInvalid, reachback.CodeOf(w.broker.CheckRegistrationToken(t.Context(), made.Secret)))
		w.refused(reachback.CodeNotFound, http.MethodDelete, "/registration-tokens/"+made.ID, "")
		for _, body := range []string{`{"life": "30m"}`, `{"life": "649h"}`, `{"life": "soon"}`, `{"role": "broker"}`, `{"pool": "A"}`, `{"role": "gateway", "pool": "desktops"}`} {
			w.refused(reachback.CodeBadRequest, http.MethodPost, "/registration-tokens", body)
		}
		// No host could ever enrol with these.
		for _, query := range []string{"", "?tenant=contoso"} {
			w.refused(reachback.CodePoolNotFound, http.MethodPost, "/registration-tokens"+query, `{"pool": "desktop"}`)
		}
		w.refused(reachback.CodePoolNotFound, http.MethodPost, "/registration-tokens?tenant=contoso", `{"pool": "desktops"}`)
	})
}

func TestGatewaysAreDrainedAndRevoked(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		require.Empty(t, get[api.Gateways](w, "/gateways").Gateways)
		var token api.NewToken
		require.NoError(t, json.Unmarshal(w.does(http.MethodPost, "/registration-tokens", `{"role": "gateway"}`), &token))
		require.Equal(t, "gateway", token.Role)
		id, err := broker.NewIdentity()
		require.NoError(t, err)
		link := &broker.Link{Server: "https://broker.example", URL: "https://gw2.example", Identity: id, TLS: w.roots, NetDial: w.net.Dial}
		_, err = link.Enrol(t.Context(), broker.EnrolOptions{Token: token.Secret, Name: "gw2"})
		require.NoError(t, err)

		all := get[api.Gateways](w, "/gateways").Gateways
		require.Len(t, all, 1)
		require.Equal(t, "https://gw2.example", all[0].URL)
		w.does(http.MethodPut, "/gateways/"+all[0].ID+"/drain", `{"on": true}`)
		require.True(t, get[api.Gateways](w, "/gateways").Gateways[0].Drain)
		w.does(http.MethodPost, "/gateways/"+all[0].ID+"/revoke", "")
		require.True(t, get[api.Gateways](w, "/gateways").Gateways[0].Revoked)
		w.refused(reachback.CodeGatewayUnknown, http.MethodPost, "/gateways/nobody/revoke", "")
	})
}

// Whoever waits for the records of what happened waits for this long.
func (w *world) written() {
	time.Sleep(2 * time.Second) // virtual
	synctest.Wait()
}
