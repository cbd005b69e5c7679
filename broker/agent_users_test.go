package broker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

// desk is a host's operating system, as far as its users are concerned.
type desk struct {
	mu    sync.Mutex
	users []UserSession
	err   error
	loose chan struct{} // listing hangs until it is closed; nil: it does not
	lists int
	done  []string
}

func (d *desk) UserSessions(context.Context) ([]UserSession, error) {
	d.mu.Lock()
	d.lists++
	loose := d.loose
	d.mu.Unlock()
	if loose != nil {
		<-loose
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.users), d.err
}

func (d *desk) do(what, user string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = append(d.done, what+" "+user)
	return d.err
}

func (d *desk) Disconnect(_ context.Context, user string) error { return d.do("disconnect", user) }
func (d *desk) LogOff(_ context.Context, user string) error     { return d.do("log off", user) }
func (d *desk) Message(ctx context.Context, user, title, text string) error {
	if text == "hang" {
		<-ctx.Done()
		return ctx.Err()
	}
	return d.do("message "+title+": "+text+" to", user)
}

func (d *desk) has(users ...UserSession) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users = users
}

func (d *desk) set(f func(d *desk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

func (d *desk) listed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lists
}

// upWithDesk is up with a SessionControl.
func (w *world) upWithDesk(name string, d *desk) *host {
	h := w.enrol(name, "desktops")
	h.agent.Control = d
	h.run()
	synctest.Wait()
	require.NotZero(w.t, h.epoch())
	return h
}

// connected gives the user a session on the only host, as all three parties say.
func (w *world) connected(h *host, name string) string {
	_, p := w.joined(user(name), "desktop")
	h.agent.Report(SessionReport{Session: p.Session, State: ReportActive})
	time.Sleep(time.Second)
	synctest.Wait()
	return p.Session
}

func (w *world) leave(h *host, session string) {
	h.agent.Report(SessionReport{Session: session, State: ReportEnded, Code: reachback.CodeClosed})
	time.Sleep(time.Second)
	synctest.Wait()
}

func TestAUserSessionCountsUntilItsHostSaysThatItIsOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := &desk{}
		h := w.upWithDesk("pc1", d)
		time.Sleep(time.Hour)
		require.Zero(t, d.listed(), "nobody is looked after")

		d.has(UserSession{User: `CORP\alice`, Connected: true})
		s := w.connected(h, "alice")
		d.has(UserSession{User: `CORP\alice`}, UserSession{User: "console"})
		w.leave(h, s)
		time.Sleep(2 * time.Hour)
		require.Equal(t, 1, w.desktops(h.id), "far beyond the time that it would linger")
		require.InDelta(t, 2*time.Hour/lookEvery, d.listed(), 2)

		// Over a new channel too, whose full report has it.
		w.lastConn().Cut()
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Len(t, h.welcomes, 2)
		require.Equal(t, 1, w.desktops(h.id))

		// And over another session of the user.
		next := w.connected(h, "alice")
		listed := d.listed()
		time.Sleep(time.Hour)
		require.InDelta(t, listed, d.listed(), 1, "while he is there nobody looks")
		w.leave(h, next)
		time.Sleep(time.Hour)
		require.Equal(t, 1, w.desktops(h.id))

		d.has(UserSession{User: "console"})
		time.Sleep(lookEvery + time.Second)
		require.Zero(t, w.desktops(h.id))
		listed = d.listed()
		time.Sleep(time.Hour)
		require.Equal(t, listed, d.listed())
	})
}

func TestAUserWhoLogsOffFreesHisPlaceSoon(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.upWithDesk("pc1", &desk{})
		w.leave(h, w.connected(h, "alice"))
		require.Equal(t, 1, w.desktops(h.id))
		time.Sleep(lookSoon)
		require.Zero(t, w.desktops(h.id))
	})
}

func TestAListThatFailsChangesNothing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(d *desk)
	}{
		{"it fails", func(d *desk) { d.err = errors.New("quser: access denied") }},
		{"it hangs", func(d *desk) { d.loose = make(chan struct{}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d := &desk{users: []UserSession{{User: "alice"}}}
				h := w.upWithDesk("pc1", d)
				w.leave(h, w.connected(h, "alice"))
				time.Sleep(lookEvery)
				d.has()
				d.set(tt.spoil)
				time.Sleep(time.Hour)
				require.Equal(t, 1, w.desktops(h.id), "what was told stays")
				require.Equal(t, 1, w.broker.Stats().Channels)
				require.Contains(t, w.logs.String(), "user sessions not listed")
				d.set(func(d *desk) {
					if d.err = nil; d.loose != nil {
						close(d.loose)
						d.loose = nil
					}
				})
				time.Sleep(2 * lookEvery)
				require.Zero(t, w.desktops(h.id))
			})
		})
	}
}

func TestAnOperatorEndsAndWritesToUserSessions(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := &desk{}
		h := w.upWithDesk("pc1", d)
		s := w.connected(h, "alice")
		ctx := ByOperator(t.Context(), "olga")
		require.NoError(t, w.broker.MessageUser(ctx, s, "Tonight", "The host restarts.\nSave your work."))
		require.NoError(t, w.broker.DisconnectUser(ctx, s))
		require.NoError(t, w.broker.LogOff(ctx, s))
		require.Equal(t, []string{"message Tonight: The host restarts.\nSave your work. to alice", "disconnect alice", "log off alice"}, d.done)

		for _, text := range []string{"", "\x1b[2J", "a\xff", strings.Repeat("x", MaxUserMessage)} {
			requireCode(t, reachback.CodeBadRequest, w.broker.MessageUser(ctx, s, "t", text))
		}
		began := time.Now()
		requireCode(t, reachback.CodeHostTimeout, w.broker.MessageUser(ctx, s, "", "hang"))
		require.LessOrEqual(t, time.Since(began), controlWithin)
		d.set(func(d *desk) { d.err = errors.New("the desktop's own affair") })
		requireCode(t, reachback.CodeInternal, w.broker.LogOff(ctx, s))
		require.Contains(t, w.logs.String(), "the desktop's own affair", "which is for the host's log")
		requireCode(t, reachback.CodeNotFound, w.broker.LogOff(ctx, "nobody's"))
		h.stop()
		requireCode(t, reachback.CodeHostNotConnected, w.broker.LogOff(ctx, s))

		admin := w.why(RecordQuery{Step: StepAdmin, User: "alice"})
		require.Len(t, admin, 6)
		require.Equal(t, "log off; by olga", admin[3].Detail)
		require.Empty(t, admin[3].Code)
		require.Equal(t, s, admin[3].Session)
		require.Equal(t, reachback.CodeHostNotConnected, admin[0].Code)
	})
}

func TestAHostWithoutSessionControlSaysSo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.up("pc1", "desktops")
		_, p := w.joined(alice(), "desktop")
		requireCode(t, reachback.CodeNoSessionControl, w.broker.LogOff(t.Context(), p.Session))
	})
}

func TestAHostThatDoesNotKnowTheRequestIsNotWaitedForLong(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.enrol("pc1", "desktops")
		c := h.open() // an agent of before
		say(t, c, `{"type":"hello","versions":[1]}`)
		hear(t, c)
		done := make(chan error, 1)
		tok := w.connect(alice(), "desktop")
		go func() {
			_, err := w.orchestrate(call(tok))
			done <- err
		}()
		s := hear(t, c).(*summonMessage)
		b, err := appendMessage(nil, &acceptMessage{header{Re: s.ID}})
		require.NoError(t, err)
		_, err = c.Write(b)
		require.NoError(t, err)
		require.NoError(t, <-done)
		requireCode(t, reachback.CodeHostTimeout, w.broker.LogOff(t.Context(), s.Session))
	})
}

func TestSessionsThatAnAgentKnowsAreBounded(t *testing.T) {
	var u users
	for range 3 * maxUsers {
		id := randomID(8)
		u.summoned(id, id)
		u.reported(&SessionReport{Session: id, State: ReportEnded})
		require.LessOrEqual(t, len(u.left), maxReported)
	}
	require.Len(t, u.of, maxUsers)
	require.Len(t, u.order, maxUsers)
}
