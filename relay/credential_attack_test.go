package relay

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/limit"
	"github.com/reachback/reachback/internal/token"
)

func TestA1_SpentTicketIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		called := w.call("alice")
		c := <-w.summons
		first, again := w.host("host-1"), w.host("host-1")
		answered := w.answer(c, first)
		client, host := must(t, called), must(t, answered)
		for _, cert := range []*tls.Certificate{first, again} {
			requireCode(t, reachback.CodeTicketInvalid, (<-w.answer(c, cert)).err)
		}
		require.Equal(t, 1, w.relay.Stats().Joined)
		requireCarries(t, client, host, "undisturbed")
	})
}

func TestA1_SpentConnectionTokenIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		spent := map[string]bool{} // the orchestrator's part: see package broker
		w.decide = func(ctx context.Context, c *Call) (*Permit, error) {
			if spent[c.Token] {
				return nil, reachback.Refuse(reachback.CodeTokenReplayed)
			}
			spent[c.Token] = true
			w.summons <- c
			return &Permit{Session: "s", Host: "host-1"}, nil
		}
		tok := w.token("alice")
		called := w.callWith(tok, nonce)
		answered := w.answer(<-w.summons, w.host("host-1"))
		client, host := must(t, called), must(t, answered)

		w.comeFrom("192.0.2.9:1000")
		for range limit.Burst {
			requireCode(t, reachback.CodeTokenReplayed, (<-w.callWith(tok, nonce)).err)
		}
		requireCode(t, reachback.CodeRateLimited, (<-w.callWith(tok, nonce)).err)
		require.Zero(t, w.relay.Stats().Waiting)
		requireCarries(t, client, host, "undisturbed")
	})
}

func TestA2_TicketOfAnotherHost(t *testing.T) {
	for _, tt := range []struct {
		name  string
		early bool // the wrong host answers before the permit
	}{{"before the permit", true}, {"after the permit", false}} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				permit := make(chan struct{})
				w.decide = func(ctx context.Context, c *Call) (*Permit, error) {
					w.summons <- c
					<-permit
					return &Permit{Session: "s", Host: "host-1"}, nil
				}
				called := w.call("alice")
				c := <-w.summons
				if !tt.early {
					close(permit)
					synctest.Wait()
				}
				thief := w.answer(c, w.host("host-2"))
				synctest.Wait()
				if tt.early {
					close(permit)
				}
				requireCode(t, reachback.CodeWrongHost, (<-thief).err)
				answered := w.answer(c, w.host("host-1"))
				requireCarries(t, must(t, called), must(t, answered), "the true pair")
			})
		})
	}
}

func TestA3_TokenOfAnotherServiceIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		grant, err := token.SignGrant("k1", w.signing, &reachback.Grant{User: "alice", Resource: "desktop"}, nonce, time.Now())
		require.NoError(t, err)
		requireCode(t, reachback.CodeWrongAudience, (<-w.callWith(grant, nonce)).err)
		requireCode(t, reachback.CodeTokenInvalid, (<-w.callWith("not.a.token", nonce)).err)
		requireCode(t, reachback.CodeTokenMissing, (<-w.callWith("", nonce)).err)
		require.Empty(t, w.summons, "nobody was asked")
	})
}

func TestA5_ExpiryDoesNotCutASession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		tok := w.token("alice")
		client, host := w.pair("alice")
		time.Sleep(token.ConnectionLife + token.Leeway)
		called := w.callWith(tok, nonce)
		require.NoError(t, must(t, w.accept(called)).Close())

		tok = w.token("alice")
		time.Sleep(token.ConnectionLife + token.Leeway + time.Second)
		requireCode(t, reachback.CodeTokenExpired, (<-w.callWith(tok, nonce)).err)
		requireCarries(t, client, host, "long after")
	})
}

// accept answers the call that is waiting for host-1, in the background.
func (w *world) accept(called <-chan outcome) <-chan outcome {
	w.answer(<-w.summons, w.host("host-1"))
	return called
}

func TestB1_GuessedTicketsAreRefusedAndTheGuesserSlowed(t *testing.T) {
	guesses := 1_000_000
	if testing.Short() {
		guesses = 20_000
	}
	w := newWorld(t)
	w.relay.Logger = nil
	w.relay.Limits.CallTimeout = time.Hour
	called := w.call("alice")
	c := <-w.summons
	codes := map[int]int{}
	for i := range guesses {
		id, ticket := random(idBytes), random(ticketBytes)
		if i%2 == 0 {
			id = c.ID // a third party who saw the id
		}
		rec := &statusOnly{header: http.Header{}}
		w.relay.ServeHTTP(rec, &http.Request{
			Method: http.MethodGet, URL: &url.URL{Path: carrier.PathAnswer}, ProtoMajor: 1, ProtoMinor: 1,
			RemoteAddr: fmt.Sprintf("[2001:db8::%x]:4000", i%0xffff), // all of one /64
			TLS:        &tls.ConnectionState{HandshakeComplete: true},
			Header: http.Header{
				"Connection": {"Upgrade"}, "Upgrade": {"reachback"}, carrier.HeaderCall: {id}, carrier.HeaderTicket: {ticket},
				"X-Forwarded-For": {fmt.Sprint("198.51.100.", i%256)}, // case C4: it changes nothing
			},
		})
		codes[rec.status]++
	}
	require.Len(t, codes, 2)
	require.NotZero(t, codes[http.StatusTooManyRequests])
	require.Less(t, codes[http.StatusForbidden], guesses/10)
	answered := w.answer(c, w.host("host-1"))
	requireCarries(t, must(t, called), must(t, answered), "undisturbed")
}

// statusOnly is a ResponseWriter that is cheaper than a million recorders.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }
