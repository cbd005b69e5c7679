package broker

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
)

func TestOrchestrateSummonsTheHostAndSignsTheGrant(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		c := call(w.connect(alice(), "desktop"))
		p, err := w.orchestrate(c)
		require.NoError(t, err)
		require.Equal(t, h.id, p.Host)

		require.Len(t, h.summoned(), 1)
		s := h.summoned()[0]
		require.Equal(t, c.ID, s.Call)
		require.Equal(t, c.Ticket, s.Ticket)
		require.Equal(t, gateway, s.Gateway)
		require.Equal(t, p.Session, s.Session)
		require.Equal(t, "alice", s.User)
		require.Equal(t, "desktop", s.Resource)
		require.Equal(t, clientKey, s.ClientKey)
		require.False(t, s.Raw)

		g, err := token.VerifyGrant(w.broker.Keys.set(time.Now()), p.Grant, nonce, time.Now())
		require.NoError(t, err)
		require.Equal(t, h.id, g.Host)
		require.Equal(t, p.Session, g.Session)
		require.Equal(t, clientKey, g.ClientKey)
		require.Equal(t, s.CorrelationID, g.CorrelationID)
		key, err := certificateKey(h.agent.Identity.SessionCertificate().Leaf)
		require.NoError(t, err)
		require.Equal(t, [32]byte(key), g.HostKey)
	})
}

func TestA1_SpentConnectionTokenIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops")
		token := w.connect(alice(), "desktop")
		_, err := w.orchestrate(call(token))
		require.NoError(t, err)
		_, err = w.orchestrate(call(token))
		requireCode(t, reachback.CodeTokenReplayed, err, "same address")
		c := call(token)
		c.Remote = netip.MustParseAddrPort("198.51.100.9:1")
		_, err = w.orchestrate(c)
		requireCode(t, reachback.CodeTokenReplayed, err, "another address")
		w.broker.Gateways = append(w.broker.Gateways, "https://gw2.example")
		c = call(token)
		c.Gateway = "https://gw2.example"
		_, err = w.orchestrate(c)
		requireCode(t, reachback.CodeTokenReplayed, err, "another gateway")
	})
}

func TestA1_RawTokenRepeatsForAMinuteFromItsAddress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "open")
		token := w.connectRaw(alice(), "stock")
		first, err := w.orchestrate(rawCall(token, "192.0.2.1:1000"))
		require.NoError(t, err)
		time.Sleep(59 * time.Second)
		again, err := w.orchestrate(rawCall(token, "192.0.2.1:2000"))
		require.NoError(t, err)
		require.Equal(t, first.Session, again.Session)
		require.Equal(t, 1, w.desktops(h.id))
		_, err = w.orchestrate(rawCall(token, "192.0.2.2:1000"))
		requireCode(t, reachback.CodeTokenReplayed, err)
		time.Sleep(time.Second)
		_, err = w.orchestrate(rawCall(token, "192.0.2.1:3000"))
		requireCode(t, reachback.CodeTokenReplayed, err)
	})
}

func TestG10_RetriesOfARawClientAreOneSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "open")
		w.up("pc2", "open")
		token := w.connectRaw(alice(), "stock")
		var sessions, hosts []string
		for i := range 3 {
			c := rawCall(token, "192.0.2.1:1000")
			p, err := w.orchestrate(c)
			require.NoError(t, err)
			w.broker.Report(relay.Event{Kind: relay.EventJoined, Call: c.ID, Session: p.Session})
			if i < 2 {
				w.broker.Report(relay.Event{Kind: relay.EventEnded, Call: c.ID, Session: p.Session})
			}
			synctest.Wait()
			sessions, hosts = append(sessions, p.Session), append(hosts, p.Host)
			require.Equal(t, 1, w.desktops(p.Host))
			time.Sleep(3 * time.Second)
		}
		require.Len(t, slices.Compact(sessions), 1)
		require.Len(t, slices.Compact(hosts), 1)
		time.Sleep(time.Hour)
		require.Equal(t, SessionActive, w.state(sessions[0]))
	})
}

func TestA2_ATokenOpensItsOwnResourceOnly(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		desk, open := w.up("pc1", "desktops"), w.up("pc2", "open")
		p, err := w.orchestrate(call(w.connect(alice(), "desktop")))
		require.NoError(t, err)
		require.Equal(t, desk.id, p.Host)
		require.Empty(t, open.summoned())
		// A framed token in a raw call, where the client's key would not be asked for, and the reverse.
		_, err = w.orchestrate(rawCall(w.connect(alice(), "stock"), "192.0.2.1:1"))
		requireCode(t, reachback.CodeBadRequest, err)
		_, err = w.orchestrate(call(w.connectRaw(alice(), "stock")))
		requireCode(t, reachback.CodeBadRequest, err)
		require.Empty(t, open.summoned())
		_, err = w.orchestrate(rawCall(w.connectRaw(alice(), "stock"), "192.0.2.1:1"))
		require.NoError(t, err)
		require.Len(t, open.summoned(), 1)
	})
}

func TestA4_ForgedTokensAreRefusedByTheBrokerToo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		good := w.connect(alice(), "desktop")
		head, rest, _ := strings.Cut(good, ".")
		body, sig, _ := strings.Cut(rest, ".")
		none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"reachback-connection+jwt"}`))
		_, stranger, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		claims := &token.Connection{ID: w.dir.instance + ".x", User: *alice(), Resource: "desktop", ClientKey: clientKey}
		kid, key := w.broker.keys.signer(time.Now())
		byStranger, err := token.SignConnection(kid, stranger, claims, time.Now())
		require.NoError(t, err)
		otherKid, err := token.SignConnection("k2", key, claims, time.Now())
		require.NoError(t, err)
		grant, err := token.SignGrant(kid, key, &reachback.Grant{User: "alice"}, nonce, time.Now())
		require.NoError(t, err)
		for _, tt := range []struct {
			name, token string
			code        reachback.Code
		}{
			{"none", "", reachback.CodeTokenMissing},
			{"no algorithm", none + "." + body + ".", reachback.CodeTokenInvalid},
			{"a stranger's key", byStranger, reachback.CodeTokenInvalid},
			{"another kid", otherKid, reachback.CodeTokenInvalid},
			{"a cut signature", good[:len(good)-4], reachback.CodeTokenInvalid},
			{"an extended signature", good + "AAAA", reachback.CodeTokenInvalid},
			{"another's body", head + "." + strings.Split(byStranger, ".")[1] + "." + sig, reachback.CodeTokenInvalid},
			{"a grant", grant, reachback.CodeWrongAudience},
			{"very long", strings.Repeat("A", 1<<20), reachback.CodeTokenInvalid},
		} {
			_, err := w.orchestrate(call(tt.token))
			requireCode(t, tt.code, err, tt.name)
		}
		require.Empty(t, h.summoned())
		_, err = w.orchestrate(call(good))
		require.NoError(t, err, "none of this spent the good one")
	})
}

func TestA5_TheLeewayIsAMinute(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops")
		inTime, late := w.connect(alice(), "desktop"), w.connect(user("bob"), "desktop")
		time.Sleep(token.ConnectionLife + token.Leeway)
		_, err := w.orchestrate(call(inTime))
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = w.orchestrate(call(late))
		requireCode(t, reachback.CodeTokenExpired, err)
	})
}

func TestStaleTokenIsRefusedAfterARestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops")
		old := w.connect(alice(), "desktop")
		// The next process has the same keys and knows nothing of the old one's tokens.
		next := &Broker{Keys: w.broker.Keys, Gateways: []string{gateway}}
		defer next.Close()
		_, err := next.Orchestrate(t.Context(), call(old))
		requireCode(t, reachback.CodeTokenStale, err)
	})
}

func TestG6_HostsAreSummonedToRegisteredGatewaysOnly(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		token := w.connect(alice(), "desktop")
		for _, url := range []string{"", "https://evil.example", gateway + ".evil.example", gateway + "/x", "http://gw.example", strings.ToUpper(gateway)} {
			c := call(token)
			c.Gateway = url
			_, err := w.orchestrate(c)
			requireCode(t, reachback.CodeGatewayUnknown, err, url)
		}
		require.Empty(t, h.summoned())
		_, err := w.orchestrate(call(token))
		require.NoError(t, err)
	})
}

func TestG13_ALateAcceptChangesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		slow, quick := w.enrol("a-slow", "desktops"), w.enrol("b-quick", "desktops")
		c := slow.open() // by hand, for our agent would give up in time
		say(t, c, `{"type":"hello","versions":[1]}`)
		require.IsType(t, &welcomeMessage{}, hear(t, c))
		quick.run()
		synctest.Wait()
		go func() {
			for {
				b, err := readMessage(c)
				if err != nil {
					return
				}
				m, _ := parseMessage(b)
				switch m := m.(type) {
				case *pingMessage:
					say(t, c, `{"type":"pong"}`)
				case *summonMessage:
					time.Sleep(acceptWithin + time.Second)
					b, _ := appendMessage(nil, &acceptMessage{header{Re: m.ID}})
					c.Write(b)
				}
			}
		}()
		began := time.Now()
		p, err := w.orchestrate(call(w.connect(alice(), "desktop")))
		require.NoError(t, err)
		require.Equal(t, quick.id, p.Host)
		require.Equal(t, acceptWithin, time.Since(began))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, 2, w.broker.Stats().Channels, "a late answer is no offence")
		require.Zero(t, w.desktops(slow.id), "its slot is free")
		require.Equal(t, 1, w.desktops(quick.id))
	})
}

func TestOrchestrateOutcomes(t *testing.T) {
	refuse := func(c reachback.Code) func(context.Context, *Summon) error {
		return func(context.Context, *Summon) error { return reachback.Refuse(c) }
	}
	hang := func(ctx context.Context, _ *Summon) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	other := func(context.Context, *Summon) error { return errors.New("of its own") }
	for _, tt := range []struct {
		name    string
		answers []func(context.Context, *Summon) error
		code    reachback.Code
		takes   time.Duration
	}{
		{"the second accepts", []func(context.Context, *Summon) error{refuse(reachback.CodeTargetUnavailable), nil}, "", 0},
		{"all refuse with one code", []func(context.Context, *Summon) error{refuse(reachback.CodeTargetUnavailable), refuse(reachback.CodeTargetUnavailable)}, reachback.CodeTargetUnavailable, 0},
		{"refusals differ", []func(context.Context, *Summon) error{refuse(reachback.CodeTargetUnavailable), refuse(reachback.CodeDraining)}, reachback.CodeHostRefused, 0},
		{"a reason of its own", []func(context.Context, *Summon) error{other}, reachback.CodeHostRefused, 0},
		{"a code that is none", []func(context.Context, *Summon) error{refuse("abracadabra")}, reachback.CodeHostRefused, 0},
		{"one is silent", []func(context.Context, *Summon) error{hang, refuse(reachback.CodeDraining)}, reachback.CodeHostTimeout, acceptWithin},
		{"all are silent", []func(context.Context, *Summon) error{hang, hang, hang, hang, hang, hang}, reachback.CodeHostTimeout, 15 * time.Second},
		{"nobody is there", nil, reachback.CodeNoHost, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var hosts []*host
				for i, a := range tt.answers {
					h := w.up(fmt.Sprint("pc", i), "desktops")
					h.answers(a)
					hosts = append(hosts, h)
				}
				token := w.connect(alice(), "desktop")
				began := time.Now()
				p, err := w.orchestrate(call(token))
				requireCode(t, tt.code, err)
				require.Equal(t, tt.takes, time.Since(began))
				synctest.Wait()
				for i, h := range hosts {
					if err == nil && p.Host == h.id {
						require.Equal(t, 1, w.desktops(h.id))
						continue
					}
					require.Zero(t, w.desktops(h.id), "slot of host %d", i)
				}
				_, err = w.orchestrate(call(token))
				requireCode(t, reachback.CodeTokenReplayed, err, "the token stays spent")
			})
		})
	}
}

func TestOrchestrateAnswersACallOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		h.answers(func(context.Context, *Summon) error { time.Sleep(time.Second); return nil })
		c := call(w.connect(alice(), "desktop"))
		permits := make([]*relay.Permit, 8)
		var wg sync.WaitGroup
		for i := range permits {
			wg.Go(func() {
				p, err := w.orchestrate(c)
				require.NoError(t, err)
				permits[i] = p
			})
		}
		wg.Wait()
		for _, p := range permits {
			require.Same(t, permits[0], p)
		}
		require.Len(t, h.summoned(), 1)
		p, err := w.orchestrate(c)
		require.NoError(t, err)
		require.Same(t, permits[0], p)

		guess := *c
		guess.Ticket = "guessed"
		_, err = w.orchestrate(&guess)
		requireCode(t, reachback.CodeBadRequest, err)
	})
}

func TestDecisionsAreForgotten(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops")
		c := call(w.connect(alice(), "desktop"))
		p, err := w.orchestrate(c)
		require.NoError(t, err)
		time.Sleep(keepDecision - time.Second)
		again, err := w.orchestrate(c)
		require.NoError(t, err)
		require.Same(t, p, again)
		require.Equal(t, 1, w.broker.Stats().Deciding)
		time.Sleep(forgetEvery + time.Second)
		require.Zero(t, w.broker.Stats().Deciding)

		// Neither can a flood of calls be remembered.
		now := time.Now()
		d := decisions{byCall: make(map[string]*decision)}
		for i := range 2 * maxDecisions {
			made := &decision{call: fmt.Sprint(i)}
			d.byCall[made.call] = made
			d.keep(made, now)
		}
		require.Len(t, d.byCall, maxDecisions)
		require.Len(t, d.made, maxDecisions)
		require.Contains(t, d.byCall, fmt.Sprint(2*maxDecisions-1))
	})
}

func TestOrchestrateChecksTheAssignmentAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops")
		token := w.connect(alice(), "desktop")
		require.NoError(t, w.dir.Apply(w.t.Context(), &Seed{Pools: []SeedPool{{Name: "desktops"}}, Resources: []SeedResource{{ID: "desktop", Pool: "desktops"}}}))
		_, err := w.orchestrate(call(token))
		requireCode(t, reachback.CodeNotAssigned, err)
	})
}

func TestRecordFollowsTheCall(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		c, p := w.joined(alice(), "desktop")
		require.Equal(t, SessionActive, w.state(p.Session))
		w.broker.Report(relay.Event{Kind: relay.EventEnded, Call: c.ID, Session: p.Session, Code: reachback.CodeClosed})
		synctest.Wait()
		require.Equal(t, SessionEnded, w.state(p.Session))
		require.Equal(t, 1, w.desktops(h.id), "the desktop goes on")

		c = call(w.connect(user("bob"), "desktop"))
		p, err := w.orchestrate(c)
		require.NoError(t, err)
		w.broker.Report(relay.Event{Kind: relay.EventFailed, Call: c.ID, Session: p.Session, Code: reachback.CodeHostTimeout})
		synctest.Wait()
		require.Equal(t, SessionEnded, w.state(p.Session))
		require.Equal(t, 1, w.desktops(h.id), "nothing came of bob's")
	})
}
