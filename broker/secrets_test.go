package broker

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

// No secret stands in a record, whatever became of who showed it.
func TestSecretsAreNeverLogged(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var secrets []string
		secret := func(s string) string {
			secrets = append(secrets, s)
			return s
		}
		// Registration tokens: used, used up, wrong, and expired.
		used := secret(w.token("desktops", time.Hour, 1))
		h := w.newcomer()
		require.NoError(t, h.enrol(used, ""))
		h.run()
		require.Error(t, w.newcomer().enrol(used, ""))
		require.Error(t, w.newcomer().enrol(secret(used[:len(used)-1]+"~"), ""))
		require.Error(t, w.newcomer().enrol(secret("rbr_x_"+strings.Repeat("guess", 8)), ""))
		expired := secret(w.token("desktops", time.Hour, 1))
		time.Sleep(time.Hour)
		require.Error(t, w.newcomer().enrol(expired, ""))

		// Tokens of connections and tickets: used, replayed, forged, with no host.
		c := call(secret(w.connect(alice(), "desktop")))
		secret(ticketText(c.Ticket))
		p, err := w.orchestrate(c)
		require.NoError(t, err)
		secret(p.Grant)
		for _, token := range []string{c.Token, secret(c.Token[:len(c.Token)-8] + "AAAAAAAA"), secret("Bearer-nonsense-token"), secret(w.connect(alice(), "mine"))} {
			again := call(token)
			secret(ticketText(again.Ticket))
			_, err := w.orchestrate(again)
			require.Error(t, err)
		}
		h.answers(func(context.Context, *Summon) error { return reachback.Refuse(reachback.CodeTargetUnavailable) })
		refused := call(secret(w.connect(alice(), "desktop")))
		secret(ticketText(refused.Ticket))
		_, err = w.orchestrate(refused)
		require.Error(t, err)

		// Tokens of users, and Authorization at doors that do not read it.
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server+"/reachback/v1/control", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+secret("a-users-own-token"))
		_, err = w.broker.Authenticate(r)
		require.Error(t, err)
		synctest.Wait()

		logs := w.logs.String()
		for _, record := range []string{"host enrolled", "enrolment refused", "call permitted", "call refused", "host did not accept", "summon refused"} {
			require.Contains(t, logs, record)
		}
		for _, s := range secrets {
			require.NotContains(t, logs, s)
		}
	})
}
