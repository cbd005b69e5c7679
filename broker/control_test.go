package broker

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/limit"
	"github.com/reachback/reachback/relay"
)

// open opens a control channel by hand with the host's identity.
func (h *host) open() *carrier.Conn {
	h.w.t.Helper()
	d := &carrier.Dialer{TLS: h.w.tls, NetDial: h.w.dial}
	c, err := d.Upgrade(h.w.t.Context(), server, carrier.PathControl, nil, h.agent.Identity.Certificate(), reachback.CodeBrokerUnreachable)
	require.NoError(h.w.t, err)
	h.w.t.Cleanup(func() { c.Abort() })
	return c
}

func say(t testing.TB, c io.Writer, text string) {
	t.Helper()
	_, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	require.NoError(t, err)
}

// hear returns the next message that is no ping.
func hear(t testing.TB, c io.Reader) message {
	t.Helper()
	for {
		b, err := readMessage(c)
		require.NoError(t, err)
		m, err := parseMessage(b)
		require.NoError(t, err)
		if _, ok := m.(*pingMessage); !ok {
			return m
		}
	}
}

// closedWith reads until the channel's end and requires that it was for code.
func closedWith(t testing.TB, c io.Reader, code reachback.Code) {
	t.Helper()
	for {
		m := hear(t, c)
		if m, ok := m.(*closeMessage); ok {
			require.Equal(t, code, m.Code)
			_, err := readMessage(c)
			require.ErrorIs(t, err, io.EOF)
			return
		}
	}
}

func TestChannelStandsAsLongAsBothEndsBeat(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		time.Sleep(time.Hour)
		require.Equal(t, 2, w.dials(), "one to enrol, one to stay")
		require.Len(t, h.welcomes, 1)
		require.Equal(t, 1, w.broker.Stats().Channels)
	})
}

func TestFrozenChannelIsFoundDeadByBothEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.up("pc1", "desktops")
		frozen := time.Now()
		w.lastConn().Freeze()
		time.Sleep(DeadAfter - Heartbeat - time.Millisecond)
		require.Equal(t, 1, w.broker.Stats().Channels)
		time.Sleep(Heartbeat + closeWithin + backoffBase + 2*time.Millisecond)
		synctest.Wait()
		require.Contains(t, w.logs.String(), string(reachback.CodeHeartbeatLost))
		require.Equal(t, 3, w.dials(), "the agent came back")
		require.LessOrEqual(t, time.Since(frozen), DeadAfter+2*time.Second)
		require.Equal(t, 1, w.broker.Stats().Channels)
		require.Len(t, h.welcomes, 2)
	})
}

func TestCutChannelIsNoticedAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops")
		w.lastConn().Cut()
		synctest.Wait()
		require.Zero(t, w.broker.Stats().Channels)
		_, err := w.orchestrate(call(w.connect(alice(), "desktop")))
		requireCode(t, reachback.CodeNoHost, err)
		time.Sleep(backoffBase)
		synctest.Wait()
		require.Equal(t, 1, w.broker.Stats().Channels)
	})
}

func TestB13_NewChannelFencesTheGhost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.enrol("pc1", "desktops")
		ghost := h.open()
		say(t, ghost, `{"type":"hello","versions":[1]}`)
		first := hear(t, ghost).(*welcomeMessage)
		_, p := func() (*relay.Call, *relay.Permit) { // a session that the ghost was summoned for
			c := call(w.connect(alice(), "desktop"))
			done := make(chan *relay.Permit, 1)
			go func() {
				p, _ := w.orchestrate(c)
				done <- p
			}()
			s := hear(t, ghost).(*summonMessage)
			b, err := appendMessage(nil, &acceptMessage{header{Re: s.ID}})
			require.NoError(t, err)
			_, err = ghost.Write(b)
			require.NoError(t, err)
			return c, <-done
		}()
		w.broker.Report(relay.Event{Kind: relay.EventJoined, Call: "c", Session: p.Session})

		// The machine comes back while its old connection is still half open.
		back := time.Now()
		h.lives(SessionReport{Session: p.Session, State: ReportActive})
		h.run()
		synctest.Wait()
		require.Greater(t, h.epoch(), first.Epoch)
		permit, err := w.orchestrate(call(w.connect(user("bob"), "desktop")))
		require.NoError(t, err)
		require.Equal(t, h.id, permit.Host)
		require.Len(t, h.summoned(), 1)
		require.Less(t, time.Since(back), 2*Heartbeat)

		// What the ghost says now changes nothing, and it is told to go.
		say(t, ghost, `{"type":"drain","on":true}`)
		say(t, ghost, `{"type":"sessions","full":true,"sessions":[]}`)
		closedWith(t, ghost, reachback.CodeSuperseded)
		synctest.Wait()
		require.Equal(t, SessionActive, w.state(p.Session))
		_, err = w.orchestrate(call(w.connect(user("carol"), "desktop")))
		require.NoError(t, err, "the host is not in drain")

		// Nor can its end take the new channel away.
		ghost.Abort()
		synctest.Wait()
		require.Equal(t, 1, w.broker.Stats().Channels)
		require.NoError(t, w.dir.Detach(t.Context(), h.id, first.Epoch))
		require.NoError(t, w.dir.Drain(t.Context(), h.id, first.Epoch, true))
		_, err = w.dir.HostReport(t.Context(), h.id, first.Epoch, false, []SessionReport{{Session: p.Session, State: ReportEnded}})
		require.NoError(t, err)
		require.Equal(t, SessionActive, w.state(p.Session))
		w.joined(user("dora"), "desktop")
	})
}

func TestB10_AChannelSpeaksForItsOwnHostOnly(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		one := w.up("pc1", "desktops")
		_, p := w.joined(alice(), "desktop")
		two := w.enrol("pc2", "desktops")
		c := two.open()
		say(t, c, `{"type":"hello","versions":[1],"host":"`+one.id+`"}`)
		require.Equal(t, two.id, hear(t, c).(*welcomeMessage).Host)
		say(t, c, `{"type":"sessions","host":"`+one.id+`","full":true,"sessions":[{"session":"`+p.Session+`","state":"ended"}]}`)
		say(t, c, `{"type":"drain","host":"`+one.id+`","on":true}`)
		synctest.Wait()
		require.Equal(t, SessionActive, w.state(p.Session))
		require.EqualValues(t, 1, w.broker.Stats().UnknownSessions)
		require.False(t, w.dir.hosts[one.id].draining)
	})
}

func TestG4_SessionsThatTheBrokerDidNotMakeAreRecordedAndIgnored(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		liar := w.enrol("a-liar", "desktops") // first by name
		liar.lives(SessionReport{Session: randomID(16), State: ReportActive}, SessionReport{Session: "", State: ReportActive})
		liar.run()
		synctest.Wait()
		require.EqualValues(t, 2, w.broker.Stats().UnknownSessions)
		require.Contains(t, w.logs.String(), "host reports sessions that were not made for it")
		require.Zero(t, w.desktops(liar.id))

		// Not even another host's session brings its user over.
		honest := w.up("b-honest", "desktops")
		liar.agent.Drain(true)
		synctest.Wait()
		_, p := w.joined(alice(), "desktop")
		require.Equal(t, honest.id, p.Host)
		liar.agent.Drain(false)
		liar.agent.Report(SessionReport{Session: p.Session, State: ReportActive})
		liar.agent.Report(SessionReport{Session: p.Session, State: ReportEnded})
		synctest.Wait()
		require.Zero(t, w.desktops(liar.id))
		require.Equal(t, SessionActive, w.state(p.Session))
		_, again := w.joined(alice(), "desktop")
		require.Equal(t, honest.id, again.Host)
	})
}

func TestDuplicateHostsAreFoundOutAndRecover(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		one := w.enrol("pc1", "desktops").run()
		two := w.host(one.agent.Identity).run()
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		require.Contains(t, w.logs.String(), `"code":"duplicate_host"`)
		_, err := w.orchestrate(call(w.connect(alice(), "desktop")))
		requireCode(t, reachback.CodeNoHost, err)
		require.Less(t, w.dials(), 20, "they do not flap")

		two.stop()
		time.Sleep(backoffMost*3/2 + DuplicateWindow + time.Second)
		_, err = w.orchestrate(call(w.connect(alice(), "desktop")))
		require.NoError(t, err)
	})
}

func TestChannelRefusals(t *testing.T) {
	hello := `{"type":"hello","versions":[1]}`
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, c *carrier.Conn)
		code reachback.Code
	}{
		{"a ping before hello", func(t *testing.T, c *carrier.Conn) { say(t, c, `{"type":"ping"}`) }, reachback.CodeProtocolError},
		{"an unknown type before hello", func(t *testing.T, c *carrier.Conn) { say(t, c, `{"type":"new"}`) }, reachback.CodeProtocolError},
		{"silence before hello", func(t *testing.T, c *carrier.Conn) { time.Sleep(helloWithin) }, reachback.CodeHeartbeatLost},
		{"a byte now and then", func(t *testing.T, c *carrier.Conn) {
			for range 3 {
				_, err := c.Write([]byte{0})
				require.NoError(t, err)
				time.Sleep(2 * time.Second)
			}
		}, reachback.CodeHeartbeatLost},
		{"something else than hello", func(t *testing.T, c *carrier.Conn) { say(t, c, `{"type":"drain","on":true}`) }, reachback.CodeProtocolError},
		{"no version in common", func(t *testing.T, c *carrier.Conn) { say(t, c, `{"type":"hello","versions":[2,3]}`) }, reachback.CodeVersionUnsupported},
		{"a second hello", func(t *testing.T, c *carrier.Conn) { say(t, c, hello); say(t, c, hello) }, reachback.CodeProtocolError},
		{"no object", func(t *testing.T, c *carrier.Conn) { say(t, c, `[]`) }, reachback.CodeProtocolError},
		{"no type", func(t *testing.T, c *carrier.Conn) { say(t, c, `{}`) }, reachback.CodeProtocolError},
		{"a key twice", func(t *testing.T, c *carrier.Conn) { say(t, c, `{"type":"hello","type":"hello","versions":[1]}`) }, reachback.CodeProtocolError},
		{"an empty message", func(t *testing.T, c *carrier.Conn) { say(t, c, "") }, reachback.CodeProtocolError},
		{"a length over the cap", func(t *testing.T, c *carrier.Conn) {
			_, err := c.Write(binary.BigEndian.AppendUint32(nil, MaxMessage+1))
			require.NoError(t, err)
		}, reachback.CodeMessageTooLarge},
		{"the greatest length", func(t *testing.T, c *carrier.Conn) {
			_, err := c.Write([]byte{0xff, 0xff, 0xff, 0xff})
			require.NoError(t, err)
		}, reachback.CodeMessageTooLarge},
		{"a report of too many sessions", func(t *testing.T, c *carrier.Conn) {
			say(t, c, hello)
			say(t, c, `{"type":"sessions","sessions":[{}`+strings.Repeat(",{}", maxReported)+`]}`)
		}, reachback.CodeProtocolError},
		{"a flood", func(t *testing.T, c *carrier.Conn) {
			say(t, c, hello)
			for range messageBurst + 1 {
				say(t, c, `{"type":"ahem"}`)
			}
		}, reachback.CodeRateLimited},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.enrol("pc1", "desktops").open()
				tt.run(t, c)
				closedWith(t, c, tt.code)
				time.Sleep(closeWithin) // it does not leave by itself
				synctest.Wait()
				require.Zero(t, w.broker.Stats().Channels)
			})
		})
	}
}

func TestUnknownTypesAndFieldsAreIgnored(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.enrol("pc1", "desktops").open()
		say(t, c, `{"type":"hello","versions":[1,7],"colour":"blue"}`)
		require.IsType(t, &welcomeMessage{}, hear(t, c))
		say(t, c, `{"type":"dance","id":3,"steps":[1,2]}`)
		say(t, c, `{"type":"accept","re":99}`) // an answer that nobody waits for
		say(t, c, `{"type":"ping","id":5,"x":1}`)
		require.EqualValues(t, 5, hear(t, c).(*pongMessage).Re)
	})
}

func TestAHostThatDoesNotReadLosesItsChannel(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.enrol("pc1", "desktops")
		c := h.open()
		say(t, c, `{"type":"hello","versions":[1]}`)
		synctest.Wait()
		body := json.RawMessage(`"` + strings.Repeat("x", 60<<10) + `"`)
		for range hostQueue + 10 { // BufferSize takes some, the queue the rest
			go w.broker.Send(t.Context(), h.id, &Message{Topic: "t", Body: body})
		}
		time.Sleep(writeWithin + closeWithin)
		synctest.Wait()
		require.Zero(t, w.broker.Stats().Channels)
		require.EqualValues(t, 1, w.broker.Stats().Overflows)
	})
}

func TestRequestsForAControlChannel(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.enrol("pc1", "desktops")
		other := newWorldKeys(t)
		foreign, err := NewIdentity()
		require.NoError(t, err)
		der, err := other.hosts.identityCertificate(RoleHost, h.id, &foreign.key.PublicKey, time.Now())
		require.NoError(t, err)
		require.NoError(t, foreign.store(der, RoleHost))
		lost, err := NewIdentity()
		require.NoError(t, err)
		der, err = w.broker.keys.hosts.identityCertificate(RoleHost, "lost", &lost.key.PublicKey, time.Now())
		require.NoError(t, err)
		require.NoError(t, lost.store(der, RoleHost))
		twin, err := NewIdentity() // certified for the host's id, and not its key
		require.NoError(t, err)
		der, err = w.broker.keys.hosts.identityCertificate(RoleHost, h.id, &twin.key.PublicKey, time.Now())
		require.NoError(t, err)
		require.NoError(t, twin.store(der, RoleHost))
		revoked := w.enrol("pc2", "desktops")
		require.NoError(t, w.broker.RevokeHost(t.Context(), revoked.id))

		for _, tt := range []struct {
			name string
			id   *Identity
			code reachback.Code
		}{
			{"another installation's", foreign, reachback.CodeCertificateInvalid},
			{"of a host that is not enrolled", lost, reachback.CodeHostUnknown},
			{"another key", twin, reachback.CodeCertificateInvalid},
			{"revoked", revoked.agent.Identity, reachback.CodeHostRevoked},
		} {
			err := w.host(tt.id).agent.Run(t.Context(), w.host(tt.id))
			requireCode(t, tt.code, err, tt.name)
		}
		w.certified(h.agent.Identity, RoleHost, IdentityLife+time.Second)
		requireCode(t, reachback.CodeCertificateExpired, h.agent.Run(t.Context(), h))

		d := &carrier.Dialer{TLS: w.tls, NetDial: w.dial}
		_, err = d.Upgrade(t.Context(), server, carrier.PathControl, nil, nil, reachback.CodeBrokerUnreachable)
		requireCode(t, reachback.CodeCertificateMissing, err)
		_, err = d.Upgrade(t.Context(), server, "/elsewhere", nil, nil, reachback.CodeBrokerUnreachable)
		requireCode(t, reachback.CodeNotFound, err)
	})
}

func TestFloodOfRefusedChannelsIsCutShort(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.enrol("pc1", "desktops")
		var log bytes.Buffer
		w.broker.Logger = slog.New(slog.NewTextHandler(&log, nil))
		w.server.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			r.RemoteAddr = "192.0.2.1:5"
			w.broker.ServeHTTP(rw, r)
		})
		d := &carrier.Dialer{TLS: w.tls, NetDial: w.dial}
		ask := func(cert *tls.Certificate) *reachback.Error {
			_, err := d.Upgrade(t.Context(), server, carrier.PathControl, nil, cert, reachback.CodeBrokerUnreachable)
			return reachback.AsError(err)
		}
		first := ask(nil)
		require.Equal(t, reachback.CodeCertificateMissing, first.Code)
		require.Contains(t, log.String(), "correlation_id="+first.CorrelationID)
		for range 2 * limit.Burst {
			ask(nil)
		}
		require.Equal(t, limit.Burst, strings.Count(log.String(), "control channel refused"))
		require.Equal(t, reachback.CodeRateLimited, ask(h.agent.Identity.Certificate()).Code, "before its certificate is looked at")
		time.Sleep(time.Second)
		require.Equal(t, reachback.CodeCertificateMissing, ask(nil).Code)
	})
}

func newWorldKeys(t testing.TB) *Keys {
	k, err := NewKeys()
	require.NoError(t, err)
	return k
}

func TestMessagesOfApplications(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.enrol("pc1", "desktops")
		_, err := w.broker.Send(t.Context(), h.id, &Message{Topic: "hi"})
		requireCode(t, reachback.CodeHostNotConnected, err)
		_, err = h.agent.Send(t.Context(), &Message{Topic: "hi"})
		requireCode(t, reachback.CodeBrokerUnreachable, err)
		h.run()
		synctest.Wait()
		_, err = w.broker.Send(t.Context(), h.id, &Message{Topic: "hi"})
		requireCode(t, reachback.CodeNoHandler, err)
		_, err = h.agent.Send(t.Context(), &Message{Topic: "hi"})
		requireCode(t, reachback.CodeNoHandler, err)
		_, err = h.agent.Send(t.Context(), &Message{Topic: "hi", Body: json.RawMessage(`"` + strings.Repeat("x", MaxMessage) + `"`)})
		requireCode(t, reachback.CodeMessageTooLarge, err)
	})
}
