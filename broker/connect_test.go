package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/token"
)

func TestConnect(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, tt := range []struct {
			name, resource string
			key            [32]byte
			code           reachback.Code
		}{
			{"assigned", "desktop", clientKey, ""},
			{"not assigned", "secret", clientKey, reachback.CodeResourceNotFound},
			{"not there", "nothing", clientKey, reachback.CodeResourceNotFound},
			{"raw where the pool admits it", "stock", [32]byte{}, ""},
			{"raw where it does not", "desktop", [32]byte{}, reachback.CodeRawNotAllowed},
		} {
			c, err := w.broker.Connect(t.Context(), alice(), tt.resource, tt.key)
			requireCode(t, tt.code, err, tt.name)
			if err != nil {
				require.Len(t, reachback.AsError(err).CorrelationID, 32)
				continue
			}
			require.Equal(t, []string{gateway}, c.Gateways)
			var keys jose.JSONWebKeySet
			require.NoError(t, json.Unmarshal(c.Keys, &keys))
			got, err := token.VerifyConnection(&keys, c.Token, time.Now())
			require.NoError(t, err)
			require.Equal(t, tt.key, got.ClientKey)
			require.Equal(t, c.CorrelationID, got.CorrelationID)
			require.Equal(t, *alice(), got.User)
			require.Equal(t, tt.resource, got.Resource)
		}
		w.broker.Gateways = nil
		_, err := w.broker.Connect(t.Context(), alice(), "desktop", clientKey)
		requireCode(t, reachback.CodeNoGateway, err, "a client could do nothing with an empty list")
		a, err := w.broker.Connect(t.Context(), alice(), "secret", clientKey)
		require.Nil(t, a)
		b, err2 := w.broker.Connect(t.Context(), alice(), "nothing", clientKey)
		require.Nil(t, b)
		require.Equal(t, err.Error(), err2.Error(), "the two get the same answer")

		all, err := w.broker.Resources(t.Context(), alice())
		require.NoError(t, err)
		var titles []string
		for _, r := range all {
			titles = append(titles, r.Title)
		}
		require.Equal(t, []string{"Any client", "Desktop", "My own"}, titles)
		none, err := w.broker.Resources(t.Context(), &reachback.User{Subject: "eve"})
		require.NoError(t, err)
		require.Empty(t, none)
	})
}

// A stock client's token is short however many groups the user has, and opens what his
// groups give him.
func TestRawTokensAreShort(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "open")
		var all, gives []string
		for n := range 256 {
			g := fmt.Sprintf("%08d-0000-4000-8000-000000000000", n)
			if all = append(all, g); n%2 == 1 {
				gives = append(gives, "group:"+g)
			}
		}
		assign := func(to ...string) {
			seed, err := ParseSeed([]byte(seedText))
			require.NoError(t, err)
			for i := range seed.Resources {
				if seed.Resources[i].ID == "stock" {
					seed.Resources[i].Assign = to
				}
			}
			require.NoError(t, w.dir.Apply(t.Context(), seed))
		}
		assign(gives...)
		u := &reachback.User{
			Issuer: "https://login.example.com/00000000-0000-4000-8000-000000000000/v2.0", Subject: strings.Repeat("s", 255),
			Tenant: alice().Tenant, Name: strings.Repeat("Ä", 500), Groups: all,
		}
		c, err := w.broker.Connect(t.Context(), u, "stock", [32]byte{})
		require.NoError(t, err)
		require.LessOrEqual(t, len(c.Token), 2000)
		var keys jose.JSONWebKeySet
		require.NoError(t, json.Unmarshal(c.Keys, &keys))
		said, err := token.VerifyConnection(&keys, c.Token, time.Now())
		require.NoError(t, err)
		require.Equal(t, u.ID(), said.User.ID())
		require.Greater(t, len(said.User.Groups), 5)
		for _, g := range said.User.Groups {
			require.Contains(t, gives, "group:"+g)
		}
		_, err = w.orchestrate(rawCall(c.Token, "192.0.2.1:50000"))
		require.NoError(t, err)

		// The groups still decide when the token is used.
		c, err = w.broker.Connect(t.Context(), u, "stock", [32]byte{})
		require.NoError(t, err)
		assign("group:others")
		_, err = w.orchestrate(rawCall(c.Token, "192.0.2.1:50000"))
		requireCode(t, reachback.CodeNotAssigned, err)

		// What identifies the user is never cut.
		assign("group:" + all[0])
		u.Issuer += strings.Repeat("/0", 1000)
		_, err = w.broker.Connect(t.Context(), u, "stock", [32]byte{})
		requireCode(t, reachback.CodeTokenTooLong, err)
	})
}

// What is kept by connection token is bounded by how many a user gets.
func TestConnectGivesAUserSoManyTokens(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops")
		most := 0
		for range 20 * 60 { // for twenty minutes he asks and uses what he gets
			for range 2 * connectBurst {
				c, err := w.broker.Connect(t.Context(), alice(), "desktop", clientKey)
				if err != nil {
					requireCode(t, reachback.CodeRateLimited, err)
					break
				}
				_, err = w.orchestrate(call(c.Token))
				require.NoError(t, err)
			}
			w.connect(user("bob"), "desktop")
			w.dir.begin()
			most = max(most, len(w.dir.spent))
			require.LessOrEqual(t, len(w.dir.sessions), 1650)
			w.dir.mu.Unlock()
			time.Sleep(time.Second)
		}
		require.InDelta(t, 780, most, 1)
	})
}

type verifierFunc func(ctx context.Context, token string) (*reachback.User, error)

func (f verifierFunc) Verify(ctx context.Context, token string) (*reachback.User, error) {
	return f(ctx, token)
}

func TestAuthenticate(t *testing.T) {
	b := &Broker{Verifier: verifierFunc(func(_ context.Context, token string) (*reachback.User, error) {
		if token != "good" {
			return nil, reachback.Refuse(reachback.CodeTokenExpired)
		}
		return alice(), nil
	})}
	for _, tt := range []struct {
		name   string
		broker *Broker
		header []string
		code   reachback.Code
	}{
		{"good", b, []string{"Bearer good"}, ""},
		{"refused", b, []string{"Bearer bad"}, reachback.CodeTokenExpired},
		{"none", b, nil, reachback.CodeTokenMissing},
		{"another scheme", b, []string{"Basic good"}, reachback.CodeTokenMissing},
		{"two", b, []string{"Bearer good", "Bearer bad"}, reachback.CodeBadRequest},
		{"absurdly long", b, []string{"Bearer " + strings.Repeat("a", token.MaxLen+1)}, reachback.CodeTokenInvalid},
		{"nobody checks", &Broker{}, []string{"Bearer good"}, reachback.CodeTokenInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := tt.broker.Authenticate(&http.Request{Header: http.Header{"Authorization": tt.header}})
			requireCode(t, tt.code, err)
			require.Equal(t, tt.code == "", u != nil)
		})
	}
}
