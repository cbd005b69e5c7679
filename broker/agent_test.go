package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

func TestBackOffDoublesToItsBound(t *testing.T) {
	r := &redial{}
	most := time.Duration(0)
	for n := range 200 {
		wait := r.next(reachback.CodeBrokerUnreachable, time.Now())
		require.Less(t, wait, min(backoffBase<<min(n, 10), backoffMost))
		most = max(most, wait)
	}
	require.Greater(t, most, backoffMost*9/10, "full jitter reaches the bound")
	require.GreaterOrEqual(t, r.next(reachback.CodeSuperseded, time.Now()), supersededWait)
	require.GreaterOrEqual(t, r.next(reachback.CodeDuplicateHost, time.Now()), backoffMost)
}

func TestF1_HostsComeBackAfterAnOutage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.enrol("pc1", "desktops")
		var attempts atomic.Int64
		dial := h.agent.NetDial
		h.agent.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			attempts.Add(1)
			return dial(ctx, network, addr)
		}
		h.run()
		synctest.Wait()
		w.broker.Close()
		w.server.Close()
		w.serving.Wait()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.Greater(t, attempts.Load(), int64(10*60/30), "it goes on trying")
		require.Less(t, attempts.Load(), int64(200), "and not too often")

		w.broker = &Broker{Keys: w.broker.Keys, Directory: w.dir, Gateways: []string{gateway}, Logger: w.logger()}
		w.serve()
		time.Sleep(backoffMost)
		synctest.Wait()
		require.Equal(t, 1, w.broker.Stats().Channels)
		// A channel that stood starts the count again.
		time.Sleep(stableAfter)
		n := attempts.Load()
		w.lastConn().Cut()
		time.Sleep(backoffBase)
		synctest.Wait()
		require.Equal(t, n+1, attempts.Load())
	})
}

func TestAgentHonoursTheTimeOfARestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var hosts []*host
		for range 20 {
			hosts = append(hosts, w.up("", "desktops"))
		}
		n := w.dials()
		began := time.Now()
		require.NoError(t, w.broker.Shutdown(t.Context()))
		require.Zero(t, time.Since(began), "all leave when told")
		w.broker = &Broker{Keys: w.broker.Keys, Directory: w.dir, Gateways: []string{gateway}, Logger: w.logger()}
		w.server.Handler = w.broker
		time.Sleep(400 * time.Millisecond)
		require.Equal(t, n, w.dials(), "nobody is early")
		time.Sleep(smear / 2)
		early := w.broker.Stats().Channels
		require.NotZero(t, early)
		require.Less(t, early, len(hosts), "they come one after the other")
		time.Sleep(smear)
		require.Equal(t, len(hosts), w.broker.Stats().Channels)
		require.Equal(t, n+len(hosts), w.dials(), "one attempt each")
	})
}

func TestAgentEndsAtAFinalRefusal(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.newcomer()
		requireCode(t, reachback.CodeCertificateMissing, h.agent.Run(t.Context(), h))

		wrongCA := w.enrol("pc1", "desktops")
		wrongCA.agent.TLS = nil
		requireCode(t, reachback.CodeCertificateUntrusted, wrongCA.agent.Run(t.Context(), wrongCA))
		_, err := wrongCA.agent.Enrol(t.Context(), EnrolOptions{Token: w.token("desktops", time.Hour, 1)})
		requireCode(t, reachback.CodeCertificateUntrusted, err)
		require.Contains(t, err.Error(), server)

		wrongURL := w.enrol("pc2", "desktops")
		wrongURL.agent.Server = server + "/elsewhere"
		requireCode(t, reachback.CodeNotFound, wrongURL.agent.Run(t.Context(), wrongURL))

		nowhere := w.enrol("pc3", "desktops")
		nowhere.agent.Server = "https://nowhere.example"
		_, err = nowhere.agent.Enrol(t.Context(), EnrolOptions{Token: "x"})
		requireCode(t, reachback.CodeBrokerUnreachable, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.ErrorIs(t, nowhere.agent.Run(ctx, nowhere), context.DeadlineExceeded, "that may pass")
	})
}

func TestAgentRenewsItsCertificate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.enrol("pc1", "desktops")
		first := w.certified(h.agent.Identity, RoleHost, IdentityLife*2/3-time.Minute)
		h.run()
		synctest.Wait()
		require.Same(t, first, h.agent.Identity.Certificate(), "not before its time")
		time.Sleep(time.Minute)
		synctest.Wait()
		second := h.agent.Identity.Certificate()
		require.NotEqual(t, first.Leaf.SerialNumber, second.Leaf.SerialNumber)
		require.Equal(t, h.id, h.agent.Identity.Host())
		require.Equal(t, first.Leaf.PublicKey, second.Leaf.PublicKey)
		require.Len(t, h.welcomes, 1, "on the same channel")
		require.EqualValues(t, 1, w.broker.Stats().Renewed)

		// It carries over the end of the first, and is itself renewed at once
		// when the host was off at the time.
		h.stop()
		w.certified(h.agent.Identity, RoleHost, IdentityLife*3/4)
		h.run()
		synctest.Wait()
		require.Len(t, h.welcomes, 2)
		require.EqualValues(t, 2, w.broker.Stats().Renewed)
	})
}

func TestRenewalIsForTheHostsOwnKey(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		other := w.newcomer()
		csr, err := other.agent.Identity.csr()
		require.NoError(t, err)
		_, err = w.broker.renew(t.Context(), h.id, csr)
		requireCode(t, reachback.CodeCSRInvalid, err)
		_, err = w.broker.renew(t.Context(), h.id, []byte("garbage"))
		requireCode(t, reachback.CodeCSRInvalid, err)
		csr, err = h.agent.Identity.csr()
		require.NoError(t, err)
		require.NoError(t, w.dir.RevokeHost(t.Context(), h.id))
		_, err = w.broker.renew(t.Context(), h.id, csr)
		requireCode(t, reachback.CodeHostRevoked, err)
	})
}

func TestAgentReportsInFullAndThenChanges(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		_, one := w.joined(alice(), "desktop")
		_, two := w.joined(user("bob"), "desktop")
		h.agent.Report(SessionReport{Session: one.Session, State: ReportEnded, Code: reachback.CodeClosed})
		synctest.Wait()
		require.Equal(t, SessionEnded, w.state(one.Session))
		require.Equal(t, SessionActive, w.state(two.Session))
		w.lastConn().Cut()
		synctest.Wait()
		h.agent.Report(SessionReport{Session: two.Session, State: ReportEnded, Code: reachback.CodeClosed}) // waits for a channel
		h.lives(SessionReport{Session: one.Session, State: ReportActive})
		time.Sleep(backoffBase)
		synctest.Wait()
		require.Equal(t, SessionActive, w.state(one.Session))
		require.Equal(t, SessionEnded, w.state(two.Session))
	})
}

func TestApplicationMessagesGoBothWays(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.broker.OnMessage = func(_ context.Context, host string, m *Message) (*Message, error) {
			return &Message{Topic: m.Topic, Body: json.RawMessage(`"` + host + `"`)}, nil
		}
		h := w.enrol("pc1", "desktops")
		h.agent.OnMessage = func(ctx context.Context, m *Message) (*Message, error) {
			switch m.Topic {
			case "fail":
				return nil, errors.New("a secret of the host's")
			case "hang":
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			return &Message{Body: m.Body}, nil
		}
		h.run()
		synctest.Wait()
		got, err := w.broker.Send(t.Context(), h.id, &Message{Topic: "echo", Body: json.RawMessage(`{"n":1}`)})
		require.NoError(t, err)
		require.JSONEq(t, `{"n":1}`, string(got.Body))
		got, err = h.agent.Send(t.Context(), &Message{Topic: "who"})
		require.NoError(t, err)
		require.JSONEq(t, `"`+h.id+`"`, string(got.Body))
		_, err = w.broker.Send(t.Context(), h.id, &Message{Topic: "fail"})
		requireCode(t, reachback.CodeInternal, err)
		require.NotContains(t, err.Error(), "secret")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = w.broker.Send(ctx, h.id, &Message{Topic: "hang"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		// One that waits when the channel ends gets an answer.
		go func() { time.Sleep(time.Second); w.lastConn().Cut() }()
		_, err = w.broker.Send(t.Context(), h.id, &Message{Topic: "hang"})
		requireCode(t, reachback.CodeHostNotConnected, err)
	})
}

func TestAgentDrainsAcrossChannels(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		h.agent.Drain(true)
		w.lastConn().Cut()
		time.Sleep(backoffBase)
		synctest.Wait()
		require.True(t, w.dir.hosts[h.id].draining)
		_, err := w.orchestrate(call(w.connect(alice(), "desktop")))
		requireCode(t, reachback.CodeNoHost, err)
	})
}

func TestSummonsAreBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "open")
		release := make(chan struct{})
		h.answers(func(context.Context, *Summon) error { <-release; return nil })
		codes := make(chan reachback.Code, maxSummons+1)
		for i := range maxSummons + 1 {
			token := w.connect(user(fmt.Sprint("user", i)), "stock")
			go func() {
				_, err := w.orchestrate(call(token))
				codes <- reachback.CodeOf(err)
			}()
		}
		synctest.Wait()
		require.Equal(t, reachback.CodeTooManyWaiting, <-codes)
		close(release)
		for range maxSummons {
			require.Empty(t, <-codes)
		}
	})
}

// Users who come and go cannot make their host lose its channel.
func TestCallsDoNotUseUpAHostsMessages(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		epoch := h.epoch()
		w.broker.connects.Burst = 2 * messageBurst // of all of a host's users
		for range 2 * messageBurst {
			p, err := w.orchestrate(call(w.connect(alice(), "desktop")))
			require.NoError(t, err)
			h.agent.Report(SessionReport{Session: p.Session, State: ReportActive})
			h.agent.Report(SessionReport{Session: p.Session, State: ReportEnded, Code: reachback.CodeClosed})
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		require.Equal(t, epoch, h.epoch())
	})
}

// All sessions of a host can end at once, with their gateway.
func TestManyChangesGoInFewMessages(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		epoch := h.epoch()
		w.broker.connects.Burst = 3 * queueLength
		var sessions []string
		for range 3 * queueLength {
			_, p := w.joined(alice(), "desktop")
			sessions = append(sessions, p.Session)
		}
		for _, s := range sessions {
			h.agent.Report(SessionReport{Session: s, State: ReportEnded, Code: reachback.CodePathLost})
		}
		time.Sleep(time.Second)
		require.Equal(t, epoch, h.epoch())
		for _, s := range sessions {
			require.Equal(t, SessionEnded, w.state(s))
		}
	})
}
