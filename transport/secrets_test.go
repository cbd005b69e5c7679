package transport

import (
	"bytes"
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
)

// An overheard broker keeps what its gateway's calls are made of.
type overheard struct {
	*broker.Broker

	mu      sync.Mutex
	calls   []*relay.Call
	secrets []string
}

// Orchestrate implements [relay.Orchestrator].
func (o *overheard) Orchestrate(ctx context.Context, c *relay.Call) (*relay.Permit, error) {
	p, err := o.Broker.Orchestrate(ctx, c)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, c)
	o.secrets = append(o.secrets, c.Token, c.Nonce, string(c.Ticket))
	if err == nil {
		o.secrets = append(o.secrets, p.Grant)
	}
	return p, err
}

// No record of a gateway, a broker, a host or a client, of a session or of a
// refusal, holds what its reader could show to somebody.
func TestSecretsAreNotLogged(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var logs bytes.Buffer
		log := slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
		heard := &overheard{Broker: w.broker}
		w.relay.Orchestrator, w.relay.Logger, w.broker.Logger = heard, log, log
		lc, d := w.config(), w.dialer()
		lc.Logger, lc.Agent.Logger, d.Logger = log, log, log
		var admit error
		lc.Admit = func(context.Context, *broker.Summon) error { return admit }
		l := w.listen(lc)
		gateways := []string{gateway}
		d.Connect = func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
			c, err := w.connect(ctx, resource, key)
			c.Gateways = gateways
			return c, err
		}

		c, err := d.DialContext(t.Context(), "tcp", "desktop")
		require.NoError(t, err)
		h, err := l.Accept()
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.NoError(t, h.Close())
		admit = reachback.Refuse(reachback.CodeTargetUnavailable)
		_, err = d.DialContext(t.Context(), "tcp", "desktop")
		requireCode(t, reachback.CodeTargetUnavailable, err)
		gateways = []string{"https://nobody.example"}
		_, err = d.DialContext(t.Context(), "tcp", "desktop")
		requireCode(t, reachback.CodeGatewayUnreachable, err)

		// The same secrets, and others, in wrong places.
		spent := heard.calls[0]
		unused, err := w.connect(t.Context(), "desktop", [32]byte{1})
		require.NoError(t, err)
		basic := base64.StdEncoding.EncodeToString([]byte("alice:a password"))
		guessed := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
		call := func(tok, nonce string) func() error {
			return func() error { _, err := w.relayDialer().Call(t.Context(), gateway, tok, nonce); return err }
		}
		answer := func(ticket relay.Ticket) func() error {
			return func() error {
				_, err := w.relayDialer().Answer(t.Context(), gateway, spent.ID, ticket, lc.Agent.Identity.Certificate())
				return err
			}
		}
		upgrade := func(path string, h http.Header) func() error {
			return func() error {
				cd := &carrier.Dialer{TLS: w.tls, NetDial: w.net.Dial}
				_, err := cd.Upgrade(t.Context(), gateway, path, h, nil, reachback.CodeGatewayUnreachable)
				return err
			}
		}
		for _, tt := range []struct {
			name string
			do   func() error
			want reachback.Code
		}{
			{"spent token", call(spent.Token, spent.Nonce), reachback.CodeTokenReplayed},
			{"forged token", call(unused.Token+"AAAA", newNonce()), reachback.CodeTokenInvalid},
			{"raw call with a framed token", call(unused.Token, ""), reachback.CodeBadRequest},
			{"spent ticket", answer(spent.Ticket), reachback.CodeTicketInvalid},
			{"guessed ticket", answer(relay.Ticket(guessed)), reachback.CodeTicketInvalid},
			{"token at answer", upgrade(carrier.PathAnswer, http.Header{"Authorization": {"Bearer " + unused.Token}}), reachback.CodeBadRequest},
			{"ticket at call", upgrade(carrier.PathCall, http.Header{carrier.HeaderTicket: {guessed}}), reachback.CodeBadRequest},
			{"password", upgrade(carrier.PathCall, http.Header{"Authorization": {"Basic " + basic}}), reachback.CodeTokenMissing},
			{"token at control", upgrade(carrier.PathControl, http.Header{"Authorization": {"Bearer " + unused.Token}}), reachback.CodeCertificateMissing},
		} {
			require.Equal(t, tt.want, reachback.CodeOf(tt.do()), tt.name)
		}
		time.Sleep(token.ConnectionLife + token.Leeway + time.Second)
		requireCode(t, reachback.CodeTokenExpired, call(unused.Token, newNonce())())

		// A gateway that shows the grant of another call.
		liar := newLiar(w, nil)
		liar.call = func(leg *carrier.Conn, _ string) {
			liar.join(leg, heard.secrets[3])
			leg.Close()
		}
		d.Connect = liar.connect
		_, err = d.DialContext(t.Context(), "tcp", "desktop")
		requireCode(t, reachback.CodeGrantInvalid, err)
		synctest.Wait()

		records := logs.String()
		for _, message := range []string{"session opened", "session ended", "gateway failed", "summon refused", "call joined", "call refused", "answer refused"} {
			require.Contains(t, records, `"msg":"`+message+`"`, "the records are of what happened")
		}
		for _, secret := range append(heard.secrets, unused.Token, basic, guessed) {
			require.NotContains(t, records, secret[:min(len(secret), 40)], "a record cuts what is long")
			require.NotContains(t, records, secret[max(0, len(secret)-20):])
		}
		require.NotContains(t, records, "Bearer")
		require.NotContains(t, records, "Basic")
	})
}
