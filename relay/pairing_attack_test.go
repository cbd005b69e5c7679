package relay

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/identity"
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

func TestA6_KilledSessionIsRefusedAndCut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		client, _ := w.pair("alice")
		synctest.Wait() // the report comes after both 101s
		session := w.reported()[0].Session
		w.kills <- Kill{Session: session}
		_, err := client.Read(make([]byte, 1))
		require.Error(t, err)
		synctest.Wait()
		require.Equal(t, map[reachback.Code]int64{reachback.CodeKilled: 1}, w.relay.Stats().Ended)

		// A permit that was on its way when the kill came.
		w.decide = func(context.Context, *Call) (*Permit, error) { return &Permit{Session: session, Host: "host-1"}, nil }
		requireCode(t, reachback.CodeKilled, (<-w.call("alice")).err)

		// A call that waits for its host.
		w.decide = func(context.Context, *Call) (*Permit, error) { return &Permit{Session: "s2", Host: "host-1"}, nil }
		called := w.call("alice")
		synctest.Wait()
		w.kills <- Kill{Session: "s2"}
		requireCode(t, reachback.CodeKilled, (<-called).err)
	})
}

func TestRevokedHostIsCutAndRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		client, _ := w.pair("alice")
		w.kills <- Kill{Host: "host-1"}
		_, err := client.Read(make([]byte, 1))
		require.Error(t, err)
		requireCode(t, reachback.CodeHostRevoked, (<-w.call("alice")).err)
		<-w.summons
		synctest.Wait()
		require.Equal(t, map[reachback.Code]int64{reachback.CodeHostRevoked: 1}, w.relay.Stats().Ended)

		w.trust.Revoked = func(host string) bool { return host == "host-2" }
		w.decide = func(ctx context.Context, c *Call) (*Permit, error) {
			w.summons <- c
			return &Permit{Session: "s", Host: "host-2"}, nil
		}
		w.call("bob")
		requireCode(t, reachback.CodeHostRevoked, (<-w.answer(<-w.summons, w.host("host-2"))).err)
	})
}

func TestRememberedKillsAreBounded(t *testing.T) {
	var k kills
	for i := range 3 * maxKills {
		k.add(fmt.Sprint("session ", i), reachback.CodeKilled)
	}
	require.Len(t, k.codes, maxKills)
	require.Len(t, k.order, maxKills)
	require.NoError(t, k.check(&Permit{Session: "0"}))
	require.Error(t, k.check(&Permit{Session: fmt.Sprint(2 * maxKills)}))
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

func TestB2_OfTwoHostsAtOnceOneWins(t *testing.T) {
	for _, early := range []bool{true, false} {
		refused := reachback.CodeTicketInvalid
		if early {
			refused = reachback.CodeTooManyWaiting
		}
		t.Run(fmt.Sprint("before the permit ", early), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				permit := make(chan struct{})
				w.decide = func(ctx context.Context, c *Call) (*Permit, error) {
					w.summons <- c
					<-permit
					return &Permit{Session: "s", Host: "host-1"}, nil
				}
				called := w.call("alice")
				c := <-w.summons
				if !early {
					close(permit)
					synctest.Wait()
				}
				a, b := w.answer(c, w.host("host-1")), w.answer(c, w.host("host-1"))
				if early {
					synctest.Wait()
					close(permit)
				}
				client := must(t, called)
				first, second := <-a, <-b
				if first.err != nil {
					first, second = second, first
				}
				require.NoError(t, first.err)
				requireCode(t, refused, second.err)
				requireCarries(t, client, first.leg, "to the winner")
				requireCarries(t, first.leg, client, "from the winner")
				require.Equal(t, 1, w.relay.Stats().Joined)
			})
		})
	}
}

func TestB3_RolesAreNotSwapped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		called := w.call("alice")
		c := <-w.summons
		role := func(u *url.URL) *tls.Certificate {
			return w.hostCA.issue(t, func(c *x509.Certificate) { c.URIs = []*url.URL{u} })
		}
		host := w.host("host-1")
		bearer := "Authorization: Bearer " + w.token("alice")
		for _, tt := range []struct {
			name string
			cert *tls.Certificate
			head []string
			want reachback.Code
		}{
			{"client without a certificate answers", nil, answerHead(c), reachback.CodeCertificateMissing},
			{"gateway answers", role(identity.GatewayURI("host-1")), answerHead(c), reachback.CodeWrongRole},
			{"client's token at answer", host, append(answerHead(c), bearer), reachback.CodeBadRequest},
			{"host's ticket at call", host, head(carrier.PathCall, carrier.HeaderCall+": "+c.ID, carrier.HeaderTicket+": "+string(c.Ticket)), reachback.CodeBadRequest},
			{"host's certificate at call", host, head(carrier.PathCall, carrier.HeaderNonce+": "+nonce), reachback.CodeTokenMissing},
		} {
			require.Equal(t, tt.want, w.ask(tt.cert, tt.head...), tt.name)
		}
		answered := w.answer(c, host)
		requireCarries(t, must(t, called), must(t, answered), "undisturbed")
	})
}

func TestB4_CallThatIsNotMetIsFreed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.decide = func(ctx context.Context, c *Call) (*Permit, error) {
			w.summons <- c
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		start := time.Now()
		called := w.call("alice")
		answered := w.answer(<-w.summons, w.host("host-1"))
		requireCode(t, reachback.CodeHostTimeout, (<-called).err)
		requireCode(t, reachback.CodeTicketInvalid, (<-answered).err)
		require.Equal(t, 15*time.Second, time.Since(start))

		w.decide = nil
		called = w.call("alice")
		c := <-w.summons
		requireCode(t, reachback.CodeHostTimeout, (<-called).err)
		requireCode(t, reachback.CodeTicketInvalid, (<-w.answer(c, w.host("host-1"))).err)
		synctest.Wait()
		events := w.reported()
		require.Len(t, events, 1)
		require.Equal(t, EventFailed, events[0].Kind)
		require.Equal(t, reachback.CodeHostTimeout, events[0].Code)
		require.Empty(t, w.relay.waiting)
		require.Empty(t, w.relay.perUser)
		require.Empty(t, w.relay.unverified)
		require.Empty(t, w.relay.joined)
	})
}

func TestB5_EarlyBytesAreBoundedAndKept(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		early := make([]byte, 4<<20)
		rand.Read(early)
		called, answered := make(chan *tls.Conn, 1), make(chan *tls.Conn, 1)
		impatient := func(cert *tls.Certificate, lines []string, sent *int, joined chan *tls.Conn) {
			c := w.raw(cert)
			for _, l := range append(lines, "") {
				io.WriteString(c, l+"\r\n")
			}
			go func() {
				for *sent < len(early) {
					n, err := c.Write(early[*sent:min(*sent+8<<10, len(early))])
					if *sent += n; err != nil {
						return
					}
				}
				c.CloseWrite()
			}()
			joined <- c
		}
		var sentByClient, sentByHost int
		go impatient(nil, head(carrier.PathCall, "Authorization: Bearer "+w.token("alice"), carrier.HeaderNonce+": "+nonce), &sentByClient, called)
		c := <-w.summons
		synctest.Wait()
		require.Less(t, sentByClient, 400<<10, "what the relay does not read stays with the client's socket")

		// The wrong host gets a refusal and none of the bytes.
		require.Equal(t, reachback.CodeWrongHost, w.ask(w.host("host-2"), answerHead(c)...))

		go impatient(w.host("host-1"), answerHead(c), &sentByHost, answered)
		for _, leg := range []*tls.Conn{<-called, <-answered} {
			got, err := io.ReadAll(leg)
			require.NoError(t, err)
			require.Greater(t, len(got), len(early))
			require.Equal(t, early, got[len(got)-len(early):], "behind the 101, every byte in order")
		}
	})
}

func TestB6_CallsOfOneUserAreCapped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const calls = 500
		var greedy []<-chan outcome
		w.comeFrom("192.0.2.9:1000")
		for range calls {
			greedy = append(greedy, w.call("mallory"))
		}
		synctest.Wait()
		require.Equal(t, 32, w.relay.Stats().Waiting)
		require.EqualValues(t, calls-32, w.relay.Stats().Refused[reachback.CodeTooManyWaiting])
		for range 32 {
			<-w.summons
		}
		start := time.Now()
		client, host := w.pair("alice") // even from the same address
		requireCarries(t, client, host, "in time")
		require.Zero(t, time.Since(start))
		refused := map[reachback.Code]int{}
		for _, o := range greedy {
			refused[reachback.CodeOf((<-o).err)]++
		}
		require.Equal(t, map[reachback.Code]int{reachback.CodeTooManyWaiting: calls - 32, reachback.CodeHostTimeout: 32}, refused)
		require.Empty(t, w.relay.perUser)
	})
}

func TestB6_UnverifiedRequestsOfOneAddressAreCapped(t *testing.T) {
	r := &Relay{}
	r.begin()
	defer r.Close()
	var leave []func()
	for i := range 32 {
		f, err := r.enter(remote(&http.Request{RemoteAddr: fmt.Sprintf("[2001:db8::%x]:1", i)}).Addr())
		require.NoError(t, err)
		leave = append(leave, f)
	}
	_, err := r.enter(remote(&http.Request{RemoteAddr: "[2001:db8::ffff]:1"}).Addr())
	requireCode(t, reachback.CodeTooManyWaiting, err)
	f, err := r.enter(remote(&http.Request{RemoteAddr: "[2001:db8:0:1::1]:1"}).Addr())
	require.NoError(t, err, "another /64")
	f()
	for _, f := range leave {
		f()
	}
	require.Empty(t, r.unverified)
}

func TestG13_HostThatAcceptsLateSpendsNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.decide = func(ctx context.Context, c *Call) (*Permit, error) {
			w.summons <- c
			time.Sleep(3 * time.Second) // host-1 does not accept, host-2 does
			w.summons <- c
			return &Permit{Session: "s", Host: "host-2"}, nil
		}
		called := w.call("alice")
		late := w.answer(<-w.summons, w.host("host-1"))
		c := <-w.summons
		requireCode(t, reachback.CodeWrongHost, (<-late).err)
		requireCode(t, reachback.CodeWrongHost, (<-w.answer(c, w.host("host-1"))).err)
		answered := w.answer(c, w.host("host-2"))
		requireCarries(t, must(t, called), must(t, answered), "hello")
	})
}
