package oidc_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker/oidc"
)

// TestA9_KeysRotateWithoutARestart follows an issuer through a rotation: the new
// key is taken at its first token, the old one until it is withdrawn, or an hour
// later where nothing made the verifier ask.
func TestA9_KeysRotateWithoutARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &idp{keys: []jose.JSONWebKey{public("1", ecKey())}}
		v := p.verifier(t)
		verify := func(kid string, key any) reachback.Code {
			_, err := v.Verify(t.Context(), sign(t, jose.ES256, kid, key, good()))
			return reachback.CodeOf(err)
		}
		require.Empty(t, verify("1", ecKey()))
		require.Equal(t, reachback.CodeTokenInvalid, verify("2", otherKey()), "before it is published")

		p.change(func(p *idp) { p.keys = append(p.keys, public("2", otherKey())) })
		require.Equal(t, reachback.CodeTokenInvalid, verify("2", otherKey()), "the issuer was asked twice a moment ago")
		time.Sleep(10 * time.Second)
		require.Empty(t, verify("2", otherKey()))
		require.Empty(t, verify("1", ecKey()))

		p.change(func(p *idp) { p.keys = p.keys[1:] })
		require.Empty(t, verify("1", ecKey()), "nothing has made it ask")
		time.Sleep(time.Hour)
		require.Equal(t, reachback.CodeTokenInvalid, verify("1", ecKey()), "withdrawn")
		require.Empty(t, verify("2", otherKey()))

		// One that keeps the name and changes the key.
		time.Sleep(10 * time.Second)
		p.change(func(p *idp) { p.keys = []jose.JSONWebKey{public("2", ecKey())} })
		require.Empty(t, verify("2", ecKey()))
		require.Equal(t, reachback.CodeTokenInvalid, verify("2", otherKey()))
	})
}

// TestA9_IssuerThatIsDown is an issuer that answers nothing or rubbish: who has a
// known key notices nothing for a day, everybody else is told to try again.
func TestA9_IssuerThatIsDown(t *testing.T) {
	rubbish := func(body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, body)
			return true
		}
	}
	onlyKeys := func(f func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/jwks") && f(w, r)
		}
	}
	for _, tt := range []struct {
		name string
		down func(p *idp)
		want string // in the error of Check
	}{
		{"answers 500", func(p *idp) {
			p.answer = func(w http.ResponseWriter, _ *http.Request) bool { http.Error(w, "SECRET TRACE", 500); return true }
		}, "answered 500"},
		{"hangs", func(p *idp) { p.delay = time.Hour }, "deadline exceeded"},
		{"answers a page", func(p *idp) { p.answer = rubbish("<html>") }, "discovery"},
		{"answers without end", func(p *idp) { p.answer = rubbish(strings.Repeat(" ", 1<<20)) }, "longer than"},
		{"is another", func(p *idp) { p.issuer = "https://idp.example.test/" }, "did not match"},
		{"has keys that are none", func(p *idp) { p.answer = onlyKeys(rubbish(`{"keys":"x"}`)) }, "not a JSON Web Key Set"},
		{"has no keys", func(p *idp) { p.keys = nil }, "no public key"},
		{"has keys it should not show", func(p *idp) { p.keys = []jose.JSONWebKey{{KeyID: "1", Key: ecKey()}} }, "no public key"},
		{"has keys on a file system", func(p *idp) { p.jwks = "file:///etc/passwd" }, "not https"},
		{"has keys without TLS", func(p *idp) { p.jwks = "http://127.0.0.1:1/jwks" }, "not https"},
		{"redirects elsewhere", func(p *idp) {
			p.issuer = issuerURL
			p.answer = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Host == "elsewhere.example.test" {
					return false // there everything is as it should be
				}
				http.Redirect(w, r, "https://elsewhere.example.test"+r.URL.Path, http.StatusFound)
				return true
			}
		}, "redirected"},
		{"redirects for ever", func(p *idp) {
			p.answer = func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, r.URL.String(), http.StatusFound)
				return true
			}
		}, "redirected"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &idp{keys: []jose.JSONWebKey{public("1", ecKey())}}
				v := p.verifier(t)
				known := func() reachback.Code {
					_, err := v.Verify(t.Context(), sign(t, jose.ES256, "1", ecKey(), good()))
					return reachback.CodeOf(err)
				}
				require.NoError(t, v.Check(t.Context()))
				p.change(tt.down)
				time.Sleep(time.Minute)
				require.Empty(t, known())
				_, err := v.Verify(t.Context(), sign(t, jose.ES256, "2", otherKey(), good()))
				require.Equal(t, reachback.CodeUnavailable, reachback.CodeOf(err), "%v", err)
				require.ErrorContains(t, err, tt.want)
				require.NotContains(t, err.Error(), "SECRET TRACE")
				_, err = v.Verify(t.Context(), sign(t, jose.ES256, "1", otherKey(), good()))
				require.Equal(t, reachback.CodeTokenInvalid, reachback.CodeOf(err), "forged with a known key: %v", err)

				for range 23 {
					time.Sleep(time.Hour)
					start := time.Now()
					require.Empty(t, known())
					require.Zero(t, time.Since(start), "known keys wait for nobody")
				}
				time.Sleep(time.Hour)
				require.Equal(t, reachback.CodeUnavailable, known(), "after a day")

				p.change(func(q *idp) {
					*q = idp{keys: []jose.JSONWebKey{public("1", ecKey())}}
					q.mu.Lock() // change unlocks it
				})
				time.Sleep(10 * time.Second)
				require.Empty(t, known(), "back without a restart")

				start := time.Now()
				p.change(tt.down)
				fresh := p.verifier(t)
				err = fresh.Check(t.Context())
				require.ErrorContains(t, err, tt.want)
				require.LessOrEqual(t, time.Since(start), 8*time.Second)
				_, err = fresh.Verify(t.Context(), sign(t, jose.ES256, "1", ecKey(), good()))
				require.Equal(t, reachback.CodeUnavailable, reachback.CodeOf(err))
			})
		})
	}
}

// Whatever strangers make up, the issuer is asked once in ten seconds and once more, and callers
// at one time share one answer.
func TestFloodOfUnknownKeysReachesTheIssuerRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &idp{keys: []jose.JSONWebKey{public("1", ecKey())}, delay: time.Second}
		v := p.verifier(t)
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				for j := range 100 {
					_, err := v.Verify(t.Context(), sign(t, jose.ES256, fmt.Sprint("k", i, "-", j), otherKey(), good()))
					require.Equal(t, reachback.CodeTokenInvalid, reachback.CodeOf(err), "%v", err)
					time.Sleep(time.Second)
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(t, p.count(), 2+int(time.Since(start)/(10*time.Second)))
		require.EqualValues(t, p.count(), v.Stats().Fetches)

		// Tokens of others never do.
		before := p.count()
		time.Sleep(time.Minute)
		for _, c := range []map[string]any{{"iss": "https://other.example.test"}, {"aud": "other"}} {
			_, err := v.Verify(t.Context(), sign(t, jose.ES256, "x", otherKey(), good(c)))
			require.Error(t, err)
		}
		require.Equal(t, before, p.count())
	})
}

// A caller who gives up leaves the others their answer, and Close waits for nobody
// else.
func TestWaitingForTheIssuerEndsWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &idp{keys: []jose.JSONWebKey{public("1", ecKey())}, delay: 2 * time.Second}
		v := p.verifier(t)
		token := sign(t, jose.ES256, "1", ecKey(), good())
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := v.Verify(impatient, token)
			require.Equal(t, reachback.CodeUnavailable, reachback.CodeOf(err))
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
		wg.Go(func() {
			_, err := v.Verify(t.Context(), token)
			require.NoError(t, err)
		})
		wg.Wait()
		require.Equal(t, 1, p.count())

		p.change(func(p *idp) { p.delay = time.Hour })
		time.Sleep(2 * time.Hour)
		wg.Go(func() { v.Check(t.Context()) })
		time.Sleep(time.Second)
		start := time.Now()
		v.Close()
		wg.Wait()
		require.Zero(t, time.Since(start))
	})
}

// An issuer at a server of its own, found over TLS, whose keys are elsewhere.
func TestIssuerBehindTLS(t *testing.T) {
	p := &idp{keys: []jose.JSONWebKey{public("1", ecKey())}}
	server := httptest.NewUnstartedServer(p)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	keys := httptest.NewTLSServer(p) // of the same authority
	defer keys.Close()
	p.change(func(p *idp) { p.jwks = keys.URL + "/tenant/jwks" })

	issuer := server.URL + "/tenant"
	token := sign(t, jose.ES256, "1", ecKey(), good(map[string]any{"iss": issuer}))
	v := &oidc.Verifier{Issuer: issuer, Audience: audience, HTTP: server.Client()}
	defer v.Close()
	u, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, issuer, u.Issuer)

	stranger := &oidc.Verifier{Issuer: issuer, Audience: audience}
	defer stranger.Close()
	require.ErrorContains(t, stranger.Check(t.Context()), "certificate")
}
